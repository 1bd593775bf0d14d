"""Malformed input, class by class: the files, the command, and what is said. A page of the documentation is made here.

`python -m tests.cli.bad_input` writes docs/reference/bad-input.md; `test_bad_input.py` runs every row and compares.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from typer.testing import CliRunner

from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from dnahnet_cli.networks.weights import save_weights
from tests.conftest import lively_model, random_codes
from tests.io.conftest import bgzip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "bad-input.md"

_CODING = "ATGGCCAAACAGTTTGGATGCTGGTACTAA"
_RANDOM = decode(random_codes(370, 3))
BASES = _RANDOM[:100] + _CODING + _RANDOM[100:]
_HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
_GOOD = "c1\t105\t.\tC\tT\t.\t.\t.\n"
_CDS = "c1\tx\tCDS\t101\t130\t.\t+\t0\tID=cds1;locus_tag=T1\n"
_GENBANK = "LOCUS       c1  30 bp DNA linear\nFEATURES             Location/Qualifiers\n     CDS             1..30\n"
_ORIGIN = f"ORIGIN\n        1 {_CODING.lower()}\n//\n"

# What lies in the folder of every case, unless it has its own.
_FILES: Mapping[str, str] = {
    "genome.fa": f">c1\n{BASES}\n>c2\n{BASES[:60]}\n",
    "calls.vcf": _HEAD + _GOOD,
    "genes.gff": "##gff-version 3\n" + _CDS,
    "gene.fa": f">gene\n{_CODING}\n",
    "mutants.txt": "A2V\n",
    "regions.bed": "c1\t0\t200\n",
}
_SCORE = ("score-variants", "genome.fa", "calls.vcf")
_GENES = ("score-variants", "genome.fa", "calls.vcf", "--genes")
_RANK = ("essentiality", "genome.fa", "genes.gff")
_FITNESS = ("fitness", "gene.fa", "mutants.txt")


@dataclass(frozen=True)
class Case:
    """`what` is malformed in `files`; `command` is run beside them and ends with `code`.

    `varies` matches what depends on versions and machines; dots stand in its place. Of a run that ends with 0, `shows`
    finds what becomes of the row.
    """

    what: str
    command: Sequence[str]
    files: Mapping[str, str | bytes | Callable[[], bytes]] = field(default_factory=dict)
    code: int = 1
    varies: str = ""
    shows: str = ""


def outcome(case: Case, folder: Path) -> tuple[int, str]:
    """Run a case in an empty folder; return the exit code and what was said."""
    for name, content in {**_FILES, **case.files}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        data = content() if callable(content) else content
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    arguments = list(case.command)
    if "--model" not in arguments and arguments[0] in _WITH_MODEL:
        (folder / "tiny.safetensors").write_bytes(_weights()[0])
        (folder / "tiny.json").write_bytes(_weights()[1])
        arguments += ["--model", "tiny.safetensors", "-t", "1", "--no-progress"]
    with chdir(folder):
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "400", "TERM": "dumb"})
    said = _boxed(result.stderr) or re.split(r"(?m)^dnahnet: ", result.stderr.strip())[-1]
    if case.shows:
        found = re.search(case.shows, result.stdout + result.stderr)
        said = found[0].strip() if found else f"nothing like {case.shows}: {said}"
    if case.varies:
        said = re.sub(case.varies, "...", said)
    return result.exit_code, said


_WITH_MODEL = ("score-variants", "essentiality", "boundaries", "fitness", "score", "evaluate")


def _boxed(text: str) -> str:
    """Return what stands in the box that errors of options are shown in."""
    inside = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    return " ".join(inside)


def row(case: Case, code: int, said: str) -> str:
    """Return a case's row of the page."""
    shown = re.sub(r"([|*`\[])", r"\\\1", said.replace("<", "&lt;").replace("\t", " ")).split("\n")
    return f"| {case.what} | {code} | {'<br>'.join(shown)} |"


# --- files that take more than a word ---


