"""Which part a shard has, whatever is divided by whatever number; and shards merged: the bytes of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.cli.shard import BASES, Shard, parse_shard, plan_bases, plan_genes, plan_shard
from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Gene, Interval, Strand, Variant
from dnahnet_cli.io.shards import Part, in_order, parts_of
from dnahnet_cli.scoring.essentiality import GENES_AT_ONCE
from dnahnet_cli.scoring.variants import UNIT, units
from tests.cli.conftest import Call
from tests.cli.forks import CASES, write_inputs


class Known:
    """Stands for an intake and a scorer that knows the assembly."""

    wants_statuses = False

    def __init__(self, alts: Sequence[int]) -> None:
        self.alts = alts

    def variants(self) -> Iterator[Variant]:
        for start, number in enumerate(self.alts):
            for index in range(1, number + 1):
                yield Variant("c", start, "A", "C", ".", index)

    def check_assembly(self, statuses: object, *, last: bool = False) -> None:
        assert not statuses


class File:
    kind = "tsv"

    def __init__(self, name: str, shard: Shard) -> None:
        self.name, self.provenance = name, {"shard": str(shard)}
        self.part = Part.of(name, self.provenance)


def planned(alts: Sequence[int], number: int, **made_by: str) -> list[Shard]:
    known = cast(Any, Known(alts))
    return [plan_shard((index, number), known, known, made_by) for index in range(1, number + 1)]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 4), max_size=40).map(lambda few: few * 20), st.integers(1, 8))
def test_shards_of_variants_are_the_whole_in_whole_units(alts: list[int], number: int) -> None:
    shards, variants = planned(alts, number), list(Known(alts).variants())
    assert [row for shard in shards for row in shard.rows] == list(range(sum(alts)))
    whole = list(units(variants))
    assert [v for unit in whole for v in unit] == variants
    assert all(unit[0].alt_index == 1 for unit in whole)  # no record is divided
    assert all(len(unit) < UNIT + 4 for unit in whole)
    again = []
    for shard in shards:
        again += list(units(variants[shard.rows.start : shard.rows.stop], shard.first_unit))
    assert again == whole


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20))
def test_shards_of_genes_are_the_whole_in_whole_units(total: int, number: int) -> None:
    genes = [Gene("c", Strand.FORWARD, ((at, at + 30),), str(at)) for at in range(total)]
    shards = [plan_genes((index, number), genes, {}) for index in range(1, number + 1)]
    assert [row for shard in shards for row in shard.rows] == list(range(total))
    assert all(shard.rows.start % GENES_AT_ONCE == 0 for shard in shards if shard.rows)
    assert max(len(shard.rows) for shard in shards) <= total / number + GENES_AT_ONCE
    other = plan_genes((1, number), genes[:-1], {})
    assert not total or other.run != shards[0].run


stretches = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9000), st.integers(0, 20_000)), max_size=5)


@settings(deadline=None)
@given(stretches, st.integers(1, 12))
def test_shards_of_bases_are_the_stretches(drawn: list[tuple[str, int, int]], number: int) -> None:
    scopes = [Interval(contig, start, start + length) for contig, start, length in drawn]
    shards = [plan_bases((index, number), scopes, {}) for index in range(1, number + 1)]
    assert [0, *(shard.rows.stop for shard in shards)][:-1] == [shard.rows.start for shard in shards]
    total = sum(map(len, scopes))
    assert shards[-1].rows.stop == total and max(len(shard.rows) for shard in shards) <= total / number + BASES
    parts = [part for shard in shards for part in parts_of(scopes, shard.rows)]
    for scope, part in parts:
        assert scope.contig == part.contig and scope.start <= part.start < part.end <= scope.end
    # One after the other, the parts of a stretch are the stretch.
    whole = [scope for scope in scopes if len(scope)]
    for scope in whole:
        while parts[0][1].end < scope.end:
            (_, one), (_, two) = parts.pop(0), parts[0]
            assert one.end == two.start
            parts[0] = (scope, Interval(scope.contig, one.start, two.end))
        assert parts.pop(0)[1] == scope
    assert not parts


@settings(deadline=None)
@given(st.integers(1, 12))
def test_they_are_about_equal(number: int) -> None:
    sizes = [len(shard.rows) for shard in planned([1] * 6000, number)[:3]]
    assert max(sizes) - min(sizes) <= 2 * UNIT


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=40), st.integers(1, 6), st.randoms())
def test_what_stands_in_a_header_brings_them_in_order(alts: list[int], number: int, random: Any) -> None:
    shards = planned(alts, number)
    files = [File(str(index), shard) for index, shard in enumerate(shards)]
    random.shuffle(files)
    ordered = in_order(cast(Any, files))
    assert [file.name for file in ordered] == list(map(str, range(number)))
    for file, shard in zip(ordered, shards, strict=True):
        assert range(file.part.start, file.part.end) == shard.rows
    with pytest.raises(InputError, match="are both shard"):
        in_order(cast(Any, [*files, random.choice(files)]))
    if number > 1:
        files.pop(random.randrange(number))
        with pytest.raises(InputError, match=r"1 of .* missing"):
            in_order(cast(Any, files))


def test_shards_of_different_runs_do_not_fit() -> None:
    one, other, third = planned([1] * 100, 2, model="a"), planned([1] * 100, 2, model="b"), planned([1] * 99, 2)
    assert len({shard.run for shard in (*one, *other, *third)}) == 3
    with pytest.raises(InputError, match="different runs"):
        in_order(cast(Any, [File("one", one[0]), File("other", other[1])]))


def test_bounds_follow_the_sizes_of_units() -> None:
    sizes = [len(unit) for unit in units(Known([1] * 2000).variants())]
    ends = [*accumulate(sizes, initial=0)]
    for shard in planned([1] * 2000, 3):
        assert {shard.rows.start, shard.rows.stop} <= set(ends)
    assert all(a < b for a, b in pairwise(ends))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b", "1/3/5", "1/ 3", ""])
def test_what_is_no_shard_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="I/N"):
        parse_shard(text)
    assert parse_shard("3/3") == (3, 3) and parse_shard(None) is None


# --- shards of real runs ---

QUICK = ("variants.vcf.gz", "genes.tsv", "tracks")


def merged(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["merge", *arguments])


def outputs(call: Call, case: str, number: int, *options: str) -> list[str]:
    """Run all shards of a case, and one for the whole; return the names of the shards' outputs."""
    write_inputs(Path())
    for place in ("whole", "joined", *map(str, range(1, number + 1))):
        Path(place).mkdir()
        if place != "joined":
            shard = () if place == "whole" else ("--shard", f"{place}/{number}")
            result = call(*CASES[case].replace("FOLDER", place).split(), "--no-version", *options, *shard)
            assert result.exit_code == 0, result.stderr
    (output,) = (path.name for path in Path("whole").glob("out.*") if path.suffix not in (".tbi", ".csi"))
    return [f"{index}/{output}" for index in range(1, number + 1)]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c in QUICK else pytest.mark.slow) for c in CASES if c != "details"],
)
def test_shards_merged_are_the_whole(call: Call, case: str) -> None:
    names = outputs(call, case, 3)
    output = names[0].removeprefix("1")
    bigwig = ("--bigwig", "joined/p") if case == "tracks" else ()
    result = merged(*reversed(names), "-o", f"joined{output}", *bigwig)
    assert result.exit_code == 0, result.stderr
    whole, joined = ({path.name: path.read_bytes() for path in Path(place).iterdir()} for place in ("whole", "joined"))
    assert joined == whole
    if case == "genes.tsv":
        check_that_a_table_is_refused(names)
    if case == "tracks":
        check_that_chunks_are_refused(names)


