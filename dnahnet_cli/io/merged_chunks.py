"""Write the chunks of all shards of `boundaries` as one, and their bigWigs.

A shard has the chunks that start in its part of the bases, so lines are copied as they stand. A header cannot say how
many there are; but chunks of one stage and strand follow one another without gap, and so their lengths tell.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.bigwig import Track, TrackFile, TrackOutput
from dnahnet_cli.io.index import Order, index_output
from dnahnet_cli.io.output import open_output
from dnahnet_cli.io.shards import ShardFile, common_header, parts_of

Key = tuple[bytes, bytes]  # stage and strand


def write_chunks(
    path: str, shards: Sequence[ShardFile], *, added: Mapping[str, str], clobber: bool = True, index: bool = True
) -> tuple[list[Interval], str | None]:
    """Write the chunks of shards, which are in order and complete; `added` goes into the header.

    Returns the stretches that they cover, and why an output that could have an index cannot be indexed. Raises
    InputError when a shard has not the bases that its header says, and as `open_output`.
    """
    order, covered = Order(), _Covered()
    with open_output(path, binary=True, forbidden=[Path(shard.name) for shard in shards], clobber=clobber) as file:
        file.write(b"".join(common_header(shards, added)))
        for shard in shards:
            for line, contig, start, end, key in shard.chunks():
                order.add(contig, start, end)
                covered.add(contig, start, end, key)
                file.write(line)
            covered.check(shard)
        covered.check_all(shards[0].part.total)
    format = "bed.gz" if Path(path).suffix == ".gz" else "bed"
    return covered.scopes(), index_output(path, format, 0, order, index)[1]


class MergedTracks:
    """The bigWigs of shards, to be written as PREFIX.stage1.fwd.bw and so on; none, and no output, without a prefix.

    `num_given` is how many each shard was made with.
    """

    def __init__(self, prefix: str | None, shards: Sequence[ShardFile], *, clobber: bool = True) -> None:
        """Find them all, and check where they go.

        Raises InputError for one that is missing, or when only some shards have them; UsageError when none has; and as
        `TrackOutput`.
        """
        self._shards = shards
        names = [json.loads(shard.provenance.get("tracks", "[]")) for shard in shards]
        for shard, own in zip(shards, names, strict=True):
            if list(map(_ending, own)) != list(map(_ending, names[0])):
                raise InputError(f"{shard.name} and {shards[0].name} have not the same bigWigs, as their headers say.")
        self.num_given = len(names[0])
        self._given: list[list[Path]] = []
        self._outputs: list[TrackOutput] = []
        if prefix is None:
            return
        if not self.num_given:
            raise UsageError(f"--bigwig: {shards[0].name} was made without it.")
        self._given = [[_found(shard, name) for name in own] for shard, own in zip(shards, names, strict=True)]
        forbidden = [path for own in self._given for path in own]
        self._outputs = [TrackOutput(prefix + _ending(name), forbidden, clobber=clobber) for name in names[0]]

    def write(self, scopes: Sequence[Interval], tmpdir: Path | None = None) -> list[Path]:
        """Write them, where `scopes` are the stretches that the shards cover; return those that had no values.

        Raises InputError for a bigWig of another stretch, and as `TrackOutput.write`.
        """
        without = []
        for number, output in enumerate(self._outputs):
            of_all_bases = output.path.name.endswith((".stage1.fwd.bw", ".stage1.rev.bw"))
            with Track(tmpdir) as track:
                lengths: dict[str, int] = {}
                for shard, own in zip(self._shards, self._given, strict=True):
                    parts = [part for _, part in parts_of(scopes, range(shard.part.start, shard.part.end))]
                    lengths |= _take(own[number], parts, track, every=of_all_bases)
                if not output.write(track, lengths, {}):
                    without.append(output.path)
        return without


def _take(path: Path, parts: Sequence[Interval], track: Track, *, every: bool) -> dict[str, int]:
    """Add the values of a shard's parts to a track; return the lengths of its contigs. An empty file has no value."""
    if not path.stat().st_size:
        return {}
    before = len(track)
    with TrackFile(path) as file:
        for part in parts:
            for position, value in file.values(part):
                track.add(part.contig, position, value)
        if every and len(track) - before != sum(map(len, parts)):
            raise InputError(f"{path} has not a value for each base of its shard: it is of another shard, or changed.")
        return file.lengths


def _found(shard: ShardFile, name: str) -> Path:
    """Return where a shard's bigWig is: where its header says, or beside the shard."""
    beside = Path(shard.name).with_name(Path(name).name)
    for place in (Path(name), beside):
        if place.is_file():
            return place
    raise InputError(f"{shard.name} was made with the bigWig {name}, which is neither there nor beside it.")


def _ending(name: str) -> str:
    return "".join(Path(name).suffixes[-3:])


class _Covered:
    """Follows chunks, and knows what those of each stage and strand cover."""

    def __init__(self) -> None:
        self._bases: Counter[Key] = Counter()
        self._first: Key | None = None
        self._stretches: list[list[str | int]] = []  # of the first stage and strand: contig, start, end

    def add(self, contig: str, start: int, end: int, key: Key) -> None:
        self._bases[key] += end - start
        self._first = self._first or key
        if key == self._first:
            if self._stretches and self._stretches[-1][0] == contig and self._stretches[-1][2] == start:
                self._stretches[-1][2] = end
            else:
                self._stretches.append([contig, start, end])

    def check(self, shard: ShardFile) -> None:
        """Raise InputError when a shard, after those before it, leaves bases out; its last chunk may go on."""
        least = min(self._bases.values(), default=0)
        if least < shard.part.end:
            missing = shard.part.end - least
            raise InputError(f"{shard.name} lacks chunks for {missing:,} of its bases: it is not whole, or changed.")

    def check_all(self, total: int) -> None:
        """Raise InputError unless the chunks of each stage and strand cover all bases once."""
        for (stage, strand), bases in self._bases.items():
            if bases != total:
                name = f"{stage.decode()} on strand {strand.decode()}"
                raise InputError(f"the chunks of {name} cover {bases:,} bases, not {total:,}: a shard was changed.")

    def scopes(self) -> list[Interval]:
        return [Interval(str(contig), int(start), int(end)) for contig, start, end in self._stretches]