@cache
def _weights(**changes: Any) -> tuple[bytes, bytes]:
    """Return a small network's weights and their card."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        save_weights(lively_model(), path, {})
        return path.read_bytes(), path.with_suffix(".json").read_bytes()


def _vouched(data: bytes | Callable[[], bytes], name: str = "mine") -> dict[str, str | bytes | Callable[[], bytes]]:
    """Return a weights file and a card that says it is as it should be."""

    def made() -> bytes:
        return data() if callable(data) else data

    return {
        f"{name}.safetensors": made,
        f"{name}.json": lambda: json.dumps({"sha256": hashlib.sha256(made()).hexdigest()}).encode(),
    }


def _with_config(**changes: Any) -> Callable[[], bytes]:
    """Return weights whose configuration says something else."""

    def made() -> bytes:
        data = _weights()[0]
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        config = {**json.loads(header["__metadata__"]["config"]), **changes}
        header["__metadata__"]["config"] = json.dumps({k: v for k, v in config.items() if v is not None})
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + size :]

    return made


def _bcf(cut: int = 0) -> Callable[[], bytes]:
    def made() -> bytes:
        import pysam

        with TemporaryDirectory() as folder:
            source, target = Path(folder) / "s.vcf", Path(folder) / "t.bcf"
            source.write_text(_HEAD.replace("#CHROM", "##contig=<ID=c1>\n#CHROM") + _GOOD * 3)
            with (
                pysam.VariantFile(str(source)) as records,
                pysam.VariantFile(str(target), "wb", header=records.header) as out,
            ):
                for record in records:
                    out.write(record)
            data = gzip.decompress(target.read_bytes())
        return bgzip(data[: len(data) - cut])

    return made


def _mutated(number: int) -> str:
    """Return that many SNVs of which every other REF is wrong."""
    lines = []
    for at in range(number):
        ref = BASES[at] if at % 2 else "ACGT"[("ACGT".index(BASES[at]) + 1) % 4]
        alt = "ACGT"[("ACGT".index(ref) + 2) % 4]
        lines.append(f"c1\t{at + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")
    return "".join(lines)


def _one(ref: str, alt: str, pos: int = 105, contig: str = "c1") -> dict[str, str]:
    return {"calls.vcf": _HEAD + f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" + _GOOD}


def _status(what: str, status: str, files: Mapping[str, str], *options: str) -> Case:
    return Case(what, (*_SCORE, *options), files, 0, shows=rf"1 {status}: .*")


def _gff(line: str) -> dict[str, str]:
    return {"genes.gff": "##gff-version 3\n" + line}


def _train(*sources: str) -> tuple[str, ...]:
    return ("pack", *sources, "-o", "parts")


_MANIFEST = "name\tgenus\tsplit\tfile\n"
_SITES = ("evaluate", "boundaries", "genome.fa", "--genes", "genes.gff", "--sites", "s.tsv")
_SITE_COLUMNS = "contig\tkind\tstart\tend\tstrand\n"
_ASSAY = ("evaluate", "fitness", "assay")
_GENE = {"assay/cds.fna": f">g\n{_CODING}\n", "assay/variants.tsv": "mutant\tdms_score\nA2V\t1\n"}
_LABELS = ("evaluate", "essentiality", "o")
_ORGANISM = {"o/genome.fna": f">c1\n{BASES}\n"}
_LABEL_COLUMNS = "locus_tag\tessential\taccession\tstart\tend\tstrand\n"
_SHARD = "##dnahnet_shard={}, run ab12\nchrom\tpos\tid\nc1\t5\t.\n"

SECTIONS: Mapping[str, Sequence[Case]] = {
    "Any file": [
        Case("not there", ("score-variants", "genome.fa", "none.vcf")),
        Case("a folder", ("score-variants", "genome.fa", "folder"), {"folder/x": "x"}),
        Case("a name that is too long", ("score-variants", "genome.fa", "x" * 300), varies=r"x{20,}(\.\.\.x+)?"),
        Case("empty", _SCORE, {"calls.vcf": ""}),
        Case("gzip of nothing", _SCORE, {"calls.vcf": gzip.compress(b"")}),
        Case(
            "gzip that is cut off",
            _SCORE,
            {"calls.vcf": gzip.compress((_HEAD + _GOOD).encode())[:-12]},
            varies=r"\(.*\)",
        ),
        Case("bgzip that is cut off between blocks", _SCORE, {"calls.vcf": bgzip((_HEAD + _GOOD).encode())[:-28]}),
        Case("compressed twice", _SCORE, {"calls.vcf": gzip.compress(gzip.compress(_HEAD.encode()))}),
        Case(
            "compressed in another way",
            _SCORE,
            {"calls.vcf": b"\x28\xb5\x2f\xfd" + bytes(20)},
        ),
        Case("a zip or Excel file", _SCORE, {"calls.vcf": b"PK\x03\x04" + bytes(20)}),
        Case("UTF-16", _SCORE, {"calls.vcf": _HEAD.encode("utf-16")}),
        Case(
            "a line that does not end (here 70 MB, 0.3 MB compressed)",
            _SCORE,
            {"calls.vcf": lambda: gzip.compress(_HEAD.encode() + b"c1" * 35_000_000, 1)},
        ),
        Case(
            "a decompression bomb (here 1.1 GB of blank lines, 5 MB compressed)",
            ("score-variants", "bomb.fa.gz", "calls.vcf"),
            {
                "bomb.fa.gz": lambda: (
                    gzip.compress(b">c1\nA\n", 1) + gzip.compress(b"A" * 79 + b"\n" * (1 << 20), 1) * 1100
                )
            },
        ),
    ],
    "FASTA": [
        Case("standard input", ("score-variants", "-", "calls.vcf"), code=2),
        Case("text in front of the first header", _SCORE, {"genome.fa": "my genome\n>c1\nACGT\n"}),
        Case("comments only", _SCORE, {"genome.fa": "; nothing\n"}),
        Case("a header without a name", _SCORE, {"genome.fa": ">c1\nACGT\n> \nACGT\n"}),
        Case("a header and its sequence on one line", _SCORE, {"genome.fa": ">c1 " + "ACGT" * 20_000}),
        Case("two contigs of one name", _SCORE, {"genome.fa": ">c1 x\nACGT\n>c1 y\nACGT\n"}),
        Case("line ends of an old Macintosh", _SCORE, {"genome.fa": ">c1\rACGT\r"}),
        Case("proteins", _SCORE, {"genome.fa": ">p1\nMKVLAAGIWFEQ\n"}),
        Case("reads", _SCORE, {"genome.fa": "@read1\nACGT\n+\nIIII\n"}),
        Case("GFF in place of FASTA", _SCORE, {"genome.fa": "##gff-version 3\n"}),
        Case("BAM in place of FASTA", _SCORE, {"genome.fa": bgzip(b"BAM\x01" + bytes(9))}),
        Case(
            "letters that are no nucleotides, some not ASCII: they count as N",
            ("score", "genome.fa", "-q"),
            {"genome.fa": f">c1\n{BASES}Ä.*x\n"},
            0,
            shows=r"c1\t1\t\d+\t\S+\t\d+",
        ),
        Case("GenBank without sequences", _SCORE, {"genome.fa": _GENBANK + "//\n"}),
        Case("GenBank with other signs among its bases", _SCORE, {"genome.fa": _GENBANK + "ORIGIN\n 1 acgt>c2\n//\n"}),
        Case("GenBank whose record has no name", _SCORE, {"genome.fa": "LOCUS \nACCESSION\nORIGIN\n 1 acgt\n//\n"}),
        Case("GenBank with text between its records", _SCORE, {"genome.fa": _GENBANK + _ORIGIN + "some text\n"}),
    ],
    "VCF and BCF": [
        Case("no `#CHROM` line", _SCORE, {"calls.vcf": "##fileformat=VCFv4.2\n" + _GOOD}),
        Case("no header at all", _SCORE, {"calls.vcf": _GOOD}),
        Case("a header only", _SCORE, {"calls.vcf": _HEAD}, 0, shows="0 of 0 rows.*(?= in)"),
        Case("comments only", _SCORE, {"calls.vcf": "# a comment\n"}),
        Case("a line with too few columns", _SCORE, {"calls.vcf": _HEAD + _GOOD + "c1\t9\t.\tA\n"}),
        Case("blanks for tabs", _SCORE, {"calls.vcf": _HEAD + _GOOD.replace("\t", " ")}),
        Case("fewer columns than samples", _SCORE, {"calls.vcf": _HEAD[:-1] + "\tFORMAT\ts1\n" + _GOOD}),
        Case("a position that is no number", _SCORE, {"calls.vcf": _HEAD + _GOOD.replace("105", "1e5")}),
        Case("a position of more than 18 digits", _SCORE, {"calls.vcf": _HEAD + _GOOD.replace("105", "9" * 25)}),
        Case("FASTA in place of variants", ("score-variants", "genome.fa", "genome.fa")),
        Case("GFF in place of variants", ("score-variants", "genome.fa", "genes.gff")),
        Case("Parquet in place of variants", _SCORE, {"calls.vcf": b"PAR1\x15\x04"}),
        Case("BCF that is cut off", _SCORE, {"calls.vcf": _bcf(20)}, varies=r"\(.*\)"),
        Case("BCF without a header", _SCORE, {"calls.vcf": bgzip(b"BCF\x02\x02" + bytes(40))}, varies=r"\(.*\)"),
        Case("contigs of other names", _SCORE, {"calls.vcf": _HEAD + _GOOD.replace("c1", "chr1")}),
        Case("variants of another assembly", _SCORE, {"calls.vcf": _HEAD + _mutated(120)}),
        Case("none that can be scored", _SCORE, {"calls.vcf": _HEAD + _GOOD.replace("T", "<DEL>")}),
        Case(
            "REF is not the genome's, `--on-ref-mismatch error`",
            (*_SCORE, "--on-ref-mismatch", "error"),
            _one("G", "T"),
        ),
        Case(
            "records that htslib refuses, `-o x.bcf`",
            (*_SCORE, "-o", "x.bcf"),
            {"calls.vcf": _HEAD + _GOOD + _GOOD.replace("105", "9" * 17)},
            varies=r"\(.*\)",
        ),
    ],
    "Rows of variants: the run goes on, with exit code 0": [
        _status("the genome has no such contig", "contig_not_found", _one("C", "T", contig="c9")),
        _status("position 0, or behind the contig's end", "out_of_range", _one("C", "T", 0)),
        _status("REF is not the genome's", "ref_mismatch", _one("G", "T")),
        _status("REF with other letters than A, C, G, T", "ref_not_acgt", _one("N", "T")),
        _status("ALT with other letters than A, C, G, T", "alt_not_acgt", _one("C", "R")),
        _status("ALT is `<DEL>` or the like", "symbolic", _one("C", "<DEL>")),
        _status("ALT is a breakend", "breakend", _one("C", "C[c1:5[")),
        _status("ALT is `*`", "spanning_deletion", _one("C", "*")),
        _status("ALT is `.`, missing, or REF", "no_alt", _one("C", ".")),
        _status("an allele longer than `--max-indel`", "too_long", _one("C", "C" + "A" * 30), "--max-indel", "20"),
        _status("nothing behind the variant to compare", "ambiguous_context", _one(BASES[-1], "CA", len(BASES))),
    ],
    "Tables of variants": [
        Case("no header, and not 4 or 5 columns", _SCORE, {"calls.vcf": "c1\t105\tC\tT\t0.5\n"}),
        Case("blanks for tabs", _SCORE, {"calls.vcf": "chrom pos ref alt\nc1 105 C T\n"}),
        Case("a header without a column that is needed", _SCORE, {"calls.vcf": "chrom\tpos\tref\nc1\t105\tC\n"}),
        Case("a row that is too short", _SCORE, {"calls.vcf": "chrom\tpos\tref\talt\nc1\t105\tC\n"}),
        Case("a position that is no number", _SCORE, {"calls.vcf": "chrom\tpos\tref\talt\nc1\t1.5\tC\tT\n"}),
    ],
    "Genes: GFF3, GTF, BED, GenBank": [
        Case("a line with too few columns", _RANK, _gff(_CDS + "c1\tx\tCDS\t1\t9\n")),
        Case("blanks for tabs", _RANK, _gff(_CDS.replace("\t", " "))),
        Case("a coordinate that is no number", _RANK, _gff(_CDS.replace("101", "x1"))),
        Case("an end before its start", _RANK, _gff(_CDS.replace("130", "30"))),
        Case("a start below 1", _RANK, _gff(_CDS.replace("101", "0"))),
        Case("no coding sequence", _RANK, _gff(_CDS.replace("CDS", "tRNA"))),
        Case("no strand", _RANK, _gff(_CDS.replace("+", "."))),
        Case(
            "parts on both strands, beside other genes",
            _RANK,
            _gff(_CDS + "c2\tx\tCDS\t1\t9\t.\t+\t0\tID=t\nc2\tx\tCDS\t13\t21\t.\t-\t0\tID=t\n"),
            0,
            shows="1 left out.*",
        ),
        Case(
            "a part within another, or twice the same, beside other genes",
            _RANK,
            _gff(_CDS + "c2\tx\tCDS\t1\t30\t.\t+\t0\tID=t\nc2\tx\tCDS\t4\t9\t.\t+\t0\tID=t\n"),
            0,
            shows="1 left out.*",
        ),
        Case("FASTA in place of genes", ("essentiality", "genome.fa", "genome.fa")),
        Case("VCF in place of genes", ("essentiality", "genome.fa", "calls.vcf")),
        Case("an attribute that no gene has", (*_RANK, "--id-attr", "old_tag")),
        Case("genes of another genome, `--genes`", (*_GENES, "genes.gff"), _gff(_CDS.replace("c1", "chr1"))),
        Case("genes of another genome, with `-r`", (*_RANK, "-r", "c1"), _gff(_CDS.replace("c1", "chr1"))),
        Case(
            "a gene behind the end of its contig, beside other genes",
            _RANK,
            _gff(_CDS + "c2\tx\tCDS\t1\t999\t.\t+\t0\tID=t\n"),
            0,
            shows="1 out_of_range.*|1 .*contig.*",
        ),
        Case("BED with fewer than six columns", _RANK, {"genes.gff": "c1\t100\t130\n"}),
        Case("BED: an end before its start", _RANK, {"genes.gff": "c1\t130\t100\tx\t0\t+\n"}),
        Case("BED12: blocks that do not fit", _RANK, {"genes.gff": "c1\t0\t9\tx\t0\t+\t0\t9\t0\t2\t3,3\t0\n"}),
        Case("GenBank without a CDS", _RANK, {"genes.gff": "LOCUS       c1  9 bp\n//\n"}),
        Case("GenBank: a feature without a location", _RANK, {"genes.gff": _GENBANK[:-6].rstrip() + "\n//\n"}),
        Case("no genes given, and none to be found", ("essentiality", "small.fa"), {"small.fa": ">c\nACGTACGT\n"}),
    ],
    "Regions and names of contigs": [
        Case("BED: a line that is none", (*_SCORE, "-R", "regions.bed"), {"regions.bed": "c1 0 200\n"}),
        Case("BED: an unknown contig", (*_SCORE, "-R", "regions.bed"), {"regions.bed": "c9\t0\t200\n"}),
        Case("BED: behind the contig's end", (*_SCORE, "-R", "regions.bed"), {"regions.bed": "c1\t0\t401\n"}),
        Case("BED without a region", (*_SCORE, "-R", "regions.bed"), {"regions.bed": "# none\n"}),
        Case("VCF in place of BED", (*_SCORE, "-R", "calls.vcf")),
        Case("`-r`: an unknown contig", (*_SCORE, "-r", "c9:1-9"), code=2),
        Case(
            "`-r` without a variant, as under another name",
            (*_SCORE, "-r", "c1"),
            {"calls.vcf": _HEAD + _GOOD.replace("c1", "chr1")},
            0,
            shows="no variant.*",
        ),
        Case("`-r`: behind the contig's end", (*_SCORE, "-r", "c1:1-401"), code=2),
        Case("`-r`: an end before its start", (*_SCORE, "-r", "c1:9-1"), code=2),
        Case("`-r`: a start of 0", (*_SCORE, "-r", "c1:0-9"), code=2),
        Case("`-r`: no range", (*_SCORE, "-r", "c1:x"), code=2),
        Case("`--rename-contigs`: not two words", (*_SCORE, "--rename-contigs", "n"), {"n": "chr1 c1 c2\n"}),
        Case("`--rename-contigs`: a name the genome lacks", (*_SCORE, "--rename-contigs", "n"), {"n": "chr1 c9\n"}),
        Case("`--rename-contigs`: one name twice", (*_SCORE, "--rename-contigs", "n"), {"n": "x c1\nx c2\n"}),
        Case("`--circular`: neither a word nor a file", (*_SCORE, "--circular", "yes"), code=2),
        Case("`--circular`: a name the genome lacks", (*_SCORE, "--circular", "n"), {"n": "c9\n"}),
    ],
    "Mutants": [
        Case("no mutant", _FITNESS, {"mutants.txt": "# none\n"}),
        Case("a header and no row", _FITNESS, {"mutants.txt": "mutant\tscore\n"}),
        Case("a table without a column of mutants", _FITNESS, {"mutants.txt": "name\tscore\nA2V\t1\n"}),
        Case("a row with other columns", _FITNESS, {"mutants.txt": "mutant\tscore\nA2V\n"}),
        Case("a measurement that is no number", _FITNESS, {"mutants.txt": "mutant\tscore\nA2V\thigh\n"}),
        Case("line ends of an old Macintosh", _FITNESS, {"mutants.txt": "A2V\rA2G\r"}, varies=r"(?<=table )\(.*\)"),
        Case("`--measured`: no such column", (*_FITNESS, "--measured", "x"), {"mutants.txt": "mutant\ty\nA2V\t1\n"}, 2),
        Case("`--measured` with a plain list", (*_FITNESS, "--measured", "x"), code=2),
        Case("a mutant that is none, beside others", _FITNESS, {"mutants.txt": "A2V\nhello\n"}, 0, shows="  1 .*"),
        Case("another residue there, beside others", _FITNESS, {"mutants.txt": "A2V\nW2V\n"}, 0, shows="  1 .*"),
        Case("the gene: two sequences", _FITNESS, {"gene.fa": f">a\n{_CODING}\n>b\n{_CODING}\n"}),
        Case("the gene: no whole codons", _FITNESS, {"gene.fa": ">a\nATGGC\n"}),
        Case("the gene: stop codons within", _FITNESS, {"gene.fa": f">a\n{_CODING * 2}\n"}, 0, shows="gene.fa has .*"),
        Case("the gene is not in the genome", (*_FITNESS, "--genome", "g.fa"), {"g.fa": f">c\n{_RANDOM}\n"}),
        Case("the protein is another", (*_FITNESS, "--protein", "p.faa"), {"p.faa": ">p\nMWWWWWWWW\n"}),
    ],
    "What was measured, for `evaluate`": [
        Case("sites: a table without a column", _SITES, {"s.tsv": "contig\tkind\tstart\tend\nc1\ttss\t5\t5\n"}),
        Case("sites: a start that cannot be", _SITES, {"s.tsv": _SITE_COLUMNS + "c1\ttss\t0\t5\t+\n"}),
        Case("sites: a strand that is none", _SITES, {"s.tsv": _SITE_COLUMNS + "c1\ttss\t5\t5\tfwd\n"}),
        Case("sites: a row of another length", _SITES, {"s.tsv": _SITE_COLUMNS + "c1\ttss\t5\n"}),
        Case("sites: none", _SITES, {"s.tsv": _SITE_COLUMNS}),
        Case("sites: VCF in place of a table", (*_SITES[:-1], "calls.vcf")),
        Case("an assay: a table of other columns", _ASSAY, {"assay/variants.tsv": "name\tvalue\nA2V\t1\n"}),
        Case(
            "an assay: a measurement that is no number",
            _ASSAY,
            {**_GENE, "assay/variants.tsv": "mutant\tdms_score\nA2V\tlow\n"},
        ),
        Case("an assay: coding bases of another protein", _ASSAY, {**_GENE, "assay/protein.faa": ">p\nMWWWWWWWW\n"}),
        Case(
            "an assay: coding bases that are not in the region",
            _ASSAY,
            {**_GENE, "assay/region.fna": f">r\n{_RANDOM}\n"},
        ),
        Case("a folder without an assay", ("evaluate", "fitness", "folder"), {"folder/x": "x"}),
        Case(
            "labels: a table without a column", _LABELS, {**_ORGANISM, "o/labels.tsv": "locus_tag\taccession\nT1\tc1\n"}
        ),
        Case(
            "labels: other values than 1, 0 and nothing",
            _LABELS,
            {**_ORGANISM, "o/labels.tsv": _LABEL_COLUMNS + "T1\tyes\tc1\t101\t130\t+\n"},
        ),
        Case(
            "labels: a place that cannot be",
            _LABELS,
            {**_ORGANISM, "o/labels.tsv": _LABEL_COLUMNS + "T1\t1\tc1\t130\t101\t+\n"},
        ),
        Case(
            "labels of another genome",
            _LABELS,
            {**_ORGANISM, "o/labels.tsv": _LABEL_COLUMNS + "T1\t1\tchr1\t101\t130\t+\n"},
        ),
        Case("a folder without labels", ("evaluate", "essentiality", "folder"), {"folder/x": "x"}),
    ],
    "Weights": [
        Case("no model of that name", (*_SCORE, "--model", "dnahnet-huge"), varies=r"(?<=bundled: ).*?(?=\. A)"),
        Case("a file that is not there", (*_SCORE, "--model", "mine.safetensors")),
        Case("no card beside it", (*_SCORE, "--model", "mine.safetensors"), {"mine.safetensors": "x"}),
        Case(
            "a card that is no JSON, or without a checksum",
            (*_SCORE, "--model", "mine.safetensors"),
            {"mine.safetensors": "x", "mine.json": "{"},
        ),
        Case(
            "a card of more than 1 MiB",
            (*_SCORE, "--model", "mine.safetensors"),
            {"mine.safetensors": "x", "mine.json": b"[" * (1 << 21)},
        ),
        Case(
            "another checksum than the card's",
            (*_SCORE, "--model", "mine.safetensors"),
            {**_vouched(b"x"), "mine.safetensors": "changed"},
        ),
        Case("a file of another kind", (*_SCORE, "--model", "mine.safetensors"), _vouched(b"PK\x03\x04 a zip")),
        Case(
            "a header that is said to have 2^40 bytes",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(struct.pack("<Q", 1 << 40) + b"{}"),
        ),
        Case(
            "weights that are cut off",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(lambda: _weights()[0][:-9]),
            varies=r"(?<=configuration: ).*",
        ),
        Case(
            "no configuration",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(lambda: (lambda d: d[:8] + d[8:].replace(b'"config"', b'"konfig"', 1))(_weights()[0])),
            varies=r"(?<=configuration: ).*",
        ),
        Case(
            "an architecture that is not known",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(_with_config(arch="bert")),
        ),
        Case(
            "a configuration with a value that cannot be",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(_with_config(state_size=-5)),
        ),
        Case(
            "a configuration of more parameters than the file has room for",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(_with_config(widths=[100_000, 100_000, 100_000])),
        ),
        Case(
            "tensors of another size than the configuration's",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(_with_config(widths=[32, 48, 80])),
            varies=r"(?<=configuration: ).*",
        ),
        Case(
            "values that are not numbers",
            (*_SCORE, "--model", "mine.safetensors"),
            _vouched(lambda: _nan_weights()),
            varies=r"(?<=c1:).*?(?= )",
        ),
        Case(
            "a card whose entries are of another kind",
            ("models", "mine.safetensors"),
            {
                "mine.safetensors": "x",
                "mine.json": json.dumps({"sha256": hashlib.sha256(b"x").hexdigest(), "training": 5}),
            },
            varies=r"(?<=kind: ).*?(?=\.\n)",
        ),
    ],
    "What is trained on": [
        Case("nothing to hold out", _train("genome.fa")),
        Case("a manifest without a column", _train("m.tsv"), {"m.tsv": "name\tfile\n"}),
        Case("a row of another length", _train("m.tsv"), {"m.tsv": _MANIFEST + "a\tA\n"}),
        Case("a split other than train and val", _train("m.tsv"), {"m.tsv": _MANIFEST + "a\tA\ttest\tgenome.fa\n"}),
        Case("a file that is not there", _train("m.tsv"), {"m.tsv": _MANIFEST + "a\tA\ttrain\tx.fa\n"}),
        Case("an empty name", _train("m.tsv"), {"m.tsv": _MANIFEST + "\tA\ttrain\tgenome.fa\n"}),
        Case("one name twice", _train("m.tsv"), {"m.tsv": _MANIFEST + "a\tA\ttrain\tgenome.fa\n" * 2}),
        Case(
            "a genus on both sides",
            _train("m.tsv"),
            {"m.tsv": _MANIFEST + "a\tA\ttrain\tgenome.fa\nb\tA\tval\tgenome.fa\n"},
        ),
        Case("a genome without bases", _train("e.fa", "--no-heldout"), {"e.fa": ">c1\n>c2\n"}),
        Case(
            "a protein among the contigs",
            _train("e.fa", "--no-heldout"),
            {"e.fa": f">c1\n{BASES}\n>p\n{'MKVLAAGIWFEQ' * 90}\n"},
        ),
        Case(
            "2bit that is cut off, or points out of itself",
            _train("e.2bit", "--no-heldout"),
            {"e.2bit": struct.pack("<IIII", 0x1A412743, 0, 1, 0) + b"\x02c1" + struct.pack("<II", 23, 400)},
        ),
        Case(
            "a part file that is cut off, changed, or none",
            _train("p.safetensors", "--no-heldout"),
            {"p.safetensors": struct.pack("<Q", 2) + b"{}"},
        ),
        Case("a folder without genomes", _train("folder"), {"folder/x.txt": "x"}),
        Case("a file of another kind", _train("x.gff"), {"x.gff": "##gff-version 3\n"}),
    ],
    "Runs that are gone on with, and shards": [
        Case(
            "`--resume`: a file that is no partial output",
            (*_SCORE, "-o", "s.tsv", "--resume"),
            {"s.tsv.partial": "my notes\n"},
            2,
        ),
        Case("`merge`: a file that is no shard", ("merge", "x.tsv"), {"x.tsv": "chrom\tpos\n"}),
        Case("`merge`: a shard is missing", ("merge", "x.tsv"), {"x.tsv": _SHARD.format("1/3, rows 1-1 of 3")}),
        Case(
            "`merge`: a shard twice",
            ("merge", "x.tsv", "y.tsv"),
            {name: _SHARD.format("1/2, rows 1-1 of 2") for name in ("x.tsv", "y.tsv")},
        ),
        Case(
            "`merge`: shards of different runs",
            ("merge", "x.tsv", "y.tsv"),
            {"x.tsv": _SHARD.format("1/2, rows 1-1 of 2"), "y.tsv": _SHARD.format("2/3, rows 2-2 of 3")},
        ),
        Case(
            "`merge`: a shard that lacks rows",
            ("merge", "x.tsv"),
            {"x.tsv": _SHARD.format("1/1, rows 1-9 of 9")},
        ),
        Case(
            "`merge`: a shard that is cut off",
            ("merge", "x.tsv"),
            {"x.tsv": _SHARD.format("1/1, rows 1-1 of 1")[:-5]},
        ),
        Case(
            "`merge`: Parquet that is damaged", ("merge", "x.parquet"), {"x.parquet": b"PAR1\x15\x04"}, varies=r"\(.*\)"
        ),
    ],
    "Options": [
        Case("no input", ("score-variants", "genome.fa"), code=2),
        Case("VARIANTS and `--all-snvs`", (*_SCORE, "--all-snvs"), code=2),
        Case("an option that there is not", (*_SCORE, "--speed", "9"), code=2),
        Case("a word where a number is needed", (*_SCORE, "--suffix", "long"), code=2),
        Case("a number out of its range", (*_SCORE, "--suffix", "99999"), code=2),
        Case("a choice that there is not", (*_SCORE, "--strand", "up"), code=2),
        Case("`-o`: a suffix of no format", (*_SCORE, "-o", "x.xls"), code=2),
        Case("`-o`: a report that is no page", ("report", "genome.fa", "--genes", "genes.gff", "-o", "x.pdf"), code=2),
        Case("`-o`: sequences in a table", ("generate", "-n", "1", "-o", "x.parquet"), code=2),
        Case("`-o`: chunks as Parquet or bigWig", ("boundaries", "genome.fa", "-o", "x.bw"), code=2),
        Case("`-o`: a folder that is not there", (*_SCORE, "-o", "no/x.tsv"), varies=r"(?<=folder )\S+(?=/no)"),
        Case("`-o`: one of the inputs", (*_SCORE, "-o", "calls.vcf"), code=2),
        Case("`-o`: there already, `--no-clobber`", (*_SCORE, "-o", "x.tsv", "--no-clobber"), {"x.tsv": "mine"}, 2),
        Case("`--json-summary`: a folder that is not there", (*_SCORE, "--json-summary", "no/x.json"), code=2),
        Case("`--tmpdir`: a folder that is not there", (*_SCORE, "--tmpdir", "no"), code=2),
        Case("`--device`: no such thing", (*_SCORE, "--device", "gpu"), code=2),
        Case("`--device`: more than there are", (*_SCORE, "--device", "cuda:99")),
        Case("`--batch-size`: no number", (*_SCORE, "--batch-size", "many"), code=2),
        Case("`--genetic-code`: one that is not known", (*_GENES, "genes.gff", "--genetic-code", "99"), code=2),
        Case("`--shard`: a part of fewer", (*_SCORE, "--shard", "5/4"), code=2),
        Case("`--shard` of standard input", ("score-variants", "genome.fa", "-", "--shard", "1/4"), code=2),
        Case("`--resume` without an output", (*_SCORE, "--resume"), code=2),
        Case("`--positions` that are none", ("fitness", "gene.fa", "--saturate", "--positions", "9-2"), code=2),
        Case(
            "`--strict`, and a row without a score", (*_SCORE, "--strict"), _one("C", "<DEL>"), 3, shows="--strict: .*"
        ),
    ],
}


def _nan_weights() -> bytes:
    data = _weights()[0]
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    begin, end = header["stage.residual.weight"]["data_offsets"]
    filled = np.full((end - begin) // 4, np.nan, np.float32).tobytes()
    return data[: 8 + size + begin] + filled + data[8 + size + end :]


_TITLE = """# Bad input

What happens to files and options that are not what they should be. Nothing here makes a traceback, and no row is lost
without a word. Either the command ends with one or two lines on standard error, which say what is wrong, where, and
what to do, and an exit code other than 0; or the row stays, with a status in place of a score. A command that ends so
leaves no output file; rows before the fault may have gone to standard output.

Exit codes: 1 for files, 2 for the command line, 3 for `--strict`. Dots stand for what differs between machines.

This page is made by `python -m tests.cli.bad_input` from runs of the commands, and `tests/cli/test_bad_input.py` runs
every row again. What readers make of files that nobody thought of is in [reliability](reliability.md#figures).
"""


def main() -> None:
    """Run all cases and write the page."""
    text = _TITLE
    for section, cases in SECTIONS.items():
        text += f"\n## {section}\n\n| input | exit code | what is said |\n|---|---|---|\n"
        for case in cases:
            with TemporaryDirectory() as folder:
                text += row(case, *outcome(case, Path(folder))) + "\n"
    PAGE.write_text(text)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
