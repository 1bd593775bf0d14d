"""The examples in the help of every command work as they stand, on files that have the names they use.

What differs from the command to copy is in `SHORTER` and `QUICKER`, for time alone: figures, and a model of this
machine's size. Those that take long all the same are read by the parser here, and run with -m slow.
"""

from __future__ import annotations

import glob
import gzip
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
import torch
import typer
from typer.testing import CliRunner

from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from dnahnet_cli.training import hardware
from tests.conftest import random_codes
from tests.evaluation.assays import write_assay
from tests.evaluation.organisms import write_organism

CHROMOSOME = decode(random_codes(10_100, 1))
GENE = "ATGAAACTGGGGTACTTCTGTGCGGATACC"
CODING = ((101, "+"), (1001, "-"), (3001, "+"))  # genes of 300 bases
# An option whose value is another here, by command; a value of two words stands for another option.
SHORTER: Final[Mapping[str, Mapping[str, str]]] = {
    "score-variants": {"--null": "5"},
    "train": {"--minutes": "--steps 2"},
    "train a.fa b.fa c.fa --heldout c --from": {"--from": "dnahnet-tiny", "--minutes": "--steps 2"},
    "train parts/ --watch": {"--minutes": "0.1", "--stop-after": "0.02"},
    "evaluate calibration": {"--null": "10", "--test": "10"},
    "evaluate compression": {"--window-bp": "400"},
    "benchmark forward": {"--max-length": "64", "--preset": "tiny"},
    "benchmark forward --device cuda": {"--device": "cuda" if torch.cuda.is_available() else "cpu"},
    "benchmark scaling": {"--rung": "1e8:1", "--minutes": "1", "--learning-rates": "1e-3,2e-3"},
    "benchmark tool": {"--scale": "0.0005"},
}
_FEW_RUNS: Final = "--sizes 1 --tokens-per-step 128 --length 64 --heldout-windows 2 --heldout-length 100 -t 1"
# Options that are given beside those of the example.
QUICKER: Final[Mapping[str, str]] = {
    "generate": "--length 40",
    "train": "--preset tiny --tokens-per-step 256 --length 128 --final-length 128 --markov-order 1 -t 1",
    "evaluate fitness": "--draws 20",
    "evaluate compression": "--draws 20 --window-bp 400 --markov 2",
    "evaluate essentiality": "--draws 20 --markov 2 --suffix 32 --no-bits",
    "evaluate boundaries": "--draws 20 --permutations 5 --window-bp 1000",
    "evaluate calibration": "--draws 20 --null 10 --test 10",
    "benchmark forward": "--preset tiny --min-length 32 --max-length 64 --rounds 1 -t 1",
    "benchmark scaling": _FEW_RUNS,
    "benchmark scaling genomes/": "--rung 1e8:1 --arch dnahnet --arch transformer",
    "benchmark tool": "--scale 0.0005 --only bc -t 1",
}
WITHOUT_MODEL: Final = ("completion", "models", "doctor", "pack", "merge", "report", "train", "evaluate report")
WITHOUT_MODEL_EITHER: Final = ("benchmark forward", "benchmark scaling")
SLOW: Final = (
    *("benchmark forward", "benchmark tool", "train genomes/", "evaluate calibration genome.fa --null"),
    *("score-variants genome.fa snps.vcf --device cpu,cpu", "score-variants genome.fa --all-snvs"),
)


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, by the words that call it."""
    if not hasattr(command, "commands"):
        yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, f"{path} {name}".strip())


LEAVES: Final = dict(leaves(typer.main.get_command(app)))


def examples_of(command: Any) -> list[str]:
    lines = (command.help or "").partition("Examples:")[2].splitlines()
    return [line.strip() for line in lines if "dnahnet " in line]


EXAMPLES: Final = list(chain.from_iterable(map(examples_of, LEAVES.values())))


def is_slow(example: str) -> bool:
    return example.partition("dnahnet ")[2].startswith(SLOW)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A small genome, its genes and variants, and what was made of them, under all names that examples use."""
    folder = tmp_path_factory.mktemp("examples")
    genome = write_genome(folder)
    write_genes(folder, genome)
    write_variants(folder, genome)
    write_training_genomes(folder)
    write_measurements(folder, genome)
    for suffix in (".safetensors", ".json"):
        shutil.copy(tiny_model.with_suffix(suffix), folder / f"my-model{suffix}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            "dnahnet score-variants genome.fa snps.vcf --genes genes.gff -o scored.tsv",
            "dnahnet score-variants genome.fa snps.vcf --genes genes.gff -o scored.vcf.gz",
            "dnahnet essentiality genome.fa genes.gff -o genes.tsv",
            "dnahnet boundaries genome.fa -o chunks.bed.gz",
            "dnahnet evaluate fitness assays/ --json fitness.json -o t.tsv",
            "dnahnet evaluate essentiality organisms/ --json essentiality.json -o t.tsv",
        ):
            run(command, b"", tiny_model)
    for name in ("fitness", "essentiality"):
        shutil.copy(folder / f"{name}.json", folder / "results")
    return folder


