"""GenBank as NCBI, Prokka and Bakta write it: the same genes and the same bases, whoever wrote them."""

from __future__ import annotations

import gzip
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Gene, Strand, decode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import read_genes
from tests.conftest import SHARED, random_codes

LENGTH = 3000
BASES = decode(random_codes(LENGTH, 8)).lower()
QUOTE = 'a product with a slash /note=1,\nand a "quoted" word, long enough to go on over more than one line of text'


def sequence(bases: str) -> str:
    lines = []
    for at in range(0, len(bases), 60):
        blocks = [bases[at : at + 60][i : i + 10] for i in range(0, 60, 10)]
        lines.append(f"{at + 1:>9} {' '.join(filter(None, blocks))}")
    return "ORIGIN      \n" + "\n".join(lines) + "\n//\n"


def feature(kind: str, location: str, **qualifiers: str | None) -> str:
    lines = textwrap.wrap(location, 58, break_on_hyphens=False) if len(location) > 58 else [location]
    for key, value in qualifiers.items():
        text = f"/{key}" if value is None else f"/{key}={value}" if value.isdecimal() else f'/{key}="{quoted(value)}"'
        lines += textwrap.wrap(text, 58, break_long_words=True)
    first, *others = lines
    return f"     {kind:<16}{first}\n" + "".join(f"{'':21}{line}\n" for line in others)


def quoted(text: str) -> str:
    return text.replace('"', '""').replace("\n", " ")


def record(head: str, *features: str, bases: str = BASES) -> str:
    body = feature("source", f"1..{len(bases)}", organism="x") + "".join(features)
    return f"{head}FEATURES             Location/Qualifiers\n{body}{sequence(bases)}"


NCBI = """LOCUS       NC_000001               3000 bp    DNA     circular CON 01-JAN-2020
DEFINITION  Something, complete genome.
ACCESSION   NC_000001 REGION: 1..3000
VERSION     NC_000001.2  GI:1
REFERENCE   1  (bases 1 to 3000)
  TITLE     FEATURES of a title
COMMENT     text
"""
PROKKA = """LOCUS       NODE_1_length_3000_cov_12.53000 bp   DNA     linear       09-FEB-2015
DEFINITION  Genus species strain strain.
ACCESSION   
VERSION
"""
BAKTA = """LOCUS       contig_1                3000 bp    DNA     linear   UNK 01-JAN-1980
ACCESSION   contig_1
VERSION     contig_1
"""


def genes(tmp_path: Path, text: str) -> tuple[list[Gene], list[tuple[str, str]], frozenset[str]]:
    (tmp_path / "x.gbk").write_text(text)
    annotation = read_genes(str(tmp_path / "x.gbk"))
    return annotation.genes, annotation.skipped, annotation.circular


@pytest.mark.parametrize(
    ("head", "name", "circular"),
    [(NCBI, "NC_000001.2", True), (PROKKA, "NODE_1_length_3000_cov_12.5", False), (BAKTA, "contig_1", False)],
)
def test_names_sequences_and_genes(tmp_path: Path, head: str, name: str, circular: bool) -> None:
    text = record(
        head,
        feature("gene", "11..310", locus_tag="T_1"),
        feature("CDS", "11..310", gene="abcA", locus_tag="T_1", codon_start="1", transl_table="4", product=QUOTE),
        feature("CDS", "complement(<400..>699)", locus_tag="T_2", codon_start="3", pseudo=None),
        feature("tRNA", "800..870", locus_tag="T_3"),
    )
    found, skipped, circles = genes(tmp_path, text)
    assert found == [
        Gene(name, Strand.FORWARD, ((10, 310),), "abcA", "T_1", " ".join(QUOTE.split()), genetic_code=4),
        Gene(name, Strand.REVERSE, ((399, 699),), "T_2", "T_2", partial=True, cut_at_start=True, pseudo=True, phase=2),
    ]
    assert skipped == [] and circles == (frozenset({name}) if circular else frozenset())
    for path in (tmp_path / "x.gbk", tmp_path / "x.gbk.gz"):
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        with Fasta(path) as fasta:
            assert fasta.lengths == {name: LENGTH} and fasta.annotated
            assert decode(fasta.codes(name, 0, LENGTH)) == BASES.upper()
            assert (name in fasta.circular) is circular


