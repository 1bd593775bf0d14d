from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Gene, Strand, decode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import Annotation, call_genes, read_genes

from .conftest import COMPRESSIONS

NCBI = """\
##gff-version 3
##sequence-region NC_1 1 9000
NC_1\tRefSeq\tregion\t1\t9000\t.\t+\t.\tID=NC_1:1..9000;Is_circular=true;genome=chromosome
NC_1\tRefSeq\tgene\t190\t255\t.\t+\t.\tID=gene-b0001;Name=thrL;gene=thrL;gene_biotype=protein_coding;locus_tag=b0001
NC_1\tRefSeq\tCDS\t190\t255\t.\t+\t0\tID=cds-NP_1;Parent=gene-b0001;Name=NP_1;gene=thrL;locus_tag=b0001;product=a%2C b
NC_1\tRefSeq\tgene\t300\t400\t.\t-\t.\tID=gene-b0002;Name=b0002;gene_biotype=tRNA;locus_tag=b0002
NC_1\tRefSeq\ttRNA\t300\t400\t.\t-\t.\tID=rna-b0002;Parent=gene-b0002
NC_1\tRefSeq\tgene\t500\t800\t.\t-\t.\tID=gene-b0003;Name=prfB;gene_biotype=protein_coding;locus_tag=b0003
NC_1\tRefSeq\tCDS\t727\t800\t.\t-\t0\tID=cds-NP_3;Parent=gene-b0003;Note=programmed frameshift
NC_1\tRefSeq\tCDS\t500\t727\t.\t-\t0\tID=cds-NP_3;Parent=gene-b0003
NC_1\tRefSeq\tpseudogene\t900\t999\t.\t+\t.\tID=gene-b0004;gene_biotype=pseudogene;locus_tag=b0004
NC_1\tRefSeq\tCDS\t900\t999\t.\t+\t0\tID=cds-b0004;Parent=gene-b0004;partial=true;start_range=.,900
NC_1\tRefSeq\tgene\t8900\t9100\t.\t+\t.\tID=gene-b0005;Name=over;gene_biotype=protein_coding;locus_tag=b0005
NC_1\tRefSeq\tCDS\t8900\t9100\t.\t+\t0\tID=cds-NP_5;Parent=gene-b0005
"""
TAIL = "##FASTA\n>NC_1\nACGT\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(data: bytes | str, id_attr: str | None = None) -> Annotation:
        path = tmp_path / "genes.txt"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return read_genes(str(path), id_attr)

    return read


def gff(*rows: str, header: str = "##gff-version 3\n") -> str:
    """Write rows of blank-separated columns as GFF; the attributes are the rest of each row."""
    return header + "".join("\t".join(row.split(" ", 8)) + "\n" for row in rows)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_ncbi(read, compression: str) -> None:
    annotation = read(COMPRESSIONS[compression]((NCBI + TAIL).encode()))
    assert annotation.circular == {"NC_1"}
    assert annotation.skipped == []
    assert annotation.genes == [
        Gene("NC_1", Strand.FORWARD, ((189, 255),), "thrL", "b0001", "a, b"),
        Gene("NC_1", Strand.REVERSE, ((499, 727), (726, 800)), "prfB", "b0003"),
        Gene("NC_1", Strand.FORWARD, ((899, 999),), "b0004", "b0004", partial=True, cut_at_start=True, pseudo=True),
        Gene("NC_1", Strand.FORWARD, ((8899, 9100),), "over", "b0005"),
    ]


def test_stdin_and_windows_line_ends(read, stdin) -> None:
    stdin(NCBI.replace("\n", "\r\n").encode())
    assert read_genes("-") == read(NCBI)


def test_prokka_bakta_and_prodigal(read) -> None:
    prokka = gff("c1 Prodigal:2.6 CDS 10 30 . + 0 ID=P_00001;Name=dnaA;gene=dnaA;locus_tag=P_00001;product=x", "")
    assert read(prokka.replace("\n\n", "\n") + TAIL).genes == [
        Gene("c1", Strand.FORWARD, ((9, 30),), "dnaA", "P_00001", "x")
    ]
    bakta = gff(
        "contig_1 Bakta region 1 500 . + . ID=contig_1;Name=contig_1;Is_circular=true",
        "contig_1 Prodigal CDS 490 520 . - 0 ID=B_00005;Name=Some enzyme;locus_tag=B_00005;product=Some enzyme",
    )
    annotation = read(bakta)
    assert annotation.circular == {"contig_1"}
    assert annotation.genes == [Gene("contig_1", Strand.REVERSE, ((489, 520),), "B_00005", "B_00005", "Some enzyme")]
    prodigal = gff(
        "c1 Prodigal_v2.6.3 CDS 1 177 8.4 - 0 ID=1_1;partial=10;start_type=ATG;",
        "c1 Prodigal_v2.6.3 CDS 168 386 25.1 + . ID=1_2;partial=00;",
        header="##gff-version  3\n# Sequence Data: seqnum=1\n",
    )
    assert [(g.locus_tag, g.parts, g.partial) for g in read(prodigal).genes] == [
        ("1_1", ((0, 177),), True),
        ("1_2", ((167, 386),), False),
    ]


