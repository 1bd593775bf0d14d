"""Assays are read as they are, and what does not fit is refused in one or two lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.assays import find_assays, read_assay, read_peers
from tests.conftest import SHARED
from tests.evaluation.assays import mutants_of, protein_of, write_assay, write_variants


def test_an_assay_is_read_in_the_order_of_its_table(tmp_path: Path) -> None:
    assay = read_assay(write_assay(tmp_path / "a", 3, 25, more_rows=["W1A\t\t1", "rubbish\tNA\t", "\t0.5\tnan"]))
    assert (assay.name, assay.protein, assay.residues) == ("a", "P3", protein_of(3))
    assert list(assay.mutants) == [*mutants_of(3, 25), "W1A", "rubbish", ""]
    assert [math.isnan(value) for value in assay.measured[-3:]] == [True, True, False]
    assert [math.isnan(value) for value in assay.positive[-3:]] == [False, True, True]
    assert assay.dna == tmp_path / "a" / "region.fna"
    (tmp_path / "a" / "region.fna").unlink()
    assert read_assay(tmp_path / "a").dna == tmp_path / "a" / "cds.fna"
    (tmp_path / "a" / "cds.fna").unlink()
    assert read_assay(tmp_path / "a").dna is None


def test_the_digest_is_of_every_file(tmp_path: Path) -> None:
    folder = write_assay(tmp_path / "a")
    digests = {read_assay(folder).sha256}
    for name in ("region.fna", "protein.faa", "variants.tsv"):
        path = folder / name
        path.write_text(path.read_text() + "\n")
        digests.add(read_assay(folder).sha256)
    assert len(digests) == 4


def test_variants_are_named_by_what_they_change(tmp_path: Path) -> None:
    assay = read_assay(write_variants(tmp_path / "v", 2, 5, more_rows=["7\ta\tgg\t1.5"]))
    assert assay.variants is not None and len(assay.variants) == 6
    assert assay.mutants[-1] == "7:A>GG" and assay.variants[-1][0].start == 6
    assert assay.protein == "v" and math.isnan(assay.positive[0])


def test_folders_of_assays_are_looked_into(tmp_path: Path) -> None:
    one, two = write_assay(tmp_path / "all" / "b"), write_assay(tmp_path / "all" / "a")
    (tmp_path / "all" / "other").mkdir()
    assert find_assays([tmp_path / "all"]) == [two, one]
    assert find_assays([one]) == [one]
    with pytest.raises(InputError, match="two assays are named 'b'"):
        find_assays([tmp_path / "all", one])
    with pytest.raises(InputError, match="holds no assay"):
        find_assays([tmp_path / "all" / "other"])
    with pytest.raises(InputError, match="not a folder"):
        find_assays([tmp_path / "none"])


def replace(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (replace("variants.tsv", "mutant\tdms_score\n"), "no rows"),
        (replace("variants.tsv", ""), "is empty"),
        (replace("variants.tsv", "mutant\tfitness\nA1C\t1\n"), "neither the columns"),
        (replace("variants.tsv", "mutant\tdms_score\nA1C\n"), r"variants.tsv:2 has 1 columns"),
        (replace("variants.tsv", "mutant\tdms_score\nA1C\tlow\n"), r"variants.tsv:2 has the dms_score 'low'"),
        (replace("variants.tsv", "mutant\tdms_score\nA1C\tinf\n"), "'inf', which is not a number"),
        (replace("variants.tsv", "mutant\tdms_score\tdms_score_bin\nA1C\t1\t2\n"), "other than 0 and 1"),
        (replace("variants.tsv", "pos\tref\talt\tscore\n0.5\tA\tC\t1\n"), "the position '0.5'"),
        (replace("protein.faa", ">a\nMA\n>b\nMA\n"), "2 sequences"),
        (replace("protein.faa", ">a\n" + "W" * 40 + "\n"), "not those of the protein"),
        (replace("cds.fna", ">cds\nATGATG\n"), "occur 0 times"),
        (replace("cds.fna", ">cds\nATGA\n>more\nA\n"), "2 sequences, not one"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, spoil: Callable[[Path], object], says: str) -> None:
    folder = write_assay(tmp_path / "a")
    spoil(folder)
    with pytest.raises(InputError, match=says):
        read_assay(folder)


def test_variants_need_their_region(tmp_path: Path) -> None:
    folder = write_variants(tmp_path / "v")
    (folder / "region.fna").write_text(">a\nACGT\n>b\nACGT\n")
    with pytest.raises(InputError, match="2 sequences"):
        read_assay(folder)
    (folder / "region.fna").unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_assay(folder)


def test_peers(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("dms_id\tmodel\tauc\na\tx\t0.5\na\ty\t\nb\tx\t0.25\n")
    assert read_peers(path) == ("auc", {"a": {"x": 0.5}, "b": {"x": 0.25}})
    path.write_text("dms_id\tmodel\tmcc\na\tx\t0.5\n")
    with pytest.raises(InputError, match="lacks columns"):
        read_peers(path)


@pytest.mark.skipif(not (SHARED / "data" / "fitness").is_dir(), reason="needs the measured assays beside the checkout")
def test_the_measured_assays_are_read() -> None:
    assays = [read_assay(folder) for folder in find_assays([SHARED / "data" / "fitness"])]
    assert len(assays) == 12 and sum(assay.dna is None for assay in assays) == 4
    assert len({assay.protein for assay in assays}) == 8
