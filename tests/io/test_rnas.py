"""RNA genes of an annotation: each once, with what is known of it."""

from __future__ import annotations

from pathlib import Path

from dnahnet_cli.genome import Strand
from dnahnet_cli.io.genes import read_genes
from dnahnet_cli.io.rnas import OTHER_RNA, PSEUDOGENE, RRNA, TRNA, RnaGene, read_noncoding, read_rna_genes


def test_rna_genes_of_a_gff(tmp_path: Path) -> None:
    gff = "##gff-version 3\n" + "".join(
        f"c\tx\t{kind}\t{start}\t{start + 9}\t.\t{strand}\t.\t{attributes}\n"
        for kind, start, strand, attributes in [
            ("gene", 1, "+", "ID=g1;gene_biotype=tRNA"),
            ("tRNA", 1, "+", "ID=t1;Parent=g1"),
            ("gene", 101, "-", "ID=g2;gene_biotype=protein_coding"),
            ("rRNA", 201, "-", "ID=r1"),
            ("tRNA", 301, ".", "ID=t2"),
            ("tmRNA", 401, "+", "ID=t3"),
            ("rRNA", 501, "-", "Name=16S_rRNA;product=16S ribosomal RNA"),  # as barrnap writes it
        ]
    )
    (tmp_path / "a.gff").write_text(gff)
    assert set(read_rna_genes(str(tmp_path / "a.gff"))) == {
        RnaGene("c", 200, 210, Strand.REVERSE, RRNA),
        RnaGene("c", 0, 10, Strand.FORWARD, TRNA),
        RnaGene("c", 300, 310, None, TRNA),
        RnaGene("c", 400, 410, Strand.FORWARD, OTHER_RNA),
        RnaGene("c", 500, 510, Strand.REVERSE, RRNA),
    }
    (tmp_path / "a.bed").write_text("c\t0\t10\tx\t0\t+\n")
    assert read_rna_genes(str(tmp_path / "a.bed")) == []


def test_names_products_and_pseudogenes_without_a_cds(tmp_path: Path) -> None:
    (tmp_path / "a.gff").write_text(
        "##gff-version 3\n"
        "c\tx\tgene\t1\t90\t.\t+\t.\tID=g1;gene_biotype=rRNA;gene=rrsA;locus_tag=T1\n"
        "c\tx\trRNA\t1\t90\t.\t+\t.\tID=r1;Parent=g1;locus_tag=T1;product=16S ribosomal RNA\n"
        "c\tx\tpseudogene\t101\t190\t.\t-\t.\tID=p1;gene=oldA;locus_tag=T2\n"
        "c\tx\tpseudogene\t201\t290\t.\t-\t.\tID=p2;locus_tag=T3\n"
        "c\tx\tCDS\t201\t290\t.\t-\t2\tID=cds3;Parent=p2;transl_table=4\n"
    )
    rrna, pseudogene = read_noncoding(str(tmp_path / "a.gff"))
    assert (rrna.kind, rrna.name, rrna.locus_tag, rrna.product) == (RRNA, "rrsA", "T1", "16S ribosomal RNA")
    assert (pseudogene.kind, pseudogene.name, pseudogene.start) == (PSEUDOGENE, "oldA", 100)
    assert read_rna_genes(str(tmp_path / "a.gff")) == [rrna]
    (gene,) = read_genes(str(tmp_path / "a.gff")).genes
    assert (gene.locus_tag, gene.pseudo, gene.phase, gene.genetic_code) == ("T3", True, 2, 4)


def test_rna_genes_of_a_genbank_file(tmp_path: Path) -> None:
    (tmp_path / "a.gbk").write_text(
        "LOCUS       c 400 bp DNA circular\nFEATURES             Location/Qualifiers\n"
        '     rRNA            complement(11..90)\n                     /locus_tag="T1"\n'
        '                     /product="16S ribosomal RNA"\n'
        '     gene            101..190\n                     /gene="oldA"\n                     /pseudo\n//\n'
    )
    rrna, pseudogene = read_noncoding(str(tmp_path / "a.gbk"))
    assert rrna == RnaGene("c", 10, 90, Strand.REVERSE, RRNA) and rrna.product == "16S ribosomal RNA"
    assert (pseudogene.kind, pseudogene.name) == (PSEUDOGENE, "oldA")


def test_a_bed_that_begins_with_a_track_line_has_none(tmp_path: Path) -> None:
    (tmp_path / "genes.bed").write_text("track name=x\nbrowser hide all\nc1\t0\t9\tg\t0\t+\n")
    assert read_noncoding(str(tmp_path / "genes.bed")) == []


def test_genbank_rnas_over_the_origin_and_pseudogenes_of_several_parts(tmp_path: Path) -> None:
    text = (
        "LOCUS       circular_1 400 bp DNA {}\nFEATURES             Location/Qualifiers\n"
        "     tRNA            join(381..400,1..50)\n     rRNA            complement(join(371..400,1..50))\n"
        '     gene            101..190\n                     /locus_tag="T2"\n                     /pseudo\n'
        '     CDS             join(101..150,152..190)\n                     /locus_tag="T2"\n'
        "                     /pseudo\n//\n"
    )
    for topology, starts, end in (("circular", (380, 370), 450), ("linear", (0, 0), 400)):
        (tmp_path / "a.gbk").write_text(text.format(topology))
        assert read_noncoding(str(tmp_path / "a.gbk")) == [
            RnaGene("circular_1", starts[0], end, Strand.FORWARD, TRNA),
            RnaGene("circular_1", starts[1], end, Strand.REVERSE, RRNA),
        ]
        annotation = read_genes(str(tmp_path / "a.gbk"))
        assert annotation.circular == (frozenset({"circular_1"}) if topology == "circular" else frozenset())
        assert [gene.pseudo for gene in annotation.genes] == [True]