def write_genome(folder: Path) -> str:
    bases = list(CHROMOSOME)
    for start, strand in CODING:  # as annotations are checked for stop codons
        bases[start + 296 : start + 299] = "TAA" if strand == "+" else bases[start + 296 : start + 299]
        bases[start - 1 : start + 2] = "TTA" if strand == "-" else bases[start - 1 : start + 2]
    bases[2000 : 2000 + len(GENE)] = GENE
    genome = "".join(bases)
    for name in ("genome.fa", "assembly.fa"):
        (folder / name).write_text(f">chr1\n{genome}\n")
    (folder / "gene.fa").write_text(f">gene\n{GENE}\n")
    (folder / "promoters.fa").write_text(f">p\n{genome[:60]}\n")
    (folder / "mutants.txt").write_text("K2R\nc.4A>G\n")
    return genome


def write_genes(folder: Path, genome: str) -> None:
    lines = "".join(
        f"chr1\tx\tCDS\t{start}\t{start + 299}\t.\t{strand}\t0\tID=g{start};locus_tag=g{start}\n"
        for start, strand in CODING
    )
    for name in ("genes.gff", "annotation.gff"):
        (folder / name).write_text(f"##gff-version 3\n{lines}")
    (folder / "annotation.gff.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("genes.bed", "windows.bed"):
        (folder / name).write_text("chr1\t100\t400\n")
    cds = '     CDS             101..400\n                     /locus_tag="g1"\n'
    origin = "".join(f"{at + 1:>9} {genome[at : at + 60].lower()}\n" for at in range(0, len(genome), 60))
    head = f"LOCUS       chr1 {len(genome)} bp DNA linear\nFEATURES             Location/Qualifiers\n"
    (folder / "annotated.gbk").write_text(f"{head}{cds}ORIGIN\n{origin}//\n")


def write_variants(folder: Path, genome: str) -> None:
    rows = "".join(
        f"chr1\t{at}\t.\t{genome[at - 1]}\t{'A' if genome[at - 1] != 'A' else 'C'}\t9\tPASS\t.\n" for at in (150, 160)
    )
    vcf = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + rows
    (folder / "snps.vcf").write_text(vcf)
    (folder / "calls.vcf.gz").write_bytes(gzip.compress(vcf.encode()))
    (folder / "calls.bcf").write_text(vcf)  # what stands in for bcftools prints it


def write_training_genomes(folder: Path) -> None:
    genomes = folder / "genomes"
    for place in (genomes, folder / "heldout"):
        place.mkdir()
    for name, seed in (("Vibrio_cholerae", 1), ("Bacillus_subtilis", 2), ("Escherichia_coli", 3)):
        (genomes / f"{name}.fa").write_text(f">c\n{decode(random_codes(6000, seed))}\n")
    for seed, name in enumerate("abc"):
        (folder / f"{name}.fa").write_text(f">c\n{decode(random_codes(6000, seed))}\n")
        (folder / "heldout" / f"{name}.fa").write_text(f">c\n{decode(random_codes(3000, seed))}\n")
    header = "name\tgenus\tsplit\tfile\n"
    rows = "v\tVibrio\tval\t{0}Vibrio_cholerae.fa\nb\tBacillus\ttrain\t{0}Bacillus_subtilis.fa\n"
    (genomes / "manifest.tsv").write_text(header + rows.format(""))
    (folder / "train.tsv").write_text(header + rows.format("genomes/"))
    for name in ("benchmarks/results", "results", "page"):
        (folder / name).mkdir(parents=True)


def write_measurements(folder: Path, genome: str) -> None:
    write_assay(folder / "assays" / "BLAT_ECOLX_Stiffler_2015", 1, 12)
    write_assay(folder / "assays" / "DYR_ECOLI", 2, 12)
    peers = "".join(f"BLAT_ECOLX_Stiffler_2015\t{name}\t{rho}\n" for name, rho in (("good", 0.9), ("bad", -0.9)))
    (folder / "proteingym_spearman.tsv").write_text(f"dms_id\tmodel\tspearman\n{peers}")
    write_organism(folder / "organisms" / "ecoli", 1, 20, sets=("labels_tradis.tsv", "labels_keio.tsv"))
    (folder / "tss.tsv").write_text(
        "contig\tkind\tstart\tend\tstrand\nchr1\ttss\t80\t80\t+\nchr1\ttss\t1350\t1350\t-\n"
    )


@pytest.fixture
def folder(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with these files."""
    home = tmp_path / "home"
    shutil.copytree(inputs, home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(hardware, "matmul_ceiling", lambda *arguments: 1e11)  # half a minute that tests nothing
    return home


def test_every_command_has_examples() -> None:
    assert {"train", "report", "merge", "evaluate report", "benchmark scaling"} <= LEAVES.keys()
    for path, command in LEAVES.items():
        own = examples_of(command)
        assert len(own) >= 2, path
        assert all(f"dnahnet {path}" in example for example in own), path


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_understood(example: str) -> None:
    """Options, their values and their number are what the parser takes."""
    for part in re.split(r"\s\|\s", example):
        words = shlex.split(re.split(r"\s>>?\s", part)[0])
        if words[0] == "dnahnet":
            path = next(
                path for path in sorted(LEAVES, key=len, reverse=True) if words[1:][: len(path.split())] == path.split()
            )
            LEAVES[path].make_context(path, words[1 + len(path.split()) :])


@pytest.mark.parametrize(
    "example", [pytest.param(text, marks=[pytest.mark.slow] if is_slow(text) else []) for text in EXAMPLES]
)
def test_example(folder: Path, tiny_model: Path, example: str) -> None:
    prepare(example, folder, tiny_model)
    text = b""
    for part in re.split(r"\s\|\s", example):
        command, redirection, target = re.fullmatch(r"(.*?)(?:\s(>>?)\s(\S+))?", part).groups()  # type: ignore[union-attr]
        text = run(command, text, tiny_model)
        if redirection:
            path = Path(target.replace("~", str(folder)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
            assert text
    files = r"(?:-o|--detail|--plot|--picture|--save|--json|--json-summary|--features-output|--per-base) ([^\s-]\S*)"
    assert all((folder / name).exists() for name in re.findall(files, example))


def prepare(example: str, folder: Path, tiny_model: Path) -> None:
    """Make what an example needs that would be in the way of others."""
    if "genomes/ --heldout" in example:
        (folder / "genomes" / "manifest.tsv").unlink()  # a folder is read by its manifest, if it has one
    if "assembly.fa" in example:
        pytest.importorskip("pyrodigal")
    if "train parts/" in example:
        run("dnahnet pack genomes/manifest.tsv -o parts", b"", tiny_model)
    if "merge" in example:
        (folder / "shards").mkdir()
        whole = {
            "scores.": "score-variants genome.fa snps.vcf",
            "shards/": "score-variants genome.fa snps.vcf",
            "genes.": "essentiality genome.fa annotation.gff",
            "chunks.": "boundaries genome.fa",
        }
        first, pattern = next(
            (name, re.search(r"merge (\S+)", example)[1]) for name in whole if f"merge {name}" in example
        )  # type: ignore[index]
        for index in range(1, 5):
            output = pattern.replace("*", str(index))
            run(f"dnahnet {whole[first]} --shard {index}/4 -o {output}", b"", tiny_model)


def run(command: str, stdin: bytes, tiny_model: Path) -> bytes:
    """Run one part of a pipeline: dnahnet in this process, with the small network; anything else in a shell."""
    if command.startswith("bcftools view"):
        command = f"cat {command.split()[-1]}"
    if not command.startswith("dnahnet"):
        assert shutil.which(command.split()[0]), command
        return subprocess.run(["bash", "-c", command], input=stdin, capture_output=True, check=True).stdout
    given = command.removeprefix("dnahnet ")
    words = list(chain.from_iterable(sorted(glob.glob(w)) if "*" in w else [w] for w in shlex.split(given)))
    for start, shorter in SHORTER.items():
        if given.startswith(start):
            for option in shorter.keys() & set(words):
                place, value = words.index(option), shorter[option].split()
                words[place : place + 2] = [option, *value] if len(value) == 1 else value
    for start, more in QUICKER.items():
        if given.startswith(start):
            words += more.split()
    if not given.startswith((*WITHOUT_MODEL, *WITHOUT_MODEL_EITHER)):
        words += ["--model", str(tiny_model), "-t", "1"]
    result = CliRunner().invoke(app, words, input=stdin)
    assert result.exit_code == 0, f"{words}: {result.stderr}"
    return result.stdout_bytes