def check_that_a_table_is_refused(names: list[str]) -> None:
    one, two, three = names
    text = Path(one).read_text().splitlines(keepends=True)
    Path("short.tsv").write_text("".join(text[:-1]))
    Path("cut.tsv").write_text("".join(text)[:-5])
    Path("other.tsv").write_text("".join(text).replace(", run ", ", run 0"))
    Path("renamed.tsv").write_text("".join(text).replace("\tlocus_tag\t", "\tlocus\t"))
    for given_, says in (
        ((one, three), "1 of 3 shards are missing: 2"),
        ((one, two, two, three), "both shard 2 of 3"),
        (("short.tsv", two, three), "it is not whole"),
        (("cut.tsv", two, three), "cut off"),
        (("other.tsv", two, three), "different runs"),
        (("renamed.tsv", two, three), "other columns"),
        ((one, two, "whole/out.tsv"), "not the output of a run with --shard"),
    ):
        result = merged(*given_, "-o", "merged.tsv")
        assert result.exit_code == 1 and says in result.stderr, result.stderr
        assert not list(Path().glob("*merged.tsv*"))
    assert merged(*names, "-o", "merged.parquet").exit_code == 2
    assert merged(*names, "-o", "merged.tsv", "--bigwig", "p").exit_code == 2


def check_that_chunks_are_refused(names: list[str]) -> None:
    import gzip

    one, two, three = names
    lines = gzip.decompress(Path(two).read_bytes()).splitlines(keepends=True)
    stage2 = [index for index, line in enumerate(lines) if b"\tstage2\t" in line]
    Path("short.bed").write_bytes(b"".join(lines[:-20]))
    Path("cut.bed").write_bytes(b"".join(lines)[:-1])
    Path("hole.bed").write_bytes(b"".join(lines[: stage2[5]] + lines[stage2[5] + 1 :]))
    for given_, says in (
        ((one, three), "1 of 3 shards are missing: 2"),
        ((one, "short.bed", three), "lacks chunks"),
        ((one, "cut.bed", three), "cut off"),
        ((one, "hole.bed", three), "chunks"),
        ((one, two, "whole/out.bed.gz"), "not the output of a run with --shard"),
    ):
        result = merged(*given_, "-o", "merged.bed.gz")
        assert result.exit_code == 1 and says in result.stderr, result.stderr
        assert not list(Path().glob("*merged.bed.gz*"))
    assert "are not joined" in merged(*names, "-o", "merged.bed").stderr
    track = Path("2/p.stage1.fwd.bw")
    track.write_bytes(Path("3/p.stage1.fwd.bw").read_bytes())
    result = merged(*names, "-o", "merged.bed", "--bigwig", "m")
    assert result.exit_code == 1 and "has not a value for each base" in result.stderr
    track.unlink()
    Path("merged.bed").unlink()
    result = merged(*names, "-o", "merged.bed", "--bigwig", "m")
    assert result.exit_code == 1 and "neither there nor beside it" in result.stderr and not Path("merged.bed").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-R", "parts.bed", "--stage", "2"), ("--circular", "all", "--context", "0")])
def test_shards_of_odd_stretches_are_the_whole(call: Call, options: tuple[str, ...]) -> None:
    """More shards than there is work for, regions against the order of the genome, tiles that are read by twos."""
    Path("parts.bed").write_text("c2\t5000\t6000\nc2\t40\t80\nc1\t7\t1300\nc1\t1300\t1310\nc2\t80\t4900\n")
    names = outputs(call, "tracks", 7, *options)
    result = merged(*names, "-o", "joined/out.bed.gz", "--bigwig", "joined/p")
    assert result.exit_code == 0, result.stderr
    for path in Path("whole").iterdir():
        assert (Path("joined") / path.name).read_bytes() == path.read_bytes(), path.name
    assert len(list(Path("joined").iterdir())) == len(list(Path("whole").iterdir()))
