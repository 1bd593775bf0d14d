"""Annotations of Prokka and Bakta and calls of snippy, as those write them, from the command line to the page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from dnahnet_cli.cli.main import app
from dnahnet_cli.consequences.annotator import Annotator
from dnahnet_cli.consequences.load import GeneSet, read_gene_set, rename_hint
from dnahnet_cli.genome import Variant
from dnahnet_cli.io.fasta import Fasta
from tests.cli.conftest import Call, data_rows
from tests.cli.conftest import call as call
from tests.cli.conftest import tiny_model as tiny_model
from tests.report.pages import Read

HERE = Path(__file__).resolve().parent
SNIPPY = HERE / "snippy.vcf"
# Worked out by hand from the bases of the gene serS, bases 385 to 1125, and of those around it.
SNIPPY_EFFECTS = [
    ("", "intergenic_variant", "", ""),
    ("DEMO_00001", "missense_variant", "Tta/Ata", "L19I"),
    ("DEMO_00001", "upstream_gene_variant", "", ""),
    ("serS", "missense_variant", "Gat/Cat", "D3H"),
    ("serS", "stop_gained", "ATT/TAA", "I6*"),
    ("serS", "missense_variant", "TATGaa/AATCaa", "Y11N:E12Q"),
    ("serS", "frameshift_variant", "-/GG", "V16fs"),
    ("serS", "inframe_deletion", "ACT/-", "T23del"),
    ("serS", "frameshift_variant", "gGTCAATta/gCGta", "G29fs"),
    ("serS", "frameshift_variant", "ccA/cc", "I73fs"),
    ("DEMO_00003", "non_coding_transcript_exon_variant", "", ""),
    ("DEMO_00004", "missense_variant", "aTt/aAt", "I8N"),
    ("hisS", "missense_variant", "aCt/aAt", "T220N"),
]


def genome_of(annotation: Path, folder: Path) -> Path:
    """Write the sequences that stand under ##FASTA."""
    path = folder / f"{annotation.stem}.fa"
    path.write_text(annotation.read_text().partition("##FASTA\n")[2])
    return path


def gene_set(name: str, folder: Path) -> tuple[GeneSet, Path]:
    genome = genome_of(HERE / name, folder)
    with Fasta(genome) as fasta:
        return read_gene_set(str(HERE / name), fasta.lengths), genome


def test_what_prokka_says_is_read(tmp_path: Path) -> None:
    genes, _ = gene_set("prokka.gff", tmp_path)
    named = {gene.locus_tag: (gene.name, gene.start, gene.end, gene.strand.value) for gene in genes.coding}
    assert named == {
        "DEMO_00001": ("DEMO_00001", 146, 254, "-"),
        "DEMO_00002": ("serS", 384, 1125, "+"),
        "DEMO_00004": ("DEMO_00004", 1801, 3382, "-"),
        "DEMO_00005": ("hisS", 3353, 4658, "-"),
    }
    assert {gene.contig for gene in genes.coding} == {"gnl|Prokka|DEMO_1"} and not genes.circular and not genes.skipped
    assert [(gene.locus_tag, gene.kind, gene.product) for gene in genes.noncoding] == [
        ("DEMO_00003", "tRNA", "tRNA-Arg(acg)")
    ]


def test_what_bakta_says_is_read(tmp_path: Path) -> None:
    """A gene over the origin, percent-encoded text, a pseudogene, and features that are no genes."""
    genes, genome = gene_set("bakta.gff3", tmp_path)
    assert genes.circular == {"contig_1"} and not genes.skipped
    by_tag = {gene.locus_tag: gene for gene in genes.coding}
    assert list(by_tag) == [f"BKDEMO_000{n}" for n in ("05", "15", "20", "25")]
    assert (by_tag["BKDEMO_00005"].start, by_tag["BKDEMO_00005"].end) == (2553, 3858)
    assert by_tag["BKDEMO_00015"].product == "Bifunctional 3,4-enzyme; ATP=ADP & more (100%)"
    assert [tag for tag, gene in by_tag.items() if gene.pseudo] == ["BKDEMO_00020"]
    assert [(gene.name, gene.kind) for gene in genes.noncoding] == [("trnR", "tRNA"), ("ssrS", "other_RNA")]
    with Fasta(genome) as fasta:
        model = Annotator(fasta, genes.coding, genes.noncoding, genes.circular)
        assert not model.skipped
        # The gene of Prokka's file, base 4000 of which is base 1 of this contig.
        found = model.effects(Variant("contig_1", 0, "T", "A"))[0]
        pseudo = model.effects(Variant("contig_2", 199, "A", "T"))[0]
        before = [model.effects(Variant("contig_1", place, "ACGT"[place % 4], "N"))[0].gene for place in (3100, 3199)]
    assert (found.gene, found.codon_change, found.aa_change) == ("hisS", "Act/Tct", "T220S")
    assert pseudo.term.value == "non_coding_transcript_exon_variant" and before == ["hisS", "hisS"]


