"""Part files: a packed corpus in pieces of limited size, each of use by itself, in safetensors form.

`part-001.safetensors` and so on hold the fields of `Packed` as the tensors `bases`, `lengths` and `unknown`. The only
metadata key, `dnahnet_part`, is JSON: version, part, num_parts, the genomes in the order of their contigs, and the
sha256 of all that. The held-out genomes come first, so the first part suffices to begin; the others follow
shuffled, so that each part is a fair sample.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.io.output import open_output
from dnahnet_cli.training.packed import Corpus, Genome, Packed

PART_FILES: Final = "part-*.safetensors"
ABOUT: Final = ("accession", "organism", "domain", "source")  # what is kept of a genome, where it is known
MIB: Final = 1 << 20

_KEY: Final = "dnahnet_part"
_VERSION: Final = 1
_FRAME_BYTES: Final = 2048  # room for what is in a part beside its genomes
_DTYPES: Final = {"bases": "uint8", "lengths": "int64", "unknown": "int64"}


@dataclass(frozen=True)
class Part:
    """What a part file holds, and which of how many it is."""

    corpus: Corpus
    number: int
    num_parts: int


# --- writing ---


def write_parts(
    corpus: Corpus, folder: Path, part_bytes: int = 25 * MIB, wrote: Callable[[Path], None] = lambda path: None
) -> list[Path]:
    """Write a corpus as part files of at most `part_bytes` each, and return them; `wrote` hears of each.

    A genome lies in one part unless it does not fit: then it is cut, between contigs where it has several, and its
    pieces count as genomes named `NAME (1 of 3)`. The same corpus gives the same bytes. Raises OutputError, for a
    folder that already holds parts too; InputError when a genome's description alone does not fit.
    """
    check_free(folder)
    plan = _plan(corpus, part_bytes - _FRAME_BYTES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}") from error
    paths = []
    for number, members in enumerate(plan, start=1):
        path = folder / f"part-{number:03}.safetensors"
        data = _part_data(members, number, len(plan))
        assert len(data) <= part_bytes
        with open_output(path, binary=True) as file:
            file.write(data)
        paths.append(path)
        wrote(path)
    return paths


def check_free(folder: Path) -> None:
    """Raise OutputError where part files cannot go: a file, or a folder that holds some, which would mix."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: give the name of a folder")
    if any(folder.glob(PART_FILES)):
        raise OutputError(f"{folder} already holds part files: remove them, or write to another folder")


def _plan(corpus: Corpus, room: int) -> list[list[tuple[str, Genome]]]:
    """Deal genomes, each with its split, to parts: held-out ones first, then the others in a fixed random order."""
    heldout, train = (sorted(genomes, key=lambda genome: genome.name) for genomes in (corpus.heldout, corpus.train))
    order = np.random.default_rng(0).permutation(len(train))
    parts: list[list[tuple[str, Genome]]] = [[]]
    used = 0
    for split, genomes in (("val", heldout), ("train", [train[index] for index in order])):
        for genome in genomes:
            for piece in _pieces(genome, room):
                size = _size(piece, piece.contigs)
                if used + size > room and parts[-1]:
                    parts.append([])
                    used = 0
                parts[-1].append((split, piece))
                used += size
    return parts


def _pieces(genome: Genome, room: int) -> list[Genome]:
    """Cut a genome that is larger than a part in halves until its pieces fit."""
    pieces = list(_fitting(genome, genome.contigs, room))
    if len(pieces) == 1:
        return [genome]
    names = (f"{genome.name} ({number} of {len(pieces)})" for number in range(1, len(pieces) + 1))
    return [Genome(name, genome.genus, p, genome.about, genome.origin) for name, p in zip(names, pieces, strict=True)]


def _fitting(genome: Genome, contigs: Packed, room: int) -> Iterator[Packed]:
    if _size(genome, contigs) <= room:
        yield contigs
    elif len(contigs.bases) < 2:
        raise InputError(f"{genome.name[:60]}: its description alone does not fit a part; shorten it in the manifest")
    else:
        for half in contigs.halves():
            yield from _fitting(genome, half, room)


def _size(genome: Genome, contigs: Packed) -> int:
    """Return an upper bound of the bytes that these contigs of a genome take up in a part."""
    record = json.dumps(_record("train", genome, "0" * 64))
    tensors = contigs.bases.nbytes + contigs.lengths.nbytes + contigs.unknown.nbytes
    return tensors + len(json.dumps(record)) + 64  # 64 for what is added to the name of a piece


def _record(split: str, genome: Genome, sha256: str) -> dict[str, Any]:
    return {
        "name": genome.name,
        "genus": genome.genus,
        "split": split,
        "num_contigs": len(genome.contigs),
        "num_bases": genome.length,
        "sha256": sha256,
        **{key: genome.about[key] for key in ABOUT if genome.about.get(key)},
    }


def _part_data(members: list[tuple[str, Genome]], number: int, num_parts: int) -> bytes:
    packed = Packed.joined([genome.contigs for _, genome in members])
    content: dict[str, Any] = {
        "version": _VERSION,
        "part": number,
        "num_parts": num_parts,
        "genomes": [_record(split, genome, genome.sha256) for split, genome in members],
    }
    content["sha256"] = _digest(content, packed)
    # One key only: the library writes several in any order, and equal parts should be equal files.
    return save({name: getattr(packed, name) for name in _DTYPES}, {_KEY: json.dumps(content)})