@pytest.mark.parametrize(
    ("location", "strand", "parts"),
    [
        ("join(2951..3000,1..40)", "+", ((2950, 3000), (3000, 3040))),
        ("complement(join(2951..3000,1..40))", "-", ((2950, 3000), (3000, 3040))),
        ("join(complement(1..40),complement(2951..3000))", "-", ((2950, 3000), (3000, 3040))),
        ("join(5..20,22..49)", "+", ((4, 20), (21, 49))),  # a frame shift
        ("complement(join(5..20,30..49))", "-", ((4, 20), (29, 49))),
        ("order(5..20,30..49)", "+", ((4, 20), (29, 49))),
        ("join(5..20,20..49)", "+", ((4, 20), (19, 49))),  # a slip back by a base
        ("77", "+", ((76, 77),)),
    ],
)
def test_locations(tmp_path: Path, location: str, strand: str, parts: tuple[tuple[int, int], ...]) -> None:
    (gene,), _, _ = genes(tmp_path, record(NCBI, feature("CDS", location, locus_tag="T")))
    assert (gene.strand.value, gene.parts) == (strand, parts)


def test_over_the_origin_of_a_line_there_is_nothing(tmp_path: Path) -> None:
    (gene,), _, _ = genes(tmp_path, record(BAKTA, feature("CDS", "join(2951..3000,1..40)", locus_tag="T")))
    assert gene.parts == ((0, 40), (2950, 3000))


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    text = record(
        NCBI,
        feature("CDS", "1..30", locus_tag="short"),
        feature("CDS", "1..90", locus_tag="short"),
        feature("CDS", "join(1..30,complement(60..90))", locus_tag="both"),
        feature("CDS", "join(J00194.1:100..202,1..30)", locus_tag="other"),
        feature("CDS", "2990..3010", locus_tag="beyond"),
        feature("CDS", "one-of(1,5)..30", protein_id="odd.1"),
    )
    found, skipped, _ = genes(tmp_path, text)
    assert [gene.length for gene in found] == [90]
    assert dict(skipped) == {
        "short": "another product of this gene is longer",
        "both": "its parts lie on both strands",
        "other": "it lies partly on another record",
        "beyond": "its location is not within the record",
        "odd.1": "its location is not understood",
    }


def test_several_records_and_attributes(tmp_path: Path) -> None:
    one = record(BAKTA, feature("CDS", "1..90", locus_tag="T_1", old_locus_tag="old1"))
    two = record(BAKTA.replace("contig_1", "contig_2"), feature("CDS", "4..93", locus_tag="T_2"))
    (tmp_path / "x.gbk").write_text(one.removesuffix("//\n") + two)  # the first end mark is missing
    assert [gene.contig for gene in read_genes(str(tmp_path / "x.gbk")).genes] == ["contig_1", "contig_2"]
    named = read_genes(str(tmp_path / "x.gbk"), "old_locus_tag").genes
    assert [gene.locus_tag for gene in named] == ["old1", "T_2"]
    with pytest.raises(InputError, match="no CDS has the qualifier 'nothing'; there are locus_tag, old_locus_tag"):
        read_genes(str(tmp_path / "x.gbk"), "nothing")
    with Fasta(tmp_path / "x.gbk") as fasta:
        assert fasta.lengths == {"contig_1": LENGTH, "contig_2": LENGTH}