def test_parts_of_spliced_rna_and_of_pseudogenes(tmp_path: Path) -> None:
    (tmp_path / "a.gff").write_text(
        "##gff-version 3\n##sequence-region c 1 2000\n"
        "c\tx\tregion\t1\t2000\t.\t+\t.\tID=c;Is_circular=true\n"
        "c\tx\tgene\t1400\t1700\t.\t+\t.\tID=g1;gene_biotype=tRNA;locus_tag=T1\n"
        "c\tx\ttRNA\t1400\t1700\t.\t+\t.\tID=r1;Parent=g1\n"
        "c\tx\texon\t1650\t1700\t.\t+\t.\tID=e1;Parent=r1\n"
        "c\tx\texon\t1400\t1450\t.\t+\t.\tID=e1;Parent=r1\n"
        "d\tx\texon\t1\t5\t.\t+\t.\tParent=r1\n"  # on another contig: not of this gene
        "c\tx\tpseudogene\t101\t190\t.\t-\t.\tID=p1;Name=oldA\n"
        "c\tx\tpseudogenic_transcript\t101\t190\t.\t-\t.\tID=p2;Parent=p1\n"
        "c\tx\texon\t101\t120\t.\t-\t.\tParent=p2\n"
        "c\tx\texon\t171\t190\t.\t-\t.\tParent=p2\n"
        "c\tx\ttmRNA\t1981\t2000\t.\t-\t.\tID=r2\n"  # two lines of one, over the origin
        "c\tx\ttmRNA\t1\t9\t.\t-\t.\tID=r2\n"
        "c\tx\trRNA\t301\t320\t.\t-\t.\tID=r3\n"
    )
    found = {gene.start: gene for gene in read_noncoding(str(tmp_path / "a.gff"))}
    assert {start: (gene.end, gene.parts) for start, gene in found.items()} == {
        1399: (1700, ((1399, 1450), (1649, 1700))),
        100: (190, ((100, 120), (170, 190))),
        1980: (2009, ((1980, 2000), (2000, 2009))),
        300: (320, ()),
    }
    assert found[100].name == "oldA" and found[1399].locus_tag == "T1"
    (tmp_path / "a.gbk").write_text(
        "LOCUS       c 400 bp DNA linear\nFEATURES             Location/Qualifiers\n"
        "     tRNA            complement(join(11..40,61..90))\n//\n"
    )
    assert [gene.parts for gene in read_noncoding(str(tmp_path / "a.gbk"))] == [((10, 40), (60, 90))]


def test_ensembl_names_rna_by_its_gene(tmp_path: Path) -> None:
    (tmp_path / "a.gff").write_text(
        "##gff-version 3\n"
        "c\te\tncRNA_gene\t1\t90\t.\t+\t.\tID=gene:b0201;Name=rrsH;biotype=rRNA;gene_id=b0201\n"
        "c\te\trRNA\t1\t90\t.\t+\t.\tID=transcript:EBT1;Parent=gene:b0201;biotype=rRNA;transcript_id=EBT1\n"
        "c\te\texon\t1\t90\t.\t+\t.\tParent=transcript:EBT1;Name=EBE1\n"
        "c\te\tncRNA_gene\t101\t190\t.\t+\t.\tID=gene:b0300;biotype=antisense;gene_id=b0300\n"
        "c\te\tncRNA_gene\t201\t290\t.\t+\t.\tID=gene:b0301;biotype=tRNA;gene_id=b0301\n"
    )
    assert [(gene.name, gene.locus_tag, gene.kind) for gene in read_noncoding(str(tmp_path / "a.gff"))] == [
        ("rrsH", "b0201", RRNA),
        ("b0300", "b0300", OTHER_RNA),
        ("b0301", "b0301", TRNA),
    ]


def test_products_and_exons_of_a_gtf(tmp_path: Path) -> None:
    own = 'gene_id "b4413"; transcript_id "rna-1"; gbkey "ncRNA"; gene "sokC"'
    (tmp_path / "a.gtf").write_text(
        'c\tx\tgene\t11\t90\t.\t+\t.\tgene_id "b4413"; transcript_id ""; gene "sokC"; gene_biotype "ncRNA";\n'
        f'c\tx\ttranscript\t11\t90\t.\t+\t.\t{own}; product "antitoxin SokC"; transcript_biotype "ncRNA";\n'
        f'c\tx\texon\t11\t40\t.\t+\t.\t{own}; exon_number "1";\n'
        f'c\tx\texon\t61\t90\t.\t+\t.\t{own}; exon_number "2";\n'
        'c\tx\ttranscript\t201\t290\t.\t+\t.\tgene_id "b1"; transcript_id "t1"; transcript_biotype "mRNA";\n'
        'c\tx\tCDS\t201\t290\t.\t+\t0\tgene_id "b1"; transcript_id "t1";\n'
    )
    (gene,) = read_noncoding(str(tmp_path / "a.gtf"))
    assert (gene.name, gene.locus_tag, gene.product) == ("sokC", "b4413", "antitoxin SokC")
    assert (gene.kind, gene.parts) == (OTHER_RNA, ((10, 40), (60, 90)))
