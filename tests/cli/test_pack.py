"""pack: genomes in, part files out, and what it says when that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.training.parts import MIB, PartFolder
from tests.cli.conftest import LAMBDA, Run
from tests.conftest import random_codes
from tests.training.genomes import write_fasta


@pytest.fixture
def genomes(tmp_path: Path) -> Path:
    folder = tmp_path / "genomes"
    folder.mkdir()
    for seed, name in enumerate(["Vibrio_a", "Bacillus_b", "Listeria_c"]):
        write_fasta(folder / f"{name}.fa", random_codes(2_000_000, seed))
    return folder


def test_packs_a_folder_into_parts(run: Run, genomes: Path, tmp_path: Path) -> None:
    result = run(
        "pack", genomes, LAMBDA, "--heldout", "Vibrio_a", "-o", "out/parts", "--part-size", "1",
        "--json-summary", "summary.json", model=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "3 genomes to train on and 1 held out, 6,048,502 bases, in 2 parts" in result.stderr
    parts = PartFolder(tmp_path / "out" / "parts")
    corpus = parts.new_parts()
    assert [genome.name for genome in corpus.heldout] == ["Vibrio_a"]
    assert np.array_equal(corpus.heldout[0].contigs[0], random_codes(2_000_000, 0))
    assert {genome.genus for genome in corpus.train} == {"Bacillus", "Listeria", "lambda"}
    assert all((parts.folder / name).stat().st_size <= MIB for name in parts.names)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["parts"] == parts.names == ["part-001.safetensors", "part-002.safetensors"]
    assert summary["genomes"] == corpus.records()

    again = run("pack", "out/parts", "-o", "again", "-q", model=False)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert PartFolder(tmp_path / "again").new_parts().records() == corpus.records()


def test_errors_are_a_line_or_two_and_leave_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "protein.fa").write_text(">sp|P1\n" + "MKTAYIAKQRQISFVKSHFSRQ" * 20)
    for arguments, says in (
        ([LAMBDA], "no genome is held out"),
        (["missing.fa"], "missing.fa does not exist"),
        (["protein.fa", "--no-heldout"], "protein.fa does not hold nucleotides"),
        ([LAMBDA, "--heldout", "mu"], "no genome or file 'mu' to hold out; there are lambda"),
    ):
        result = run("pack", *arguments, "-o", "parts", model=False)
        assert (result.returncode, result.stdout) == (1, "")
        assert says in result.stderr and "Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) <= 2
        assert not (tmp_path / "parts").exists()
    assert run("pack", LAMBDA, model=False).returncode == 2  # no -o
    assert run("pack", LAMBDA, "-o", "parts", "--part-size", "0", model=False).returncode == 2


def test_parts_are_not_overwritten(run: Run, tmp_path: Path) -> None:
    first = run("pack", LAMBDA, "--no-heldout", "-o", "parts", model=False)
    assert first.returncode == 0, first.stderr
    before = (tmp_path / "parts" / "part-001.safetensors").read_bytes()
    again = run("pack", LAMBDA, "--no-heldout", "-o", "parts", model=False)
    assert again.returncode == 1 and "already holds part files" in again.stderr
    into = run("pack", "parts", "--no-heldout", "-o", "parts", model=False)
    assert into.returncode == 1
    assert (tmp_path / "parts" / "part-001.safetensors").read_bytes() == before


def test_help_has_examples(run: Run) -> None:
    result = run("pack", "--help", model=False)
    assert result.returncode == 0 and "Examples:" in result.stdout and "dnahnet pack" in result.stdout