@pytest.mark.parametrize(
    ("attribute", "left", "right"),
    [
        *(("partial=10", True, False), ("partial=01", False, True), ("partial=11", True, True)),
        *(("partial=00", False, False), ("partial=true", False, False)),
        *(("partial=true;start_range=.,9", True, False), ("partial=true;end_range=90,.", False, True)),
    ],
)
def test_which_end_of_a_gene_is_cut_off(read, attribute: str, left: bool, right: bool) -> None:
    text = gff(*(f"c1 x CDS 9 90 . {strand} 0 ID={strand};{attribute}" for strand in "+-"))
    forward, reverse = read(text).genes
    assert (forward.cut_at_start, reverse.cut_at_start) == (left, right)
    assert forward.partial == reverse.partial == (attribute != "partial=00")


@pytest.mark.parametrize("strand", "+-")
def test_parts_past_the_origin_are_shifted(read, strand: str) -> None:
    text = gff(
        "c1 x region 1 1000 . + . ID=r;Is_circular=true",
        f"c1 x CDS 901 1000 . {strand} 0 ID=a",
        f"c1 x CDS 1 50 . {strand} 0 ID=a",
        f"c1 x CDS 49 90 . {strand} 0 ID=a",
    )
    expected = ((900, 1000), (1000, 1050), (1048, 1090))
    assert read(text).genes[0].parts == expected
    by_region_line = text.replace("##gff-version 3\n", "##gff-version 3\n##sequence-region c1 1 1000\n")
    assert read(by_region_line).genes[0].parts == expected
    linear = text.replace(";Is_circular=true", "")
    assert read(linear).genes[0].parts == ((0, 50), (48, 90), (900, 1000))


@pytest.mark.parametrize(
    "lines",
    [
        ("c1 x CDS 901 1000 . + 0 ID=a", "c1 x CDS 1 50 . + 0 ID=a"),
        ("c1 x CDS 901 50 . + 0 ID=a",),
        ("c1 x CDS 901 1050 . + 0 ID=a",),
    ],
    ids=["parts", "end before start", "end beyond"],
)
def test_a_circle_that_only_the_genome_knows_of(tmp_path: Path, lines: tuple[str, ...]) -> None:
    path = tmp_path / "genes.gff"
    path.write_text(gff(*lines))
    (gene,) = read_genes(str(path), circles={"c1": 1000}).genes
    assert (gene.parts[0][0], gene.parts[-1][1]) == (900, 1050)


def test_cds_without_id_are_grouped_by_parent_or_stand_alone(read) -> None:
    text = gff(
        "c1 x CDS 1 10 . + 0 Parent=g1",
        "c1 x CDS 21 30 . + 0 Parent=g1",
        "c1 x CDS 41 50 . + 0 Name=lone",
        "c1 x CDS 61 70 . + 0 Name=lone",
        "c2 x CDS 1 10 . + 0 .",
    )
    assert [(g.parts, g.locus_tag) for g in read(text).genes] == [
        (((0, 10), (20, 30)), "c1:1-10"),
        (((40, 50),), "lone"),
        (((60, 70),), "lone"),
        (((0, 10),), "c2:1-10"),
    ]


def test_names_come_through_transcripts_and_id_attr_overrides(read) -> None:
    text = gff(
        "Chr e gene 1 90 . + . ID=gene:b1;Name=abc;biotype=protein_coding;gene_id=b1;old=z1",
        "Chr e mRNA 1 90 . + . ID=transcript:t1;Parent=gene:b1",
        "Chr e CDS 1 90 . + 0 ID=CDS:p1;Parent=transcript:t1;protein_id=p1",
    )
    assert [(g.name, g.locus_tag) for g in read(text).genes] == [("abc", "b1")]
    assert read(text, "protein_id").genes[0].locus_tag == "p1"
    assert read(text, "old").genes[0].locus_tag == "z1"
    with pytest.raises(InputError, match="no gene has the attribute 'nope'; there are ID, Parent, protein_id"):
        read(text, "nope")