def test_copies_of_a_gene_elsewhere_are_genes_of_their_own(tmp_path: Path) -> None:
    places = ("11..100", "complement(201..500)", "complement(231..500)", "700..789")
    untagged = record(BAKTA, *(feature("CDS", place, gene="tnpA") for place in places))
    found, skipped, _ = genes(tmp_path, untagged)
    assert [(gene.start, gene.name) for gene in found] == [(10, "tnpA"), (200, "tnpA"), (699, "tnpA")]
    assert skipped == [("tnpA", "another product of this gene is longer")]
    tags = ("T_1", "T_2", "T_2", "T_3")
    tagged = zip(places, tags, strict=True)
    (tmp_path / "x.gbk").write_text(
        record(BAKTA, *(feature("CDS", place, gene="tnpA", locus_tag=tag) for place, tag in tagged))
    )
    assert [gene.start for gene in read_genes(str(tmp_path / "x.gbk"), "gene").genes] == [10, 200, 699]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (record(NCBI), "has no protein-coding genes"),
        (record(NCBI, "     CDS\n"), "a feature without a location"),
        (record("LOCUS \nACCESSION   \n"), "names no record"),
        ("LOCUS       x 5 bp DNA\n//\nfree text\n", "must begin with LOCUS"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        genes(tmp_path, text)


def test_lines_of_bases_may_begin_with_their_number(tmp_path: Path) -> None:
    text = record(BAKTA)
    head, bases = text[: text.index("ORIGIN")], text[text.index("ORIGIN") :]
    (tmp_path / "x.gbk").write_text(head + "\n".join(line.lstrip() for line in bases.split("\n")))
    with Fasta(tmp_path / "x.gbk") as fasta:
        assert decode(fasta.codes("contig_1", 0, LENGTH)) == BASES.upper()


def test_a_record_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    text = record(BAKTA, feature("CDS", "1..90", locus_tag="T"))
    (tmp_path / "x.gbk").write_text(text[: text.index("     2941 ")])
    for read in (lambda path: Fasta(Path(path)), read_genes):
        with pytest.raises(InputError, match=r"contig_1 is cut off: it has 2,940 of its 3,000 bases"):
            read(str(tmp_path / "x.gbk"))


def test_a_genome_needs_its_sequence(tmp_path: Path) -> None:
    text = record(NCBI, feature("CDS", "1..90", locus_tag="T"))
    (tmp_path / "x.gbk").write_text(text[: text.index("ORIGIN")] + "CONTIG      join(X.1:1..3000)\n//\n")
    assert len(read_genes(str(tmp_path / "x.gbk")).genes) == 1
    with pytest.raises(InputError, match="no sequence under ORIGIN"):
        Fasta(tmp_path / "x.gbk")


@settings(max_examples=60, deadline=None)
@given(st.text('LOCUSFEATORIGNCDS/="()<>.,:0123456789\n ^acgt', max_size=300))
def test_nonsense_is_an_error_of_ours_or_genes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("nonsense") / "x.gbk"
    path.write_text("LOCUS       x 5 bp\nFEATURES\n     CDS             1..3\n" + text)
    try:
        assert read_genes(str(path)).genes
    except InputError as error:
        assert len(str(error).splitlines()) <= 2


def test_e_coli_as_genbank_has_the_genes_of_its_gff(tmp_path: Path) -> None:
    folder = SHARED / "data" / "essentiality" / "ecoli_k12_mg1655"
    if not folder.is_dir():
        pytest.skip("needs the public genomes")
    expected = read_genes(str(folder / "annotation.gff.gz")).genes
    with Fasta(folder / "genome.fna.gz") as fasta:
        ((name, length),) = fasta.lengths.items()
        bases = decode(fasta.codes(name, 0, length)).lower()
    cds = []
    for gene in expected:
        pieces = ",".join(f"{(start % length) + 1}..{(end - 1) % length + 1}" for start, end in gene.parts)
        location = f"join({pieces})" if "," in pieces else pieces
        location = f"complement({location})" if gene.strand is Strand.REVERSE else location
        cds.append(feature("CDS", location, gene=gene.name, locus_tag=gene.locus_tag, product=gene.product or "none"))
    text = record(NCBI.replace("3000 bp", f"{length} bp").replace("NC_000001.2", name), *cds, bases=bases)
    found, skipped, _ = genes(tmp_path, text)
    assert skipped == [] and len(found) == len(expected) > 4000
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.contig, ours.strand, ours.parts) == (theirs.contig, theirs.strand, theirs.parts)
        assert (ours.name, ours.locus_tag) == (theirs.name, theirs.locus_tag)
