"""Every reader of files from strangers: small real files to begin with, how they are spoilt, and how they are read.

A reader is called as a command calls it, down to what it hands on. It may return, or raise an error of
`dnahnet_cli.errors`; anything else is a finding.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pysam
import torch

from dnahnet_cli.cli.kept import Kept, _name_of_edits
from dnahnet_cli.cli.models import _description, _facts, _of_card
from dnahnet_cli.consequences.annotator import Annotator
from dnahnet_cli.consequences.load import read_gene_set
from dnahnet_cli.errors import DnahnetError
from dnahnet_cli.evaluation.assays import read_assay
from dnahnet_cli.evaluation.organisms import read_organism
from dnahnet_cli.genome import Edit, Interval, Strand, Variant, decode, encode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.intake import Intake, read_names
from dnahnet_cli.io.journal import Journal, _line
from dnahnet_cli.io.merged import kind_of, write_merged
from dnahnet_cli.io.mutants import read_mutants, read_protein
from dnahnet_cli.io.regions import parse_region, read_regions
from dnahnet_cli.io.shards import ShardFile, in_order
from dnahnet_cli.io.sites import place_sites, read_sites
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.io.variants import read_variants
from dnahnet_cli.io.vcf import InfoField, VcfWriter
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.networks.weights import find_model, load_model, save_weights
from dnahnet_cli.report.contigs import Contigs
from dnahnet_cli.report.signals import read_chunks
from dnahnet_cli.report.tables import read_scored
from dnahnet_cli.rows.variants import key_columns
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.mutations import Mutant
from dnahnet_cli.scoring.variants import VariantScorer
from dnahnet_cli.training.corpus import read_corpus, read_genome
from dnahnet_cli.training.packed import Corpus, Genome
from dnahnet_cli.training.parts import read_part, write_parts
from tests.conftest import SHARED, MemoryGenome, lively_model, random_codes
from tests.fuzzing import lines
from tests.fuzzing.mutations import Mutate, spoil_bytes, spoil_text
from tests.io.conftest import bgzip

BASES = decode(random_codes(120, 5))
GENOME = MemoryGenome({"c1": BASES[:60], "c2": BASES[60:]})
_DEMO = Path(__file__).resolve().parents[2] / "demo"


@dataclass(frozen=True)
class Reader:
    """`seeds` are contents of files; `read` takes the path of one.

    With `streamed` a file is only ever read through `Source`, so that it need not be written to be read.
    """

    seeds: Callable[[], Sequence[bytes]]
    spoil: Mutate
    read: Callable[[Path], object]
    streamed: bool = False


# --- genomes ---


def _read_genome_file(path: Path) -> None:
    with Fasta(path, path.parent) as fasta:
        for name, length in fasta.lengths.items():
            fasta.codes(name, 0, length)
            fasta.codes(name, length // 3, length // 2)


def _fasta_seeds() -> list[bytes]:
    plain = b">c1 circular=true\n%s\n%s\n>c2\n%s\nAC\n" % (b"ACGTNNRY" * 5, b"acgtu" * 8, b"AC-*" * 10)
    real = (_DEMO / "lambda.fa").read_bytes()[:400]
    return [plain, real, b"; note\n\n>a\r\nAC GT\r\n\r\nTT\r\n>b|x\r\n", b">one\nACGT", b">c1\n\n>c2\n>c3\nA\nCC\n"]


def _compressed(compress: Callable[[bytes], bytes], spoil: Mutate) -> Mutate:
    """Return a mutation of the text that is compressed, or of the compressed bytes."""

    def spoil_it(data: bytes, other: bytes, random: Random) -> bytes:
        if random.random() < 0.4:
            return compress(spoil(data, other, random))
        return spoil_bytes(compress(data), compress(other), random)

    return spoil_it


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


GENBANK = b'''LOCUS       c1                60 bp    DNA     circular CON 01-JAN-2020
ACCESSION   c1
VERSION     c1
FEATURES             Location/Qualifiers
     source          1..60
     gene            1..9
                     /locus_tag="T1"
     CDS             join(1..3,7..9)
                     /locus_tag="T1"
                     /product="a protein, called
                     ""it"""
                     /codon_start=1
                     /transl_table=11
     CDS             complement(order(<20..30,41..>50))
                     /gene="b"
                     /pseudo
     tRNA            55..60
