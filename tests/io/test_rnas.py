"""RNA genes of an annotation: each once, with what is known of it."""

from __future__ import annotations

from pathlib import Path

from dnahnet_cli.genome import Strand
from dnahnet_cli.io.rnas import OTHER_RNA, RRNA, TRNA, RnaGene, read_rna_genes


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
        ]
    )
    (tmp_path / "a.gff").write_text(gff)
    assert set(read_rna_genes(str(tmp_path / "a.gff"))) == {
        RnaGene("c", 200, 210, Strand.REVERSE, RRNA),
        RnaGene("c", 0, 10, Strand.FORWARD, TRNA),
        RnaGene("c", 300, 310, None, TRNA),
        RnaGene("c", 400, 410, Strand.FORWARD, OTHER_RNA),
    }
    (tmp_path / "a.bed").write_text("c\t0\t10\tx\t0\t+\n")
    assert read_rna_genes(str(tmp_path / "a.bed")) == []
