"""The yardsticks: their inputs, and how a command that works or fails is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnahnet_cli.benchmarking.yardsticks import COLUMNS, Yardstick, run, yardsticks
from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import decode
from tests.conftest import random_codes

CODES = random_codes(20_000, 5)
CODES[9_000:9_050] = 4
SEQUENCE = decode(CODES)


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">short\n{SEQUENCE[:300]}\n>long\n{SEQUENCE}\n")
    return path


def rows(path: str) -> list[tuple[str, int, str, str]]:
    header, *lines = Path(path).read_text().splitlines()
    assert header == "chrom\tpos\tref\talt"
    return [(chrom, int(pos), ref, alt) for chrom, pos, ref, alt in (line.split("\t") for line in lines)]


def test_the_inputs_are_what_they_say(genome: Path, tmp_path: Path) -> None:
    a, b, c, d, e = yardsticks(genome, Path("genes.gff"), 0.1, tmp_path)
    for yardstick in (a, b, e):
        found = rows(yardstick.arguments[-1])
        assert len(found) == yardstick.amount and yardstick.arguments[:2] == ("score-variants", str(genome))
        for chrom, pos, ref, alt in found:
            assert chrom == "long" and ref == SEQUENCE[pos - 1] in "ACGT" and alt in "ACGT" and alt != ref
        assert [pos for _, pos, _, _ in found] == sorted(pos for _, pos, _, _ in found)
    assert (a.amount, b.amount, e.amount) == (10_000, 3 * 300, 100)
    assert len({pos for _, pos, _, _ in rows(a.arguments[-1])}) == 10_000  # different places
    assert c.arguments == ("boundaries", str(genome), "--region", "long:1-5000") and c.amount == 5000
    assert d.arguments[:3] == ("essentiality", str(genome), "genes.gff")


def test_they_are_the_same_every_time(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    one, other = yardsticks(genome, None, 0.01, tmp_path), yardsticks(genome, None, 0.01, tmp_path / "again")
    for a, b in zip(one, other, strict=True):
        assert (a.name, a.amount) == (b.name, b.amount)
    assert rows(one[0].arguments[-1]) == rows(other[0].arguments[-1])


def test_at_full_scale_it_is_all_of_the_contig(genome: Path, tmp_path: Path) -> None:
    a, b, c, _, _ = yardsticks(genome, None, 1.0, tmp_path)
    assert a.amount == 20_000 - 50  # as many places as there are
    assert b.amount == 3 * (3000 - 50) and c.amount == 20_000  # the N lie within the gene


def test_a_genome_without_a_long_contig_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.fa"
    path.write_text(f">c\n{SEQUENCE[:500]}\n")
    with pytest.raises(InputError, match="500 bases"):
        yardsticks(path, None, 1.0, tmp_path)


def test_a_command_is_measured_from_outside(genome: Path, tmp_path: Path) -> None:
    columns = {column.name: column for column in COLUMNS}
    works = Yardstick("x", "help", ("boundaries", "--help"), 10, "bases")
    row = run(works, [], tmp_path / "out.bed", {"OMP_NUM_THREADS": "1"})
    assert row["status"] == "ok" and row["seconds"] > 0 < row["cpu_seconds"]
    assert row["per_second"] == pytest.approx(10 / row["seconds"]) and row["memory_bytes"] > 1 << 20
    fails = Yardstick("x", "no genome", ("boundaries", str(tmp_path / "none.fa")), 10, "bases")
    failed = run(fails, [], tmp_path / "out.bed", {"OMP_NUM_THREADS": "1"})
    assert failed["status"] == "failed" and "none.fa" in failed["reason"] and "seconds" not in failed
    for each in (row, failed):
        for name, value in each.items():
            columns[name].check(value)
