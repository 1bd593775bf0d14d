"""Consequences against worked examples, and against editing the genome and translating what comes out."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.consequences.annotator import Annotator
from dnahnet_cli.consequences.effects import Effect, Term
from dnahnet_cli.consequences.load import read_gene_set
from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Gene, Strand, Variant, decode, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.rnas import RRNA, TRNA, RnaGene
from dnahnet_cli.scoring.proteins import AMINO_ACID_OF
from tests.conftest import SHARED, MemoryGenome, random_codes

ECOLI = SHARED / "data" / "essentiality" / "ecoli_k12_mg1655"

#        0         1         2         3         4
#        0123456789012345678901234567890123456789012
GENE = "ATGGCCAAACAGTTTGGATGCTGGTACTAA"  # M A K Q F G C W Y *
BEFORE, AFTER = "CCGTAGGAGGTATTCTCGCA", "GCCTTTACGGATCAGTTTCC"
GENOME = BEFORE + GENE + AFTER
FIRST = len(BEFORE)


def flipped(text: str) -> str:
    return decode(reverse_complement(encode(text)))


def annotator(sequence: str = GENOME, **more: object) -> Annotator:
    gene = Gene("c", Strand.FORWARD, ((FIRST, FIRST + len(GENE)),), "abc", "T1", "a product")
    return Annotator(MemoryGenome({"c": sequence}), [gene], **more)  # type: ignore[arg-type]


def at(place: int, ref: str, alt: str) -> Variant:
    """Return a variant at a base of the gene, counted from 0, and check its REF."""
    start = FIRST + place
    assert GENOME[start : start + len(ref)] == ref
    return Variant("c", start, ref, alt)


CASES = [
    (at(4, "C", "T"), "missense_variant", "gCc/gTc", "A2V"),
    (at(5, "C", "T"), "synonymous_variant", "gcC/gcT", "A2A"),
    (at(9, "C", "T"), "stop_gained", "Cag/Tag", "Q4*"),
    (at(27, "T", "C"), "stop_lost", "Taa/Caa", "*10Q"),
    (at(28, "A", "G"), "stop_retained_variant", "tAa/tGa", "*10*"),
    (at(0, "A", "G"), "start_retained_variant", "Atg/Gtg", "M1M"),
    (at(1, "T", "C"), "start_lost", "aTg/aCg", "M1?"),
    (at(4, "CCA", "TTC"), "missense_variant", "gCCAaa/gTTCaa", "A2V:K3Q"),
    (at(5, "CA", "TC"), "missense_variant", "gcCAaa/gcTCaa", "K3Q"),
    (at(9, "CAG", "C"), "frameshift_variant", "cAG/c", "Q4fs"),
    (at(10, "A", "AT"), "frameshift_variant", "cag/caTg", "Q4fs"),
    (at(5, "CAAA", "C"), "inframe_deletion", "AAA/-", "K3del"),
    (at(4, "CCAA", "C"), "inframe_deletion", "gcCAAa/gca", "K3del"),
    (at(8, "A", "AGGG"), "inframe_insertion", "-/GGG", "K3_Q4insG"),
    (at(8, "A", "ATAG"), "stop_gained", "-/TAG", "K3_Q4ins*"),
    (at(8, "A", "ATAGC"), "stop_gained", "-/TAGC", "Q4*"),
    (at(9, "CAGTTT", "GGG"), "protein_altering_variant", "CAGTTT/GGG", "Q4_F5delinsG"),
    (at(-1, "AAT", "A"), "start_lost", "ATg/g", "M1?"),
    (at(-3, "GCAATG", "G"), "start_lost", "", "M1?"),
    (at(26, "CTAAGC", "C"), "stop_lost", "", "*10?"),
]


@pytest.mark.parametrize(("variant", "term", "codons", "residues"), CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_worked_examples_on_either_strand(
    variant: Variant, term: str, codons: str, residues: str, reverse: bool
) -> None:
    model = annotator()
    if reverse:
        length = len(GENOME)
        gene = Gene("c", Strand.REVERSE, ((length - FIRST - len(GENE), length - FIRST),), "abc", "T1", "a product")
        model = Annotator(MemoryGenome({"c": flipped(GENOME)}), [gene])
        variant = Variant("c", length - variant.end, flipped(variant.ref), flipped(variant.alt))
    (effect,) = model.effects(variant)
    assert (effect.term.value, effect.codon_change, effect.aa_change) == (term, codons, residues)
    assert (effect.gene, effect.locus_tag, effect.product) == ("abc", "T1", "a product")
    assert effect.strand is (Strand.REVERSE if reverse else Strand.FORWARD)


def test_an_indel_that_can_be_written_outside_the_gene_leaves_it_alone() -> None:
    genome = "GGGGGGGGGG" + "CATGCATG" + "GCCAAATAA" + "TAAGG"  # a gene from the second ATG
    gene = Gene("c", Strand.FORWARD, ((14, 27),), "abc")
    model = Annotator(MemoryGenome({"c": genome}), [gene], upstream_bp=0)
    assert model.effects(Variant("c", 13, "CATG", "C"))[0].term is not Term.INTERGENIC
    deleted = model.effects(Variant("c", 9, "GCATG", "G"))  # one of two copies of CATG
    assert deleted[0].term is Term.INTERGENIC


def test_how_an_indel_is_written_decides_about_no_rna_gene_and_no_intron() -> None:
    genome = MemoryGenome({"c": "GGGGGGGGGG" + "CATGCATG" + "GCCAAATAA" + "TAAGG"})
    rna = RnaGene("c", 14, 27, Strand.FORWARD, TRNA, "trnA")  # from the second CATG
    spliced = Gene("c", Strand.FORWARD, ((0, 14), (26, 30)), "spliced")
    for genes, rnas, term in (([], [rna], Term.INTERGENIC), ([spliced], [], Term.INTRON)):
        model = Annotator(genome, genes, rnas, upstream_bp=0)
        one, other = Variant("c", 9, "GCATG", "G"), Variant("c", 13, "GCATG", "G")
        assert [effect.term for variant in (one, other) for effect in model.effects(variant)] == [term, term]
        assert model.effects(Variant("c", 16, "TGG", "T"))[0].term is (Term.NON_CODING if rnas else Term.INTRON)


def test_genes_round_the_one_that_is_hit() -> None:
    rna = RnaGene("c", 60, 66, Strand.FORWARD, TRNA, "trnA", "T2", "tRNA-Ala")
    odd = RnaGene("c", 0, 2, None, RRNA, "rrs", "T3")
    model = annotator(noncoding=[rna, odd], upstream_bp=12)
    assert model.effects(Variant("c", 61, GENOME[61], "A"))[0].term is Term.NON_CODING
    upstream = model.effects(Variant("c", 52, GENOME[52], "A"))
    assert [(e.term, e.gene, e.product) for e in upstream] == [(Term.UPSTREAM, "trnA", "tRNA-Ala")]
    assert model.effects(Variant("c", 15, GENOME[15], "A"))[0].gene == "abc"
    assert model.effects(Variant("c", 4, GENOME[4], "T"))[0].term is Term.INTERGENIC
    assert model.effects(Variant("c", 0, GENOME[0], "A"))[0].gene == "rrs"


def test_the_most_severe_of_overlapping_genes_comes_first() -> None:
    genes = [
        Gene("c", Strand.FORWARD, ((FIRST, FIRST + len(GENE)),), "abc"),
        Gene("c", Strand.FORWARD, ((FIRST + 1, FIRST + 28),), "shifted"),
        Gene("c", Strand.REVERSE, ((FIRST + 2, FIRST + 29),), "reverse", pseudo=True),
    ]
    model = Annotator(MemoryGenome({"c": GENOME}), genes)
    effects = model.effects(at(9, "C", "T"))
    assert effects[0].gene == "abc" and {e.gene for e in effects} == {"abc", "shifted", "reverse"}
    assert [e.term.severity for e in effects] == sorted(e.term.severity for e in effects)
    assert effects[-1].term is Term.NON_CODING  # a pseudogene has no protein
    assert str(effects[0]) == "abc||+|stop_gained|Cag/Tag|Q4*"


@pytest.mark.parametrize("turn", [1, FIRST + 1, FIRST + 10, FIRST + 29, 45])
def test_a_gene_over_the_origin_is_like_any_other(turn: int) -> None:
    rotated = GENOME[turn:] + GENOME[:turn]
    length = len(GENOME)
    start = (FIRST - turn) % length
    gene = Gene("c", Strand.FORWARD, ((start, start + len(GENE)),), "abc", "T1", "a product")
    model = Annotator(MemoryGenome({"c": rotated}), [gene], circular=frozenset({"c"}))
    assert not model.skipped
    for variant, term, codons, residues in CASES[:13]:
        moved = (variant.start - turn) % length
        if moved + len(variant.ref) <= length:
            (effect,) = model.effects(Variant("c", moved, variant.ref, variant.alt))
            assert (effect.term.value, effect.codon_change, effect.aa_change) == (term, codons, residues)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.booleans())
def test_where_the_file_of_a_circle_begins_changes_no_effect(seed: int, reverse: bool) -> None:
    random = np.random.default_rng(seed)
    length, size = 60, int(random.integers(1, 5))
    circle = 2 * "".join(random.choice(list("AC"), length))  # of two letters, so that there are repeats
    start, end = 20, 41
    place = int(random.choice([start, end])) + int(random.integers(-4, 4))
    ref = circle[place : place + size]
    alt = ref[0] + "".join(random.choice(list("AC"), int(random.integers(0, 5))))
    found = []
    for turn in (0, place, place + size, place - 2, place + size + 2):
        rotated = MemoryGenome({"c": circle[turn : turn + length]})
        begin = (start - turn) % length
        gene = Gene("c", Strand.REVERSE if reverse else Strand.FORWARD, ((begin, begin + end - start),), "abc")
        model = Annotator(rotated, [gene], circular=frozenset({"c"}), upstream_bp=5)
        found.append(model.effects(Variant("c", (place - turn) % length, ref, alt)) if ref != alt else [])
    assert all(effects == found[0] for effects in found)


def test_parts_of_a_gene_and_what_lies_between() -> None:
    # +1 frameshift: the base at 15 of the gene is jumped over, as in prfB.
    parts = ((FIRST, FIRST + 15), (FIRST + 16, FIRST + 28))
    model = Annotator(MemoryGenome({"c": GENOME}), [Gene("c", Strand.FORWARD, parts, "prfB")])
    assert model.effects(at(15, "G", "A"))[0].term is Term.CODING
    assert model.effects(at(16, "G", "A"))[0].aa_change == "D6N"  # GAT in the new frame
    parts = ((FIRST, FIRST + 6), (FIRST + 18, FIRST + 30))
    model = Annotator(MemoryGenome({"c": GENOME}), [Gene("c", Strand.FORWARD, parts, "spliced")])
    assert model.effects(at(12, "T", "A"))[0].term is Term.INTRON
    assert model.effects(at(18, "T", "A"))[0].aa_change == "C3S"
    assert model.effects(Variant("c", FIRST + 3, GENOME[FIRST + 3 : FIRST + 9], "G"))[0].term is Term.CODING


def test_genes_that_are_cut_off_and_other_codes() -> None:
    genome = MemoryGenome({"c": GENOME})

    def effect(place: int, ref: str, alt: str, code: int | None = None, **more: object) -> tuple[Term, str]:
        end = more.pop("end", FIRST + len(GENE))
        gene = Gene("c", Strand.FORWARD, ((FIRST, end),), "abc", **more)  # type: ignore[arg-type]
        (found,) = Annotator(genome, [gene], code=code).effects(at(place, ref, alt))
        return found.term, found.aa_change

    assert effect(1, "T", "C", phase=1, end=FIRST + 28) == (Term.MISSENSE, "W1R")  # read from its second base
    for place, ref, alt in ((0, "A", "G"), (1, "T", "C"), (0, "AT", "A"), (0, "A", "AG"), (1, "T", "TC")):
        assert effect(place, ref, alt, phase=2, end=FIRST + 29) == (Term.CODING, "")  # of a codon that is cut off
    assert effect(-2, "CAA", "C", phase=2, end=FIRST + 29) == (Term.CODING, "")
    assert effect(-1, "AA", "A", phase=2, end=FIRST + 29)[0] is Term.UPSTREAM  # as well written before the gene
    assert effect(28, "A", "C", end=FIRST + 29) == (Term.INCOMPLETE_CODON, "")
    assert effect(0, "A", "G", cut_at_start=True) == (Term.MISSENSE, "M1V")  # any codon of a gene, not its first
    assert effect(2, "G", "A", cut_at_start=True) == (Term.MISSENSE, "M1I")
    assert effect(23, "G", "A") == (Term.STOP_GAINED, "W8*")
    assert effect(23, "G", "A", code=4) == (Term.SYNONYMOUS, "W8W")
    assert effect(23, "G", "A", genetic_code=4) == (Term.SYNONYMOUS, "W8W")
    assert effect(0, "A", "C", genetic_code=25) == (Term.START_LOST, "M1?")
    with pytest.raises(UsageError, match="1, 4, 11"):
        Annotator(genome, [], code=99)


def test_the_last_stop_of_a_gene_with_another_inside_it_can_be_lost() -> None:
    sequence = BEFORE + "ATGAAATGACAGGGATAA" + AFTER  # TGA for selenocysteine
    model = Annotator(MemoryGenome({"c": sequence}), [Gene("c", Strand.FORWARD, ((FIRST, FIRST + 18),), "fdhF")])

    def effect(place: int, ref: str, alt: str) -> tuple[Term, str]:
        (found,) = model.effects(Variant("c", FIRST + place, ref, alt))
        return found.term, found.aa_change

    assert effect(15, "T", "C") == (Term.STOP_LOST, "*6Q")
    assert effect(14, "ATAA", "A") == (Term.STOP_LOST, "*6del")
    assert effect(9, "C", "T") == (Term.STOP_GAINED, "Q4*")
    assert effect(6, "T", "C") == (Term.MISSENSE, "*3R")
    assert effect(7, "G", "A") == (Term.STOP_GAINED, "*3*")  # no longer the codon that is read through
    assert effect(16, "A", "G") == (Term.STOP_RETAINED, "*6*")


def test_genes_that_do_not_fit_are_left_out_and_named() -> None:
    genes = [Gene("x", Strand.FORWARD, ((0, 9),), "one", "L1"), Gene("c", Strand.FORWARD, ((60, 90),), "two", "L2")]
    model = Annotator(MemoryGenome({"c": GENOME}), genes)
    assert [name for name, _ in model.skipped] == ["L1", "L2"]
    assert model.effects(at(0, "A", "C"))[0].term is Term.INTERGENIC


def mutated(sequence: str, variant: Variant) -> str:
    return sequence[: variant.start] + variant.alt + sequence[variant.end :]


def proteins(bases: str) -> str:
    """Translate up to the first stop, with the other implementation of the code."""
    residues = "".join(AMINO_ACID_OF[bases[i : i + 3]] for i in range(0, len(bases) - 2, 3))
    return residues.split("*")[0] + ("*" if "*" in residues else "")


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**9), st.booleans())
def test_random_edits_agree_with_translating_the_edited_genome(seed: int, reverse: bool) -> None:
    """Within a gene, the edited gene lies between the same flanks; its protein says what the term must be."""
    random = np.random.default_rng(seed)
    codons = [c for c, aa in AMINO_ACID_OF.items() if aa != "*"]
    body = "".join(random.choice(codons, 30))
    gene_bases = "ATG" + body + "TAA"
    sequence = decode(random_codes(30, seed)) + gene_bases + decode(random_codes(30, seed + 1))
    low, high = 30 + 9, 30 + len(gene_bases) - 9
    start = int(random.integers(low, high - 8))
    kind = int(random.integers(0, 3))
    size = int(random.integers(1, 8))
    ref = sequence[start]
    if kind == 0:
        variant = Variant("c", start, ref, "ACGT".replace(ref, "")[int(random.integers(0, 3))])
    elif kind == 1:
        variant = Variant("c", start, ref, ref + "".join(random.choice(list("ACGT"), size)))
    else:
        variant = Variant("c", start, sequence[start : start + size + 1], ref)
    before = proteins(gene_bases)
    edited = mutated(sequence, variant)
    change = len(variant.alt) - len(variant.ref)
    after = proteins(edited[30 : 30 + len(gene_bases) + change + 2])
    if reverse:
        length = len(sequence)
        variant = Variant("c", length - variant.end, flipped(variant.ref), flipped(variant.alt))
        sequence = flipped(sequence)
    strand = Strand.REVERSE if reverse else Strand.FORWARD
    model = Annotator(MemoryGenome({"c": sequence}), [Gene("c", strand, ((30, 30 + len(gene_bases)),), "abc")])
    (effect,) = model.effects(variant)
    if after == before:
        assert effect.term is Term.SYNONYMOUS
    elif change % 3:
        assert effect.term in (Term.FRAMESHIFT, Term.STOP_GAINED)
        first = next(i for i, (a, b) in enumerate(zip(before, after + "?" * 99, strict=False)) if a != b)
        assert effect.aa_change.startswith(f"{before[first]}{first + 1}")
        assert (effect.term is Term.STOP_GAINED) == (after[first : first + 1] == "*")
    elif len(after) < len(before) + change // 3:
        assert effect.term is Term.STOP_GAINED
    elif change == 0:
        (place,) = (i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
        assert effect.term is Term.MISSENSE
        assert effect.aa_change == f"{before[place]}{place + 1}{after[place]}"
    else:
        assert effect.term is (Term.INFRAME_INSERTION if change > 0 else Term.INFRAME_DELETION)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_a_gene_is_hit_exactly_when_it_is_no_longer_there(seed: int) -> None:
    """An indel at an end of a gene leaves it alone if and only if the edited genome has the gene in its place."""
    random = np.random.default_rng(seed)
    sequence = "".join(random.choice(list("AC"), 60))  # of two letters, so that there are repeats
    start, end = 20, 41
    strand = Strand.FORWARD if seed % 2 else Strand.REVERSE
    place = int(random.choice([start, end])) + int(random.integers(-4, 4))
    size = int(random.integers(1, 5))
    if random.random() < 0.5:
        variant = Variant("c", place, sequence[place : place + size + 1], sequence[place])
    else:
        added = "".join(random.choice(list("AC"), size))
        variant = Variant("c", place, sequence[place], sequence[place] + added)
    edited, change = mutated(sequence, variant), len(variant.alt) - len(variant.ref)
    flanks = sequence[:start], sequence[end:]
    before = edited[start + change : end + change] == sequence[start:end] and edited[end + change :] == flanks[1]
    intact = before or (edited[start:end] == sequence[start:end] and edited[:start] == flanks[0])
    model = Annotator(MemoryGenome({"c": sequence}), [Gene("c", strand, ((start, end),), "abc")], upstream_bp=0)
    is_hit = model.effects(variant)[0].term is not Term.INTERGENIC
    assert is_hit == (not intact)


def test_gaps_in_pseudogenes_and_spliced_rna_are_no_exons(tmp_path: Path) -> None:
    path, sequence = tmp_path / "genes.gff", decode(random_codes(2600, 1))
    path.write_text(
        "##gff-version 3\n"
        "c\tx\tpseudogene\t191\t2000\t.\t+\t.\tID=g1;gene=crl;locus_tag=T1;pseudo=true\n"
        "c\tx\tCDS\t191\t300\t.\t+\t0\tID=c1;Parent=g1;pseudo=true\n"
        "c\tx\tCDS\t1900\t2000\t.\t+\t0\tID=c1;Parent=g1;pseudo=true\n"
        "c\tx\tCDS\t501\t1400\t.\t-\t0\tID=c2;gene=insB\n"
        "c\tx\tgene\t2100\t2400\t.\t+\t.\tID=g3;gene=trnA;gene_biotype=tRNA\n"
        "c\tx\ttRNA\t2100\t2400\t.\t+\t.\tID=r3;Parent=g3\n"
        "c\tx\texon\t2100\t2150\t.\t+\t.\tParent=r3\n"
        "c\tx\texon\t2160\t2170\t.\t+\t.\tParent=r3\n"  # nine bases behind the first: no gap
        "c\tx\texon\t2350\t2400\t.\t+\t.\tParent=r3\n"
    )
    genes = read_gene_set(str(path), {"c": len(sequence)})
    model = Annotator(MemoryGenome({"c": sequence}), genes.coding, genes.noncoding)

    def terms(position: int, ref_bp: int = 1) -> list[tuple[str, Term]]:
        ref = sequence[position - 1 : position - 1 + ref_bp]
        alt = "ACGT".replace(ref[0], "")[0]
        return [(e.gene, e.term) for e in model.effects(Variant("c", position - 1, ref, alt))]

    for position in (450, 1600, 301, 1899):
        assert terms(position) == [("crl", Term.INTRON)]
    for position in (191, 300, 1900, 2000):
        assert terms(position) == [("crl", Term.NON_CODING)]
    assert terms(1000)[-1] == ("crl", Term.INTRON) and terms(1000)[0][0] == "insB"
    for position in (2300, 2171):
        assert terms(position) == [("trnA", Term.INTRON)]
    for position in (2100, 2155, 2160, 2350):
        assert terms(position) == [("trnA", Term.NON_CODING)]
    assert terms(299, 4) == [("crl", Term.NON_CODING)]  # over the edge of a gap


@pytest.mark.skipif(not ECOLI.is_dir(), reason="the shared data folder is not beside this checkout")
def test_a_transposon_in_a_real_pseudogene_is_no_exon_of_it() -> None:
    with Fasta(ECOLI / "genome.fna.gz") as fasta:
        genes = read_gene_set(str(ECOLI / "annotation.gff.gz"), fasta.lengths)
        model = Annotator(fasta, genes.coding, genes.noncoding, genes.circular)
        (contig,) = fasta.lengths
        ref = decode(fasta.codes(contig, 257_999, 258_000))
        found = model.effects(Variant(contig, 257_999, ref, "ACGT".replace(ref, "")[0]))
    assert [effect.gene for effect in found] == ["insB9", "crl"]
    assert found[-1].term is Term.INTRON


@pytest.mark.parametrize(("kind", "text"), [("gff", "rRNA"), ("gbk", "tRNA")])
def test_a_file_of_rna_genes_alone_will_do(tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / f"genes.{kind}"
    if kind == "gff":  # as barrnap writes it
        path.write_text("##gff-version 3\nc\tbarrnap:0.9\trRNA\t21\t50\t1e-9\t+\t.\tName=16S_rRNA;product=16S\n")
    else:
        path.write_text(
            "LOCUS       c 70 bp DNA linear\nFEATURES             Location/Qualifiers\n"
            "     tRNA            21..50\n//\n"
        )
    genes = read_gene_set(str(path), {"c": 70})
    assert not genes.coding and [gene.kind for gene in genes.noncoding] == [text]
    with pytest.raises(InputError, match="The genes are on c, the genome has d"):
        read_gene_set(str(path), {"d": 70})
    path.write_text("##gff-version 3\nc\tx\toperon\t21\t50\t.\t+\t.\tID=o\n")
    with pytest.raises(InputError, match="no protein-coding genes: it holds 1 operon"):
        read_gene_set(str(path), {"c": 70})


def test_signs_within_names_do_not_break_the_text_form() -> None:
    effect = Effect(Term.UPSTREAM, "gi|9626243|ref|NC_001416.1|", "a&b%7C", Strand.FORWARD)
    text = "&".join(map(str, [effect, effect]))
    for one in text.split("&"):
        gene, tag, *others = map(unquote, one.split("|"))
        assert (gene, tag) == (effect.gene, effect.locus_tag) and others == ["+", "upstream_gene_variant", "", ""]
    assert str(effect).startswith("gi%7C9626243%7Cref%7CNC_001416.1%7C|a%26b%257C|")


def test_an_annotation_of_another_genome_is_said(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff"
    path.write_text("##gff-version 3\nchr1\t.\tCDS\t21\t50\t.\t+\t0\tID=a;locus_tag=T1;transl_table=4\n")
    with pytest.raises(InputError, match="--rename-contigs"):
        read_gene_set(str(path), {"c": 70})
    genes = read_gene_set(str(path), {"c": 70}, {"chr1": "c"})
    assert genes.coding[0].contig == "c" and genes.coding[0].genetic_code == 4


@pytest.mark.skipif(not ECOLI.is_dir(), reason="the shared data folder is not beside this checkout")
def test_the_first_codon_of_real_genes_is_their_start() -> None:
    """Every SNV of the first codon of E. coli's genes is a change of M."""
    with Fasta(ECOLI / "genome.fna.gz") as fasta:
        genes = read_gene_set(str(ECOLI / "annotation.gff.gz"), fasta.lengths)
        model = Annotator(fasta, genes.coding, genes.noncoding, genes.circular)
        assert not model.skipped and len(genes.coding) > 4000
        for gene in genes.coding[:200]:
            if gene.pseudo:
                continue
            place = gene.start if gene.strand is Strand.FORWARD else gene.end - 1
            ref = decode(fasta.codes(gene.contig, place, place + 1))
            for alt in "ACGT".replace(ref, ""):
                own = [e for e in model.effects(Variant(gene.contig, place, ref, alt)) if e.locus_tag == gene.locus_tag]
                assert own[0].term in (Term.START_LOST, Term.START_RETAINED) and own[0].aa_change.startswith("M1")
