"""`dnahnet report`, from the outputs of the commands to the page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from tests.cli.conftest import LAMBDA, Run
from tests.report.pages import MadeUp, Read, make_run

LAMBDA_VCF = LAMBDA.with_suffix(".vcf")


@pytest.fixture
def made(tmp_path: Path) -> MadeUp:
    return make_run(tmp_path)


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_two_commands_from_variants_to_a_page(run: Run, tmp_path: Path) -> None:
    """As a user would, through the command line alone; the page is one file with everything in it."""
    scored = run("score-variants", LAMBDA, LAMBDA_VCF, "-o", "scored.vcf.gz", "--suffix", "16")
    assert scored.returncode == 0, scored.stderr
    result = run("report", LAMBDA, "--variants", "scored.vcf.gz", model=False)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "report.html: 1.6 MB" in result.stderr
    read = Read((tmp_path / "report.html").read_text(encoding="utf-8"))
    columns = [column["key"] for column in read.data()["variants"]["columns"]]
    assert {"pos", "ref", "alt", "damage", "status"} <= set(columns)
    assert len(read.data()["variants"]["rows"]) == scored_rows(scored.stderr)


def scored_rows(text: str) -> int:
    """Return the number of rows that a closing line names, as in '3 of 4 rows scored'."""
    return int(text.split(" rows scored")[0].split()[-1].replace(",", ""))


def test_what_is_left_out_is_said(made: MadeUp, tmp_path: Path) -> None:
    result = report(made.genome, "--variants", made.variants, "--top", 5, "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    assert "75 of 80 variants" in result.stderr
    assert "75 of 80 variants" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_track_without_values_is_named(made: MadeUp, tmp_path: Path) -> None:
    track = tmp_path / "elsewhere.bedgraph"
    track.write_text("another_contig\t0\t5\t1\n")
    result = report(made.genome, "--track", track, "-o", tmp_path / "page.html")
    assert result.exit_code == 0 and "elsewhere.bedgraph, which has no value" in result.stderr


def test_a_page_goes_to_standard_output(made: MadeUp) -> None:
    result = report(made.genome, "--genes", made.genes, "-o", "-", "--title", "a <b> title")
    assert result.exit_code == 0
    assert result.stdout.startswith("<!DOCTYPE html>") and "a &lt;b&gt; title" in result.stdout
    assert "made in" in result.stderr


def test_results_and_genes_come_through_pipes(made: MadeUp, tmp_path: Path) -> None:
    """The page is that of the files, but for where they say they come from."""
    shown = []
    for arguments, stdin in ((["--variants", "-"], made.variants), (["--variants", str(made.variants)], None)):
        result = CliRunner().invoke(
            app, ["report", str(made.genome), *arguments, "-o", "-"], input=stdin.read_bytes() if stdin else None
        )
        assert result.exit_code == 0, result.stderr
        shown.append(result.stdout.replace("standard input", made.variants.name))
    assert shown[0] == shown[1]
    result = CliRunner().invoke(app, ["report", str(made.genome), "--variants", "-"], input="chrom\tpos\n")
    assert result.exit_code == 1 and result.stderr.startswith("dnahnet: standard input has no column 'ref'")


def test_the_browser_opens_at_the_region(made: MadeUp, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = report(made.genome, "--chunks", made.chunks, "-r", "first:101-400", "-o", page)
    assert result.exit_code == 0, result.output
    assert Read(page.read_text(encoding="utf-8")).data()["start"] == [0, 100, 400]


def test_the_same_inputs_make_the_same_page(made: MadeUp, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        assert report(made.genome, "--variants", made.variants, "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "nothing to show"),
        (["--variants", "-", "--genes", "-"], 2, "can be given once"),
        (["--variants", "missing.tsv"], 1, "missing.tsv does not exist"),
        (["--variants", "{essentiality}"], 1, "no column 'pos'"),
        (["--essentiality", "{genome}"], 1, "is a FASTA file"),
        (["--fitness", "{variants}"], 1, "no column 'mutant'"),
        (["--chunks", "{variants}"], 1, "is no chunk"),
        (["--track", "{chunks}"], 2, "--track"),
        (["--genes", "{chunks}", "-r", "nowhere"], 2, "nowhere"),
        (["--variants", "{variants}", "-o", "{variants}"], 2, "is also an input"),
        (["--variants", "{variants}", "-o", "no/such/folder.html"], 1, "does not exist"),
    ],
)
def test_bad_input_is_a_line_and_an_exit_code(made: MadeUp, arguments: list[str], code: int, says: str) -> None:
    files = {name: str(path) for name, path in vars(made).items()}
    result = report(made.genome, *(text.format(**files) for text in arguments))
    assert (result.exit_code, says in result.stderr) == (code, True), result.output
    assert result.stderr.count("\n") <= 2 and "Traceback" not in result.output
    assert not os.path.exists("report.html")