def test_the_first_of_several_parents_counts_and_a_comma_in_its_name_is_kept(read) -> None:
    text = gff(
        "c1 x gene 1 90 . + . ID=a%2Cb;locus_tag=b1",
        "c1 x gene 1 90 . + . ID=a;locus_tag=b2",
        "c1 x CDS 1 90 . + 0 ID=p1;Parent=a%2Cb,a",
    )
    assert [gene.locus_tag for gene in read(text).genes] == ["b1"]


def test_longest_product_stands_for_its_gene(read) -> None:
    text = gff(
        "c1 x gene 1 90 . + . ID=g1;locus_tag=b1",
        "c1 x CDS 31 90 . + 0 ID=short;Parent=g1",
        "c1 x CDS 1 90 . + 0 ID=long;Parent=g1",
        "c1 x CDS 61 90 . + 0 ID=shortest;Parent=g1",
    )
    annotation = read(text)
    assert [gene.parts for gene in annotation.genes] == [((0, 90),)]
    assert annotation.skipped == [("b1", "another product of this gene is longer")] * 2


def test_gtf(read) -> None:
    header = "#gtf-version 2.2\n"
    text = gff(
        'c1 RefSeq gene 11 43 . + . gene_id "b1"; transcript_id ""; gene "thrL"; gene_biotype "protein_coding";',
        'c1 RefSeq CDS 11 40 . + 0 gene_id "b1"; transcript_id "t1"; product "a; quoted"; exon_number "1";',
        'c1 RefSeq stop_codon 41 43 . + 0 gene_id "b1"; transcript_id "t1";',
        'c1 RefSeq CDS 104 120 . - 0 gene_id "b2"; transcript_id "t2";',
        'c1 RefSeq CDS 144 160 . - 0 gene_id "b2"; transcript_id "t2";',
        'c1 RefSeq stop_codon 101 103 . - 0 gene_id "b2"; transcript_id "t2";',
        header=header,
    )
    assert read(text).genes == [
        Gene("c1", Strand.FORWARD, ((10, 43),), "thrL", "b1", "a; quoted"),
        Gene("c1", Strand.REVERSE, ((100, 120), (143, 160)), "b2", "b2"),
    ]


def test_gene_features_stand_in_where_there_is_no_cds(read) -> None:
    text = gff(
        "c1 x gene 1 90 . + . ID=g1;locus_tag=b1;gene_biotype=protein_coding",
        "c1 x gene 101 190 . - . ID=g2;Name=second",
        "c1 x gene 201 290 . + . ID=g3;gene_biotype=tRNA",
    )
    assert [(g.locus_tag, g.name) for g in read(text).genes] == [("b1", "b1"), ("g2", "second")]


def test_no_strand_is_skipped_with_its_reason(read) -> None:
    text = gff(
        "c1 x CDS 1 90 . . 0 ID=a",
        "c1 x CDS 1 90 . + 0 ID=b",
        "c1 x CDS 101 190 . - 0 ID=b",
        "c1 x CDS 1 9 . + 0 ID=c",
    )
    annotation = read(text)
    assert [gene.locus_tag for gene in annotation.genes] == ["c"]
    assert annotation.skipped == [("a", "no strand"), ("b", "its parts lie on both strands")]