ORIGIN
        1 %s
//
LOCUS       c260 bp   DNA     linear       09-FEB-2015
FEATURES             Location/Qualifiers
     CDS             1..30
ORIGIN
        1 %s
//
''' % (BASES[:60].lower().encode(), BASES[60:].lower().encode())

# --- variants ---

VCF = b"""##fileformat=VCFv4.2
##contig=<ID=c1,length=60>
##contig=<ID=c2>
##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">
##INFO=<ID=END,Number=1,Type=Integer,Description="End">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FILTER=<ID=q10,Description="low">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2
c1\t5\trs1\tA\tC,<DEL>,*\t50\tPASS\tDP=7;END=9\tGT\t0/1\t./.
c1\t6\t.\tAC\tA\t.\tq10\tDP=1\tGT\t1|1\t0/0
c2\t60\t.\tG\t.\t.\t.\t.\tGT\t0/0\t0/0
c2\t7\t.\tT\tT[c1:5[\t9.5\t.\tEND=12\tGT\t.\t.
"""
TABLE = b"chrom\tpos\tref\talt\tid\nc1\t5\tA\tC,T\tx\nc2\t60\tG\t.\t\n"
_KEY_COLUMNS = key_columns()
_ROWS = {"status": "ok", "llr": -0.5}
_FIELDS = [InfoField(Column(name, kind), name) for name, kind in (("status", "str"), ("llr", "float"))]  # type: ignore[arg-type]


@cache
def _small_genome() -> Fasta:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(suffix=".fa") as file:
        file.write(f">c1\n{BASES[:60]}\n>c2\n{BASES[60:]}\n".encode())
        file.flush()
        fasta = Fasta(Path(file.name))
        fasta.codes("c1", 0, 1)  # it is open now
        return fasta


def _read_variant_file(path: Path) -> None:
    scorer = VariantScorer(cast(Engine, SimpleNamespace(genome=GENOME)))
    with read_variants(str(path), path.parent) as reader:
        intake = Intake(reader.records(), _small_genome(), on_ref_mismatch="use-genome")
        out: VcfWriter | None = None
        for record, statuses in intake.grouped(scorer.status_of(variant) for variant in intake.variants()):
            assert len(statuses) == len(record.variants) > 0
            out = out or VcfWriter(io.BytesIO(), reader.header, _FIELDS, {}, GENOME.lengths)
            out.write(record, [_ROWS] * len(statuses))
            for variant in record.variants:
                _check_row(variant)


def _check_row(variant: Variant) -> None:
    """Check that what is written of a variant fits its columns, of which the integers have 64 bits."""
    values = (variant.contig, variant.start + 1, variant.id, variant.ref, variant.alt, variant.alt_index)
    for column, value in zip(_KEY_COLUMNS, values, strict=False):
        column.check(value)
        value.encode() if isinstance(value, str) else np.int64(value)


def _vcf_seeds() -> list[bytes]:
    real = [_DEMO / "lambda.vcf", *sorted((SHARED / "data" / "variants").glob("*/*.vcf"))]  # where they are at hand
    seeds = [VCF, VCF.replace(b"\tFORMAT\ts1\ts2", b""), *map(_excerpt, real)]
    return [seed for seed in seeds if len(seed) < 8000 and b"#CHROM\t" in seed]


def _excerpt(path: Path) -> bytes:
    """Return the beginning and the end of a VCF's header, and its first records."""
    with path.open("rb") as file:
        every = list(islice(file, 400))
    head = [line for line in every if line.startswith(b"#")]
    return b"".join([*head[: min(4, len(head) - 1)], *head[-1:], *every[len(head) : len(head) + 3]])


@cache
def _bcf(text: bytes) -> bytes:
    """Return the uncompressed bytes of a BCF."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "s.vcf", Path(folder) / "t.bcf"
        source.write_bytes(text)
        with (
            pysam.VariantFile(str(source)) as records,
            pysam.VariantFile(str(target), "wb", header=records.header) as out,
        ):
            for record in records:
                out.write(record)
        return gzip.decompress(target.read_bytes())


def _bcf_seeds() -> list[bytes]:
    return [_bcf(VCF), _bcf(VCF.replace(b"\tFORMAT\ts1\ts2", b"").replace(b"\tGT\t", b"\0").split(b"\0")[0] + b"\n")]


def _blocks(data: bytes) -> bytes:
    """Compress as bgzip does, in one block and the end mark."""
    return bgzip(data) if len(data) < 200 else _bgzip_block(data)


def _bgzip_block(data: bytes) -> bytes:
    out = io.BytesIO()
    from dnahnet_cli.io.bgzf import BgzfStream

    stream = BgzfStream(out)
    stream.write(data)
    stream.finish()
    return out.getvalue()


# --- genes, regions, sites, names ---

GFF = b"""##gff-version 3
##sequence-region c1 1 60
c1\tx\tregion\t1\t60\t.\t+\t.\tID=c1;Is_circular=true
c1\tx\tgene\t1\t9\t.\t+\t.\tID=gene1;Name=abc;locus_tag=T1
c1\tx\tCDS\t1\t9\t.\t+\t0\tID=cds1;Parent=gene1;product=a%20protein;transl_table=11
c1\tx\tCDS\t58\t63\t.\t-\t1\tID=cds2;partial=true
c2\tx\tCDS\t4\t12\t.\t-\t0\tID=cds3
c2\tx\tCDS\t16\t21\t.\t-\t0\tID=cds3
c2\tx\ttRNA\t30\t40\t.\t+\t.\tID=r1;product=tRNA-Ala
##FASTA
>c1
ACGT
"""
GTF = b"""c1\tx\tgene\t1\t12\t.\t+\t.\tgene_id "g1"; gene_name "abc";
c1\tx\tCDS\t1\t9\t.\t+\t0\tgene_id "g1"; transcript_id "t1";
c1\tx\tstop_codon\t10\t12\t.\t+\t0\tgene_id "g1"; transcript_id "t1";
"""
BED = b"track name=x\nc1\t0\t9\tg1\t0\t+\nc2\t4\t30\tg2\t0\t-\t4\t30\t0\t2\t5,5,\t0,20,\nc2\t0\t9\tg3\t0\t.\n"
SITES = b"accession\tkind\tstart\tend\tstrand\tname\tsequence\toffset0_in_sequence\nc1\tTSS\t5\t5\t-\tone\t\t0\n"
SITES += b"other\tTSS\t5\t6\t+\ttwo\t%s\t3\n" % BASES[10:30].encode()
FOOTPRINTS = b"promoter\tcondition\tgenome_pos_c1\tstrand\tinformation_bits\np\ta\t5\t-\t0.5\np\tb\t6\t-\tnan\n"


def _read_genes(path: Path) -> None:
    genes = read_gene_set(str(path), GENOME.lengths, {"chr1": "c1"})
    annotator = Annotator(cast(Fasta, GENOME), genes.coding, genes.noncoding, genes.circular & GENOME.lengths.keys())
    for start, length, alt in ((4, 3, "ACGTA"), (59, 1, "ACG")):
        annotator.effects(Variant("c1", start, BASES[start : start + length], alt))


def _read_sites(path: Path) -> None:
    place_sites(read_sites(str(path)), cast(Fasta, GENOME))


def _read_region_texts(path: Path) -> None:
    for line in path.read_text("utf-8", "replace").split("\n"):
        parse_region(line, GENOME.lengths)


# --- mutants ---

MUTANTS = b"mutant\tdms_score\tnote\nM69L\t0.5\tx\nM69L:E104K\tNA\t\np.Met69Leu\t-1e3\ty\n"
MORE_MUTANTS = b'hgvs_nt,score\nc.205A>C,1\nc.205_207delinsCTG,2\n"c.[205A>C;310G>A]",3\nc.207dup,4\nATG69CTG,5\n'


def _read_mutant_file(path: Path) -> None:
    for text in read_mutants(str(path)).mutants:
        with contextlib.suppress(DnahnetError):
            Mutant.parse(text)


# --- weights ---


_SMALLEST = ModelConfig(["m1", ["T1"], "m1"], (8, 16), (3.0,), (None, 8), 8, 8, 8, 4, 2, 8, 16, period=3)


@cache
def _weights() -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.safetensors"
        save_weights(lively_model(_SMALLEST), path, {})  # building a network is what takes the time
        return path.read_bytes()


def _split_weights(data: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + size], data[8 + size :]


_CONFIG_WORDS = (
    b"0",
    b"-1",
    b"1e9",
    b"1000000000",
    b"1.5",
    b"null",
    b"true",
    b'"m9999999"',
    b'"T1"',
    b"[]",
    b'"dnahnet"',
)
_ARCHS = (b"mamba2", b"transformer", b"striped-hyena2", b"fixed-stride", b"random-chunks")
_spoil_header = spoil_text(
    (*_CONFIG_WORDS, *_ARCHS, b'"F32"', b'"I8"', b'"F64"', b"[1,2]", b"[0,0]"), None, b'\\",:[]{} '
)


def _spoil_weights(data: bytes, other: bytes, random: Random) -> bytes:
    header, tensors = _split_weights(data)
    kind = random.randrange(8)
    if kind == 0:
        return spoil_bytes(data, other, random)
    if kind < 4:
        content = json.loads(header)
        config = content["__metadata__"]["config"].encode()
        content["__metadata__"]["config"] = _spoil_header(config, config, random).decode("utf-8", "replace")
        header = json.dumps(content).encode()
    else:
        header = _spoil_header(header, header, random)
    size = (
        len(header)
        if random.random() < 0.9
        else random.choice((0, 1, 8, max(0, len(header) - 1), 1 << 20, 1 << 40, (1 << 64) - 1))
    )
    return struct.pack("<Q", size) + header + tensors[: len(tensors) if random.random() < 0.8 else random.randrange(99)]


def _read_weights(path: Path) -> None:
    path = path.replace(path.with_suffix(".safetensors"))
    path.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    load_model(find_model(str(path)))


CARD = {
    "sha256": hashlib.sha256(b"").hexdigest(),
    "description": "x",
    "parameters": 5,
    "config": {"layout": ["m1"], "widths": [1, 2]},
    "training": {"bases_seen": 7, "minutes_spent": 1.5, "hardware": "CPU"},
    "data": {"genomes": 3, "genera": 2, "split": "by genus"},
    "heldout_bits_per_base": {"network": {"mean": 1.9, "E. coli": 1.8}, "markov9": {"mean": 1.95}, "measured_on": "y"},
    "boundaries": [{"bases_per_chunk": 3.1, "cuts": 0.33}],
}


def _read_card(path: Path) -> None:
    weights = path.replace(path.with_suffix(".json")).with_suffix(".safetensors")
    weights.write_bytes(b"")
    file = find_model(str(weights))
    _of_card(_facts, file)
    _of_card(_description, file)


# --- runs that are gone on with, and shards ---

UNITS = [[Edit("c1", 5, 6, encode("A"))], [Edit("c1", 9, 12, encode(""))]]
MADE_BY = {"command": "score-variants", "model": "tiny"}


def _journal_seeds() -> list[bytes]:
    scores = [[[["+", -1.5, -2.5, 129], ["-"]]], [[["+"], ["-", 0.5, 1.0, 3]]]]
    pieces = [[_name_of_edits(unit), kept] for unit, kept in zip(UNITS, scores, strict=True)]
    return [
        b"dnahnet partial 1 " + _line(MADE_BY) + b"".join(map(_line, pieces)),
        b"dnahnet partial 1 " + _line(MADE_BY),
    ]


_spoil_json = spoil_text((b"null", b"[[]]", b"{}", b'"+"', b"NaN", b"[[[]]]", b'"made"'), None, b'",:[]{} ')


def _spoil_journal(data: bytes, other: bytes, random: Random) -> bytes:
    """Spoil bytes, or what a line says, with a checksum that fits."""
    if random.random() < 0.4:
        return spoil_bytes(data, other, random)
    every = data.split(b"\n")
    at = random.randrange(len(every) - 1)
    mark = b"dnahnet partial 1 " if at == 0 else b""
    text = _spoil_json(every[at][len(mark) + 9 :], other, random).replace(b"\n", b"")
    every[at] = mark + b"%08x %s" % (zlib.crc32(text), text)
    return b"\n".join(every)


def _read_journal(path: Path) -> None:
    path.replace(path.with_name("o.tsv.partial"))
    engine = SimpleNamespace(strands=tuple(Strand), score_units=lambda units, progress: ([{}] for _ in units))
    with Journal(path.with_name("o.tsv"), MADE_BY, resume=True) as journal:
        list(Kept(cast(Engine, engine), journal).score_units(UNITS, lambda done: None))
        journal.check_used()


def _shard_seeds() -> list[bytes]:
    said = b"##dnahnet_model=tiny\n##dnahnet_shard=1/1, rows 1-2 of 2, run ab12\n"
    table = said + b"chrom\tpos\tref\nc1\t5\tA\nc1\t6\tC\n"
    vcf = VCF.replace(b"#CHROM", said + b"#CHROM").replace(b"rows 1-2 of 2", b"rows 1-6 of 6")
    return [table, vcf]


@cache
def _parquet_shard() -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.parquet"
        columns = [Column("chrom", "str"), Column("pos", "int")]
        provenance = {"model": "tiny", "shard": "1/1, rows 1-2 of 2, run ab12"}
        with open_table(path, columns, format="parquet", provenance=provenance) as table:
            table.write([{"chrom": "c1", "pos": 5}, {"chrom": "c1", "pos": 6}])
        return path.read_bytes()


def _read_shard(path: Path) -> None:
    shard = ShardFile(str(path), path.parent)
    format = {"tsv": "tsv", "vcf": "vcf", "parquet": "parquet"}[shard.kind]
    assert kind_of(format) == shard.kind  # type: ignore[arg-type]
    write_merged(str(path.with_name("merged")), format, in_order([shard]), added={}, index=False)  # type: ignore[arg-type]


# --- what is trained on ---


def _two_bit(contigs: dict[str, tuple[int, list[tuple[int, int]]]]) -> bytes:
    """Return a 2bit file of T with stretches of N."""
    index, records = b"", b""
    start = 16 + sum(5 + len(name) for name in contigs)
    for name, (length, unknown) in contigs.items():
        index += bytes([len(name)]) + name.encode() + struct.pack("<I", start + len(records))
        blocks = struct.pack("<I", len(unknown)) + b"".join(
            struct.pack("<I", n) for pair in zip(*unknown, strict=True) for n in pair
        )
        records += struct.pack("<I", length) + blocks + struct.pack("<II", 0, 0) + b"\x1b" * -(-length // 4)
    return struct.pack("<IIII", 0x1A412743, 0, len(contigs), 0) + index + records


def _two_bit_seeds() -> list[bytes]:
    return [_two_bit({"c1": (30, [(2, 3), (20, 5)]), "c2": (7, [])}), _two_bit({"only": (400, [(0, 9)])})]


def _read_two_bit(path: Path) -> None:
    read_genome(path, "x", "X")


@cache
def _part() -> bytes:
    from tempfile import TemporaryDirectory

    def genome(name: str, seed: int) -> Genome:
        codes = random_codes(50, seed)
        codes[5:9] = 4
        return Genome(name, f"Genus{seed}", [codes, codes[:7]], {"accession": "A"})

    with TemporaryDirectory() as folder:
        (path,) = write_parts(Corpus((genome("a", 1), genome("b", 2)), (genome("c", 3),)), Path(folder) / "parts")
        return path.read_bytes()


def _spoil_part(data: bytes, other: bytes, random: Random) -> bytes:
    """Spoil bytes, or what a part says of itself, with a checksum that fits."""
    if random.random() < 0.4:
        return spoil_bytes(data, other, random)
    header, tensors = _split_weights(data)
    content = json.loads(header)
    said: Any = json.loads(content["__metadata__"]["dnahnet_part"])
    del said["sha256"]
    try:
        text = json.dumps(said).encode()
        said = json.loads(_spoil_json(text, text, random).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return spoil_bytes(data, other, random)
    if random.random() < 0.5:
        tensors = spoil_bytes(tensors, tensors, random)[: len(tensors)].ljust(len(tensors), b"\0")
    if isinstance(said, dict):
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        places = {name: where["data_offsets"] for name, where in content.items() if name != "__metadata__"}
        for name in ("bases", "lengths", "unknown"):
            digest.update(tensors[slice(*places[name])])
        said["sha256"] = digest.hexdigest()
    content["__metadata__"]["dnahnet_part"] = json.dumps(said)
    header = json.dumps(content).encode()
    return struct.pack("<Q", len(header)) + header + tensors


def _read_part(path: Path) -> None:
    for genome in (*(part := read_part(path).corpus).train, *part.heldout):
        for codes in genome.contigs:
            assert len(codes)


MANIFEST = b"name\tgenus\tsplit\tfile\taccession\na\tA\ttrain\tg.fa\tX1\nb\tB\tval\tg.fa\t\n"


def _read_manifest(path: Path) -> None:
    path.with_name("g.fa").write_bytes(b">c\nACGT\n")
    read_corpus([path])


# --- what was measured, and what a page is made of ---

ASSAY = b"mutant\tdms_score\tdms_score_bin\nA2V\t0.5\t1\nA2V:K3R\tNA\t\nM1*\t-1\t0\n"
DNA_ASSAY = b"pos\tref\talt\tscore\n4\tG\tT\t0.9\n5\tCC\tC\t-1.3\n"
BASE_ASSAY = b"variant\tscore\nG4T\t0.5\nG4T:C5A\t1\n"
LABELS = b"locus_tag\tgene\taccession\tstart\tend\tstrand\tessential\nT1\trpsA\tc1\t1\t9\t+\t1\nT2\tx\tc2\t\t\t\tNA\n"
CHUNKS = b"##dnahnet_model=x\nc1\t0\t3\tstage1\t1000\t+\nc1\t3\t60\tstage1\t7\t+\nc1\t0\t60\tstage2\t1000\t+\n"
SCORED = b"##dnahnet_model=x\nchrom\tpos\tid\tref\talt\talt_index\tstatus\tllr\nc1\t5\t.\tA\tC\t1\tok\t-0.5\n"
SCORED_VCF = b"##fileformat=VCFv4.2\n##INFO=<ID=DNAHNET_STATUS,Number=A,Type=String>\n"
SCORED_VCF += b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
SCORED_VCF += b"c1\t5\t.\tA\tC,G\t.\t.\tDNAHNET_STATUS=ok,ok;DNAHNET_LLR=-0.5,1;DNAHNET_PRODUCT=a_b%3B\n"


def _read_assay(path: Path) -> None:
    path.replace(path.with_name("variants.tsv"))
    path.with_name("cds.fna").write_text(">g\nATGGCCAAACAG\n")
    path.with_name("region.fna").write_text(">r\nATGGCCAAACAGTTTGG\n")
    path.with_name("variants.tsv").stat()
    read_assay(path.parent)


def _read_labels(path: Path) -> None:
    path.replace(path.with_name("labels.tsv"))
    path.with_name("genome.fna").write_text(f">c1\n{BASES[:60]}\n>c2\n{BASES[60:]}\n")
    read_organism(path.parent)


def _read_chunks(path: Path) -> None:
    list(read_chunks(str(path), GENOME.lengths).tracks([Interval("c1", 0, 60)], Contigs(GENOME.lengths)))


def _read_scored(path: Path) -> None:
    list(read_scored(str(path), ("chrom", "pos", "status"), "score-variants").rows)


def _literal(*seeds: bytes) -> Callable[[], Sequence[bytes]]:
    return lambda: seeds


_vcf = spoil_text((), lines.vcf_record)
_gff = spoil_text((), lines.gff_line)
_bed = spoil_text((), lines.bed_line)
_genbank = spoil_text((b"join(", b"complement(", b"1..9", b"1.." + b"9" * 30), lines.genbank_line, b"\t;=,: \n()./")
_rows = spoil_text((), lines.table_row)
_fasta = spoil_text((b">c1", b">", b"acgt"))
_names = spoil_text((b"c1", b"c2"))

READERS: dict[str, Reader] = {
    "vcf": Reader(_vcf_seeds, _vcf, _read_variant_file, True),
    "vcf-gzip": Reader(_vcf_seeds, _compressed(_gzip, _vcf), _read_variant_file, True),
    "vcf-bgzip": Reader(_vcf_seeds, _compressed(_blocks, _vcf), _read_variant_file, True),
    "bcf": Reader(_bcf_seeds, lambda d, o, r: _compressed(_bgzip_block, spoil_bytes)(d, o, r), _read_variant_file),
    "variant-table": Reader(_literal(TABLE, b"c1\t5\tA\tC\nc1\t-3\tA\t.\n"), _rows, _read_variant_file, True),
    "fasta": Reader(_fasta_seeds, _fasta, _read_genome_file),
    "fasta-gzip": Reader(_fasta_seeds, _compressed(_gzip, _fasta), _read_genome_file),
    "fasta-bgzip": Reader(_fasta_seeds, _compressed(_blocks, _fasta), _read_genome_file),
    "genbank-genome": Reader(_literal(GENBANK), _genbank, _read_genome_file),
    "genbank-genes": Reader(_literal(GENBANK), _genbank, _read_genes, True),
    "gff": Reader(_literal(GFF, GTF), _gff, _read_genes, True),
    "bed-genes": Reader(_literal(BED), _bed, _read_genes, True),
    "bed-regions": Reader(
        _literal(b"c1\t0\t9\nc2\t5\t60\tx\n", BED), _bed, lambda path: read_regions(str(path), GENOME.lengths), True
    ),
    "region-option": Reader(_literal(b"c1:1-9", b"c2", b"c2:1,0-"), _names, _read_region_texts),
    "contig-names": Reader(
        _literal(b"chr1 c1\n# x\nchr2\tc2\n"), _names, lambda path: read_names(str(path), GENOME.lengths), True
    ),
    "sites": Reader(_literal(SITES, FOOTPRINTS, BED), _rows, _read_sites, True),
    "mutants": Reader(_literal(MUTANTS, MORE_MUTANTS, b"M69L\n# x\nA1C:D2E\n"), _rows, _read_mutant_file, True),
    "protein": Reader(_literal(b">p1 x\nMKVL\nAAE*\n"), _fasta, read_protein, True),
    "weights": Reader(lambda: [_weights()], _spoil_weights, _read_weights),
    "card": Reader(lambda: [json.dumps(CARD).encode()], _spoil_json, _read_card),
    "journal": Reader(_journal_seeds, _spoil_journal, _read_journal),
    "shard": Reader(_shard_seeds, _vcf, _read_shard),
    "shard-parquet": Reader(lambda: [_parquet_shard()], spoil_bytes, _read_shard),
    "2bit": Reader(_two_bit_seeds, spoil_bytes, _read_two_bit),
    "part": Reader(lambda: [_part()], _spoil_part, _read_part),
    "assay": Reader(_literal(ASSAY, DNA_ASSAY, BASE_ASSAY), _rows, _read_assay),
    "labels": Reader(_literal(LABELS), _rows, _read_labels),
    "chunks": Reader(_literal(CHUNKS), _bed, _read_chunks),
    "scored": Reader(_literal(SCORED, SCORED_VCF), _vcf, _read_scored),
    "manifest": Reader(_literal(MANIFEST), _rows, _read_manifest),
}

torch.set_num_threads(1)