def _digest(content: dict[str, Any], packed: Packed) -> str:
    """Return the sha256 of a part: of its description and of its tensors."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in _DTYPES:
        digest.update(getattr(packed, name).tobytes())
    return digest.hexdigest()


# --- reading ---


def read_part(path: Path) -> Part:
    """Read and verify a part file. Raises InputError when it is missing, damaged, incomplete, or something else."""
    try:
        with safe_open(path, "numpy") as file:  # refuses headers and tensors that the file is too short for
            content = json.loads((file.metadata() or {})[_KEY])
            if content["version"] != _VERSION:
                raise InputError(f"{path}: a part file of version {content['version']}; install a newer dnahnet")
            packed = Packed(*(file.get_tensor(name) for name in _DTYPES))
        sha256 = content.pop("sha256")
        if not _consistent(packed) or _digest(content, packed) != sha256:
            raise ValueError("inconsistent")
        return Part(_corpus(content["genomes"], packed, str(path)), content["part"], content["num_parts"])
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the path") from error
    except (SafetensorError, OSError, ArithmeticError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: not a whole part file, as `dnahnet pack` writes them; it is cut off, damaged, or of another kind"
        ) from error


def _consistent(packed: Packed) -> bool:
    """Tell whether the arrays fit one another, so that no index can go astray."""
    bases, lengths, unknown = packed.bases, packed.lengths, packed.unknown
    return (
        all(getattr(packed, name).dtype == dtype for name, dtype in _DTYPES.items())
        and (bases.ndim, lengths.ndim, unknown.ndim) == (1, 1, 2)
        and unknown.shape[1] == 2
        and bool(np.all((lengths >= 1) & (lengths <= 4 * len(bases))))
        and len(bases) == packed.edges[-1]
        and bool(np.all(unknown[:, 0] < unknown[:, 1]) and np.all(unknown[1:, 0] >= unknown[:-1, 1]))
        and (len(unknown) == 0 or bool(unknown[0, 0] >= 0 and unknown[-1, 1] <= 4 * len(bases)))
    )


def _corpus(records: list[dict[str, Any]], packed: Packed, origin: str) -> Corpus:
    """Give every genome its contigs. Raises ValueError when the two do not match."""
    sides: dict[str, list[Genome]] = {"train": [], "val": []}
    last = 0
    for record in records:
        if not all(isinstance(record[key], str) for key in ("name", "genus", "sha256")):
            raise ValueError("a genome is not described")
        first, last = last, last + record["num_contigs"]
        contigs = packed.between(first, last)
        if len(contigs) != record["num_contigs"] or contigs.num_bases != record["num_bases"]:
            raise ValueError("contigs are missing")
        about: dict[str, str] = {key: record[key] for key in ABOUT if key in record}
        genome = Genome(record["name"], record["genus"], contigs, about, origin, record["sha256"])
        sides[record["split"]].append(genome)
    if last != len(packed):
        raise ValueError("contigs are left over")
    return Corpus(tuple(sides["train"]), tuple(sides["val"]))


class PartFolder:
    """A folder of part files that may still be filling: training begins with the parts that are there.

    `names` are the parts read so far, in order; a resumed run begins with `read` of the names it had.
    `unusable` says of each file that could not be taken at the last look why; most will be copied completely soon.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        self.unusable: dict[str, str] = {}
        self.num_parts: int | None = None  # how many there will be, once a part has been read
        self._sizes: dict[str, int] = {}  # bytes of the unusable ones
        self._told: set[str] = set()

    def new_parts(self, known: Corpus | None = None, log: Callable[[str], None] = lambda line: None) -> Corpus:
        """Return what the parts hold that have appeared, complete, since the last look; it may be nothing.

        Only `train` is to be trained on. Of a part that cannot be read or does not go with what is `known`, `log` hears
        once, when it is no longer growing. Raises InputError when the folder is missing.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder of part files")
        sizes, self._sizes, self.unusable = self._sizes, {}, {}
        known, corpus = known or Corpus(), Corpus()
        for path in sorted(self.folder.glob(PART_FILES)):
            if path.name in self.names:
                continue
            size = path.stat().st_size
            try:
                part = read_part(path)
                known + corpus + part.corpus  # which refuses names twice, and genera on both sides
            except InputError as error:
                self.unusable[path.name], self._sizes[path.name] = str(error), size
                if sizes.get(path.name) == size and path.name not in self._told:
                    self._told.add(path.name)
                    log(f"left out so far: {error}")
            else:
                corpus += self._take(path.name, part)
        return corpus

    def read(self, names: Iterable[str]) -> Corpus:
        """Return what the named parts hold. Raises InputError when one is missing or not whole."""
        return sum((self._take(name, read_part(self.folder / name)) for name in names), Corpus())

    def left_out(self) -> str:
        """Say which parts have not been read, or nothing where all have."""
        if not self.unusable and len(self.names) >= (self.num_parts or 0):
            return ""
        whole = f" of {self.num_parts}" if self.num_parts is not None else ""
        return "; ".join([f"{len(self.names)}{whole} parts were read from {self.folder}", *self.unusable.values()])

    def _take(self, name: str, part: Part) -> Corpus:
        self.names.append(name)
        self.num_parts = part.num_parts
        return part.corpus