def test_two_commands_from_prokka_and_snippy_to_a_page(call: Call, tmp_path: Path) -> None:
    genome = genome_of(HERE / "prokka.gff", tmp_path)
    given = [genome, SNIPPY, "--genes", HERE / "prokka.gff", "--suffix", "16"]
    table = call("score-variants", *given)
    assert table.exit_code == 0, table.stderr
    rows = data_rows(table.stdout)
    assert [row["status"] for row in rows] == ["ok"] * 13
    names = ("gene", "consequence", "codon_change", "aa_change")
    assert [tuple(row[name] for name in names) for row in rows] == SNIPPY_EFFECTS
    scored = call("score-variants", *given, "--null", "20", "-o", "scored.vcf.gz")
    assert scored.exit_code == 0, scored.stderr
    page = CliRunner().invoke(
        app, ["report", str(genome), "--genes", str(HERE / "prokka.gff"), "--variants", "scored.vcf.gz"]
    )
    assert page.exit_code == 0, page.stderr
    shown = Read(Path("report.html").read_text(encoding="utf-8")).data()["variants"]
    columns = [column["key"] for column in shown["columns"]]
    cells: list[dict[str, Any]] = [dict(zip(columns, row, strict=False)) for row in shown["rows"]]
    damages = [cell["damage"] for cell in cells]
    assert damages == sorted(damages, reverse=True) and len(cells) == 13
    assert {cell["aa_change"] for cell in cells} >= {"I6*", "Y11N:E12Q", "V16fs"}


def test_genes_from_a_pipe(call: Call, tmp_path: Path, tiny_model: Path) -> None:
    """They are read twice all the same, and the rows are those of the file."""
    genome, genes = genome_of(HERE / "prokka.gff", tmp_path), HERE / "prokka.gff"
    model = ["--no-version", "--suffix", "4", "--model", str(tiny_model), "-t", "1"]
    arguments = ["score-variants", str(genome), str(SNIPPY), *model, "--genes"]
    expected = CliRunner().invoke(app, [*arguments, str(genes)]).stdout
    assert CliRunner().invoke(app, [*arguments, "-"], input=genes.read_bytes()).stdout == expected
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" <(gzip -c {genes}) -o out.tsv', "", sys.executable, "-m", "dnahnet_cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.tsv").read_text() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tsv", "prokka.fa"]


def test_what_is_wrong_with_a_pipe_is_said_in_the_words_of_the_command(call: Call, tmp_path: Path) -> None:
    genome = genome_of(HERE / "prokka.gff", tmp_path)
    result = CliRunner().invoke(app, ["score-variants", str(genome), "-", "--genes", "-"], input="")
    assert result.exit_code == 2 and "cannot both come from standard input" in result.stderr
    broken = "##gff-version 3\nc\tx\tCDS\t9\t5\t.\t+\t0\tID=a\n"
    arguments = ["score-variants", str(genome), str(SNIPPY), "--genes", "-"]
    result = CliRunner().invoke(app, arguments, input=broken)
    assert result.exit_code == 1 and result.stderr.startswith("dnahnet: standard input:2 spans 9-5"), result.stderr
    result = CliRunner().invoke(app, arguments, input=broken.replace("9\t5", "5\t9"))
    assert result.exit_code == 1
    assert "--rename-contigs <(echo 'c gnl|Prokka|DEMO_1')" in result.stderr


def test_names_of_contigs_to_copy(call: Call, tmp_path: Path) -> None:
    """Prokka's GenBank file, which snippy takes, has other names than its FASTA; the cure is a line to copy."""
    genome, calls = genome_of(HERE / "prokka.gff", tmp_path), tmp_path / "calls.vcf"
    calls.write_text(SNIPPY.read_text().replace("gnl|Prokka|", ""))
    result = call("score-variants", genome, calls, "--null", "1000", "-o", "o.tsv")
    assert result.exit_code == 1 and "random SNVs" not in result.stderr  # said before they are scored
    assert not (tmp_path / "o.tsv.partial").exists()
    assert "--rename-contigs <(echo 'DEMO_1 gnl|Prokka|DEMO_1')" in result.stderr
    assert "such as" not in rename_hint("chr", ["one", "two"])  # no guess where nothing is alike
    assert "'NC_018507 NC_018507.1'" in rename_hint("NC_018507", ["contig_7", "NC_018507.1"])
    (tmp_path / "names").write_text("DEMO_1 gnl|Prokka|DEMO_1\n")
    result = call("score-variants", genome, calls, "--rename-contigs", "names", "--suffix", "4")
    assert result.exit_code == 0 and "13 of 13" in result.stderr