@pytest.mark.parametrize("head", ["", 'track name="x y"\nbrowser position c1\n# note\n'])
def test_bed(read, head: str) -> None:
    bed6 = "c1\t9\t30\tdnaA\t0\t+\nc1\t40\t60\t.\t0\t-\nc1\t70\t80\tx\t0\t.\n"
    annotation = read(head + bed6)
    assert annotation.genes == [
        Gene("c1", Strand.FORWARD, ((9, 30),), "dnaA", "dnaA"),
        Gene("c1", Strand.REVERSE, ((40, 60),), "c1:41-60", "c1:41-60"),
    ]
    assert annotation.skipped == [("x", "no strand")]
    bed12 = "c1\t10\t100\tg\t0\t-\t20\t80\t0\t3\t5,30,20,\t0,20,70,\nc1\t10\t20\tn\t0\t-\t10\t10\t0\t1\t10\t0\n"
    annotation = read(head + bed12)
    assert [gene.parts for gene in annotation.genes] == [((30, 60),)]
    assert annotation.skipped[0][0] == "n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty"),
        (NCBI + "NC_1\tx\tCDS\t1\n", r"genes\.txt:15 has 4 columns"),
        (NCBI + "NC_1\tx\tCDS\tone\t9\t.\t+\t0\tID=x\n", ":15 has the start 'one'"),
        (gff("c1 x CDS 9 5 . + 0 ID=x"), ":2 spans 9-5"),
        (gff("c1 x CDS 0 5 . + 0 ID=x"), ":2 spans 0-5"),
        (gff("c1 x tRNA 1 5 . + . ID=x", "c1 x tRNA 7 9 . + . ID=y"), "no protein-coding genes: it holds 2 tRNA"),
        (gff("c1 x CDS 1 5 . . 0 ID=x"), r"1 coding sequence that cannot be used, such as x \(no strand\)"),
        ("##gff-version 3\n", "it holds no features"),
        ("##gff-version 3\nc1 x CDS 1 5 . + 0 ID=x\n", "separated by tabs"),
        ("c1\t0\t5\n", ":1 has 3 columns: genes need BED6"),
        ("c1\t0\t5\ta\t0\t+\nc1\tx\t5\ta\t0\t+\n", ":2 has the start 'x'"),
        ("c1\t5\t5\ta\t0\t+\n", "start must be less than end"),
        ("c1\t0\t5\ta\t0\t+\t0\t5\t0\t2\t1,1\t0\n", ":1 is not BED12"),
        (">c1\nACGT\n", "is a FASTA file"),
        ("LOCUS       NC_1\n", "it holds no CDS features"),
        ("#CHROM\tPOS\tID\n", "is a VCF file"),
        (COMPRESSIONS["gzip"](NCBI.encode())[:-20], "cut off or damaged"),
    ],
)
def test_malformed_input_is_refused(read, data: bytes | str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(data)
    assert "genes.txt" in str(caught.value)
    assert str(caught.value).count("\n") < 2


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_genes(str(tmp_path / "none.gff"))


def test_ecoli_genes_are_where_the_labels_say(shared: Path) -> None:
    folder = shared / "essentiality" / "ecoli_k12_mg1655"
    annotation = read_genes(str(folder / "annotation.gff.gz"))
    assert annotation.circular == {"NC_000913.3"}
    genes = {gene.locus_tag: gene for gene in annotation.genes}
    assert len(genes) == len(annotation.genes)
    with (folder / "labels_tradis.tsv").open() as file:
        for label in csv.DictReader(file, delimiter="\t"):
            gene = genes[label["locus_tag"]]
            assert (gene.start + 1, gene.end) == (int(label["start"]), int(label["end"]))
            assert gene.strand.value == label["strand"]
    assert len(genes["b2891"].parts) == 2


def test_calling_genes(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyrodigal")
    with Fasta(shared / "variants" / "lambda_phage_cfsan" / "reference.fa.gz") as fasta:
        annotation = call_genes(fasta)
        genes = annotation.genes
        name = "gi|9626243|ref|NC_001416.1|"
        assert 50 < len(genes) < 90
        assert genes[0].locus_tag == f"{name}_1"
        # Gene A, the large terminase subunit, is NC_001416.1:711-2636.
        assert ((710, 2636),) in [gene.parts for gene in genes]
        assert {gene.strand for gene in genes} == set(Strand)
        short = tmp_path / "short.fa"
        short.write_text(f">c circular=true\n{decoded(fasta, name, 600, 6000)}\n>empty\n")
    with Fasta(short) as fasta:
        annotation = call_genes(fasta)
        assert annotation.circular == {"c"}
        assert ((110, 2036),) in [gene.parts for gene in annotation.genes]
        assert annotation.genes[-1].partial


def test_genes_are_called_by_the_code_that_is_asked_for(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyrodigal")
    with Fasta(shared / "variants" / "lambda_phage_cfsan" / "reference.fa.gz") as fasta:
        name = next(iter(fasta.lengths))

        def read_through(code: int | None) -> int:
            """Count the genes in which TGA is no stop."""
            number = 0
            for gene in call_genes(fasta, code).genes:
                sense = fasta.codes(name, gene.start, gene.end)
                text = decode(sense if gene.strand is Strand.FORWARD else reverse_complement(sense))
                number += not gene.partial and "TGA" in [text[i : i + 3] for i in range(0, len(text) - 3, 3)]
            return number

        assert read_through(None) == read_through(11) == 0 < read_through(4)
        with pytest.raises(InputError, match="pyrodigal cannot be trained on"):
            call_genes(fasta, 99)
        short = tmp_path / "short.fa"
        short.write_text(f">c\n{decoded(fasta, name, 600, 6000)}\n")
    with Fasta(short) as fasta, pytest.raises(InputError, match="pyrodigal cannot be trained on"):
        call_genes(fasta, 4)


def test_calling_genes_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">c\n" + "N" * 100 + "\n")
    with Fasta(path) as fasta:
        with pytest.raises(InputError, match="finds no genes"):
            call_genes(fasta)
        monkeypatch.setitem(sys.modules, "pyrodigal", None)
        with pytest.raises(InputError, match=r"pip install 'dnahnet\[genes\]'"):
            call_genes(fasta)


def decoded(fasta: Fasta, contig: str, start: int, end: int) -> str:
    return "".join("ACGTN"[code] for code in fasta.codes(contig, start, end))
