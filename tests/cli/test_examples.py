"""The examples in the help of the commands work as they stand, on files that have the names they use."""

from __future__ import annotations

import gzip
import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dnahnet_cli.cli import (
    boundaries,
    completion,
    doctor,
    embed,
    essentiality,
    fitness,
    generate,
    models,
    pack,
    score,
    score_variants,
)
from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from tests.conftest import random_codes

COMMANDS = (
    *(boundaries.boundaries, completion.completion, doctor.doctor, embed.embed, essentiality.essentiality),
    *(fitness.fitness, generate.generate, models.models, pack.pack, score.score, score_variants.score_variants),
)
CHROMOSOME = decode(random_codes(10_100, 1))
GENE = "ATGAAACTGGGGTACTTCTGTGCGGATACC"
CODING = ((101, "+"), (1001, "-"), (3001, "+"))  # genes of 300 bases
WITHOUT_MODEL = ("completion", "models", "doctor", "pack")


def examples() -> list[str]:
    found = []
    for command in COMMANDS:
        lines = inspect.cleandoc(command.__doc__ or "").partition("Examples:")[2].replace("\\\\", "\\").splitlines()
        own = [line.strip() for line in lines if "dnahnet " in line]
        assert len(own) >= 2, command
        found += own
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with a small genome, its genes and variants, under all names that examples use."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    bases = list(CHROMOSOME)
    for start, strand in CODING:  # as annotations are checked for stop codons
        bases[start + 296 : start + 299] = "TAA" if strand == "+" else bases[start + 296 : start + 299]
        bases[start - 1 : start + 2] = "TTA" if strand == "-" else bases[start - 1 : start + 2]
    bases[2000 : 2000 + len(GENE)] = GENE
    genome = "".join(bases)
    for name in ("genome.fa", "assembly.fa"):
        (tmp_path / name).write_text(f">chr1\n{genome}\n")
    (tmp_path / "gene.fa").write_text(f">gene\n{GENE}\n")
    (tmp_path / "promoters.fa").write_text(f">p\n{genome[:60]}\n")
    (tmp_path / "mutants.txt").write_text("K2R\nc.4A>G\n")
    lines = "".join(
        f"chr1\tx\tCDS\t{start}\t{start + 299}\t.\t{strand}\t0\tID=g{start};locus_tag=g{start}\n"
        for start, strand in CODING
    )
    for name in ("genes.gff", "annotation.gff"):
        (tmp_path / name).write_text(f"##gff-version 3\n{lines}")
    (tmp_path / "annotation.gff.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("genes.bed", "windows.bed"):
        (tmp_path / name).write_text("chr1\t100\t400\n")
    cds = '     CDS             101..400\n                     /locus_tag="g1"\n'
    origin = "".join(f"{at + 1:>9} {genome[at : at + 60].lower()}\n" for at in range(0, len(genome), 60))
    head = f"LOCUS       chr1 {len(genome)} bp DNA linear\nFEATURES             Location/Qualifiers\n"
    (tmp_path / "annotated.gbk").write_text(f"{head}{cds}ORIGIN\n{origin}//\n")
    rows = "".join(
        f"chr1\t{at}\t.\t{genome[at - 1]}\t{'A' if genome[at - 1] != 'A' else 'C'}\t9\tPASS\t.\n" for at in (150, 160)
    )
    vcf = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + rows
    (tmp_path / "snps.vcf").write_text(vcf)
    (tmp_path / "calls.vcf.gz").write_bytes(gzip.compress(vcf.encode()))
    (tmp_path / "calls.bcf").write_text(vcf)  # what stands in for bcftools prints it
    genomes = tmp_path / "genomes"
    genomes.mkdir()
    for name, seed in (("Vibrio_cholerae", 1), ("Bacillus_subtilis", 2), ("Escherichia_coli", 3)):
        (genomes / f"{name}.fa").write_text(f">c\n{decode(random_codes(6000, seed))}\n")
    table = "name\tgenus\tsplit\tfile\n"
    table += "v\tVibrio\tval\tVibrio_cholerae.fa\nb\tBacillus\ttrain\tBacillus_subtilis.fa\n"
    (genomes / "manifest.tsv").write_text(table)
    return tmp_path


@pytest.mark.parametrize("example", examples())
def test_example(folder: Path, tiny_model: Path, example: str) -> None:
    if "genomes/ --heldout" in example:
        (folder / "genomes" / "manifest.tsv").unlink()  # a folder is read by its manifest, if it has one
    if "assembly.fa" in example:
        pytest.importorskip("pyrodigal")
    text = b""
    for part in re.split(r"\s\|\s", example):
        command, redirection, target = re.fullmatch(r"(.*?)(?:\s(>>?)\s(\S+))?", part).groups()  # type: ignore[union-attr]
        text = run(command, text, tiny_model)
        if redirection:
            path = Path(target.replace("~", str(folder)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
            assert text
    written = re.findall(r"(?:-o|--detail|--plot|--json-summary|--features-output|--per-base) (\S+)", example)
    assert all((folder / name).exists() for name in written)


def run(command: str, stdin: bytes, tiny_model: Path) -> bytes:
    """Run one part of a pipeline: dnahnet in this process, with the small network; anything else in a shell."""
    if command.startswith("bcftools view"):
        command = f"cat {command.split()[-1]}"
    if not command.startswith("dnahnet"):
        assert shutil.which(command.split()[0]), command
        return subprocess.run(["bash", "-c", command], input=stdin, capture_output=True, check=True).stdout
    words = [word.strip("'") for word in command.split()[1:]]
    if words[0] not in WITHOUT_MODEL:
        words += ["--model", str(tiny_model), "-t", "1"]
    if words[0] == "score-variants" and "--null" in words:
        words[words.index("--null") + 1] = "5"  # for time
    if words[0] == "generate":
        words += ["--length", "40"]  # for time; the last one counts
    result = CliRunner().invoke(app, words, input=stdin)
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes
