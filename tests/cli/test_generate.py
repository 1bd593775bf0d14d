"""generate: FASTA whose headers say how each sequence came about, and whose bits `score` confirms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyfaidx
import pytest

from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from dnahnet_cli.networks.weights import DEFAULT_MODEL
from tests.cli.conftest import Call, data_rows
from tests.conftest import random_codes


def test_records_headers_and_bits(call: Call, tmp_path: Path) -> None:
    (tmp_path / "p.fa").write_text(f">one\n{decode(random_codes(100, 1))}\n>two\nACGTNNACGT\n")
    result = call("generate", "p.fa", "-n", "2", "-l", "90", "--seed", "5", "-o", "out.fa", "--json-summary", "s.json")
    assert result.exit_code == 0 and result.stdout == "", result.stderr
    again = call("generate", "p.fa", "-n", "2", "-l", "90", "--seed", "5")
    assert again.stdout == (tmp_path / "out.fa").read_text()
    fasta = pyfaidx.Fasta(str(tmp_path / "out.fa"))
    assert list(fasta.keys()) == ["one_1", "one_2", "two_1", "two_2"]
    for record in fasta:
        assert len(record) == 90 and re.fullmatch("[ACGT]+", str(record))
        facts = dict(word.split("=") for word in record.long_name.split()[1:])
        assert (facts["seed"], facts["model"], facts["new_bp"]) == ("5", "tiny", "90")
        assert {"temperature", "top_p", "context", "dtype", "model_sha256", "dnahnet"} <= facts.keys()
        assert facts["prompt_bp"] == ("100" if record.name.startswith("one") else "10")
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["sequences"], summary["bases"]) == (4, 360)


def test_score_finds_the_bits_of_the_header(call: Call, tmp_path: Path) -> None:
    assert call("generate", "-l", "200", "--no-version", "-o", "out.fa").exit_code == 0
    header = (tmp_path / "out.fa").read_text().splitlines()[0]
    bits = float(re.search(r"bits_per_base=(\S+)", header)[1])  # type: ignore[index]
    (row,) = data_rows(call("score", "out.fa", "--strand", "forward").stdout)
    assert float(row["bits_per_base"]) == pytest.approx(bits, abs=1e-4)
    assert " dnahnet=" not in header


def test_prompts_on_the_command_line(call: Call) -> None:
    result = call("generate", "--prompt", "acgtacgt", "--prompt", "GGG", "-l", "81", "--with-prompt", "-q")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(">")] == [">prompt1_1", ">prompt2_1"]
    assert lines[1].startswith("ACGTACGT") and [len(line) for line in lines[1:3]] == [80, 9]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--prompt", "HELLO!"], 2, "--prompt HELLO!"),
        (["--prompt", "ACG", "--top-p", "0"], 2, "top-p"),
        (["--prompt", "ACG", "--temperature", "-1"], 2, "--temperature"),
        (["--length", "0"], 2, "--length"),
        (["missing.fa"], 1, "missing.fa does not exist"),
        (["p.fa", "-o", "p.fa"], 2, "also an input"),
    ],
)
def test_errors(call: Call, tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    (tmp_path / "p.fa").write_text(">a\nACGT\n")
    result = call("generate", *arguments)
    assert result.exit_code == code and says in result.stderr and result.stdout == ""
    assert (tmp_path / "p.fa").read_text() == ">a\nACGT\n"


def test_the_bundled_model_keeps_to_composition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on from an AT-rich genome gives AT-rich sequence, from a GC-rich one GC-rich: it reads its prompt."""
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    rich = {"at": "ATTATAAATTTAAGATATTTATTAAC" * 20, "gc": "GCCGGCGCGACCGGCGTGCCGGCGAG" * 20}
    (tmp_path / "p.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in rich.items()))
    options = ["--model", DEFAULT_MODEL, "-t", "1", "-l", "80", "-n", "2", "-q"]
    result = CliRunner().invoke(app, ["generate", "p.fa", *options])
    records = dict(re.findall(r">(\w+) .*\n([ACGT\n]+)", result.stdout))
    share = {name: sum(map(bases.count, "GC")) / 80 for name, bases in records.items()}
    assert max(share["at_1"], share["at_2"]) < 0.45 < 0.55 < min(share["gc_1"], share["gc_2"])
