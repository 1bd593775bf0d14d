"""Protein mutations: which bases they change, that they are refused when they do not fit, and what they score."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, Edit, Gene, Strand, Variant, decode, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.proteins import (
    AMINO_ACID_OF,
    START_CODONS,
    CodingSequence,
    Mutation,
    find_coding,
    nearest_codon,
    score_mutations,
    translate,
)
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.scoring.variants import VariantScorer
from tests.conftest import SHARED, MemoryGenome, lively_model, random_codes

RESIDUES = "ACDEFGHIKLMNPQRSTVWY*"
SUFFIX = 30
OPTIONS = EngineOptions(grid=TileGrid(tile=400, context=100, max_scored=300), suffix=SUFFIX)
MODEL = lively_model()
CODES = random_codes(700, 31)
PLUS = Gene("c", Strand.FORWARD, ((200, 440),), "plus")
MINUS = Gene("c", Strand.REVERSE, ((200, 440),), "minus")
SPLICED = Gene("c", Strand.REVERSE, ((200, 250), (300, 340)), "spliced")
TURNED = MemoryGenome({"c": reverse_complement(CODES)})
GENOME = MemoryGenome({"c": CODES})


def coding_bases(gene: Gene, codes: Codes) -> Codes:
    bases = np.concatenate([codes[start:end] for start, end in gene.parts])
    return bases if gene.strand is Strand.FORWARD else reverse_complement(bases)


def apply(codes: Codes, edits: list[Edit]) -> Codes:
    edited = codes.copy()
    for edit in edits:
        assert edit.num_replaced == len(edit.replacement)
        edited[edit.start : edit.end] = edit.replacement
    return edited


def substitution(coding: CodingSequence, position: int, turn: int) -> str:
    """Return the text of a substitution of a residue by the `turn`-th other one."""
    wild = coding.protein[position]
    others = [residue for residue in RESIDUES if residue != wild]
    return f"{wild}{position + 1}{others[turn % 20]}"


# --- codons ---


def test_the_genetic_code() -> None:
    assert translate(encode("ATGGCTTGGANAtaa")) == "MAWX*"
    counts = Counter(AMINO_ACID_OF.values())
    assert counts == Counter("L" * 6 + "R" * 6 + "S" * 6 + "AGPTV" * 4 + "I*" * 3 + "CDEFHKNQY" * 2 + "MW")
    assert {AMINO_ACID_OF[codon] for codon in START_CODONS} == {"M", "V", "L", "I"}


@pytest.mark.parametrize(
    ("codon", "residue", "expected"),
    [
        ("ATG", "L", "CTG"),  # CTG and TTG, both one transversion: the alphabet decides
        ("TGG", "R", "CGG"),  # AGG comes first in the alphabet, but CGG is a transition
        ("TGG", "*", "TAG"),  # TAG and TGA, both one transition
        ("GAA", "K", "AAA"),
        ("ATG", "Y", "TAC"),  # three changes; TAT has as many, but G-C and G-T are both transversions
        ("CTG", "L", "CTG"),
    ],
)
def test_nearest_codon_by_hand(codon: str, residue: str, expected: str) -> None:
    assert nearest_codon(codon, residue) == expected


def test_no_codon_is_nearer_than_the_nearest() -> None:
    def num_changes(one: str, other: str) -> int:
        return sum(a != b for a, b in zip(one, other, strict=True))

    for codon in AMINO_ACID_OF:
        for residue in RESIDUES:
            nearest = nearest_codon(codon, residue)
            assert AMINO_ACID_OF[nearest] == residue
            rivals = [num_changes(codon, c) for c, own in AMINO_ACID_OF.items() if own == residue]
            assert num_changes(codon, nearest) == min(rivals)


# --- mutations ---


@pytest.mark.parametrize("text", ["M69L", "A1*", "M69L:E104K:G238S"])
def test_text_form_round_trips(text: str) -> None:
    assert str(Mutation.parse(text)) == text
    assert Mutation.parse("M69L").substitutions[0].position == 68
    assert Mutation.parse("M69L:E104K").residues == (("M", "L"), ("E", "K"))


@pytest.mark.parametrize(
    "text", ["", "M69", "69L", "M0L", "B69L", "M69L:", "M69L E104K", "p.Met69Leu", "M69L:M69V", "m69l"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"mutation|twice"):
        Mutation.parse(text)


# --- from residues to bases ---


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([PLUS, MINUS]),
    st.dictionaries(st.integers(0, 79), st.integers(0, 19), min_size=1, max_size=6),
    st.sampled_from([0, 5, 40, 1000]),
)
def test_edits_make_the_mutant_and_nothing_else(gene: Gene, wanted: dict[int, int], near_bp: int) -> None:
    coding = CodingSequence.of(GENOME, gene)
    mutation = Mutation.parse(":".join(substitution(coding, at, turn) for at, turn in wanted.items()))
    edits, num_changes = coding.recode(mutation, near_bp)
    edited = apply(CODES, edits)
    protein = list(coding.protein)
    for s in mutation.substitutions:
        protein[s.position] = s.mutant
    assert translate(coding_bases(gene, edited)) == "".join(protein)
    assert int((edited != CODES).sum()) == num_changes
    assert len(wanted) <= num_changes <= 3 * len(wanted)
    places = np.flatnonzero(edited != CODES)
    assert len(edits) == 1 + int((np.diff(places) > near_bp).sum())
    for edit in edits:  # as short as they can be
        assert edit.replacement[0] != CODES[edit.start] and edit.replacement[-1] != CODES[edit.end - 1]


def test_a_codon_over_two_parts() -> None:
    coding = CodingSequence.of(GENOME, SPLICED)
    assert coding.protein[1:] == translate(coding_bases(SPLICED, CODES))[1:]
    edits, _ = coding.recode(Mutation.parse(substitution(coding, 13, 3)), 100)  # bases 39 to 41; the parts meet at 40
    edited = translate(coding_bases(SPLICED, apply(CODES, edits)))
    assert [at for at in range(1, 30) if edited[at] != coding.protein[at]] == [13]
    with pytest.raises(InputError, match="91 coding bases, which are not whole codons"):
        CodingSequence.of(GENOME, Gene("c", Strand.REVERSE, ((200, 250), (300, 341)), "broken"))


def test_residues_are_numbered_on_the_protein_that_is_given() -> None:
    whole = CodingSequence.of(GENOME, PLUS)
    text = substitution(whole, 50, 0)
    mature = CodingSequence.of(GENOME, PLUS, whole.protein[23:])
    assert mature.offset == 23
    renumbered = Mutation.parse(f"{text[0]}28{text[-1]}")
    np.testing.assert_equal(
        *(apply(CODES, c.recode(m, 9)[0]) for c, m in ((whole, Mutation.parse(text)), (mature, renumbered)))
    )
    tagged = CodingSequence.of(GENOME, PLUS, "MHHHHHH" + whole.protein)
    assert tagged.offset == -7
    with pytest.raises(InputError, match="residues 8 to 87"):
        tagged.recode(Mutation.parse("H3A"), 9)


def test_a_protein_with_a_few_other_residues_is_laid_over_but_they_are_not_mutated() -> None:
    whole = CodingSequence.of(GENOME, PLUS)
    wild = whole.protein[10]
    other = "A" if wild != "A" else "C"
    allele = CodingSequence.of(GENOME, PLUS, whole.protein[:10] + other + whole.protein[11:])
    assert allele.offset == 0
    with pytest.raises(InputError, match="the codon of residue 11"):
        allele.recode(Mutation.parse(f"{other}11W"), 9)
    with pytest.raises(InputError, match=f"residue 11 of plus is {other}"):
        allele.recode(Mutation.parse(f"{wild}11W" if wild != "W" else "W11A"), 9)


@pytest.mark.parametrize("protein", ["ACDEFGHIKLMNPQRSTVWY" * 4, "", "é" * 80])
def test_another_protein_is_refused(protein: str) -> None:
    with pytest.raises(InputError, match="not those of the protein"):
        CodingSequence.of(GENOME, PLUS, protein)


def test_a_start_codon_is_methionine_where_a_protein_begins_and_nowhere_else() -> None:
    rest = "GCAGTGAAACTGGACTTCCGTCATTGGAACATCTGA"
    genome = MemoryGenome({"c": "CCC" + "GTG" + rest + "CCC"})
    gene = Gene("c", Strand.FORWARD, ((3, 42),), "g")
    coding = CodingSequence.of(genome, gene, "MAVKLDFRHWNI")
    edits, _ = coding.recode(Mutation.parse("M1K"), 9)
    assert decode(apply(genome.sequences["c"], edits)) == "CCC" + "AAG" + rest + "CCC"
    with pytest.raises(InputError, match="changes no base"):
        coding.recode(Mutation.parse("M1V"), 9)
    own = CodingSequence.of(genome, gene)
    assert own.protein == "MAVKLDFRHWNI*"
    with pytest.raises(InputError, match="residue 3 of g is V, not M"):
        own.recode(Mutation.parse("M3K"), 9)
    fragment = CodingSequence.of(genome, gene, "VAVKLDFRHWNI")  # of a protein that begins further upstream
    assert decode(fragment.recode(Mutation.parse("V1A"), 9)[0][0].replacement) == "C"


def test_what_does_not_fit_is_refused() -> None:
    codes = CODES.copy()
    codes[230] = 4
    coding = CodingSequence.of(MemoryGenome({"c": codes}), PLUS)
    with pytest.raises(InputError, match="residue 11 of plus is X"):
        coding.recode(Mutation.parse("A11C"), 9)
    with pytest.raises(InputError, match="residues 1 to 80"):
        coding.recode(Mutation.parse("A81C"), 9)
    wild = coding.protein[0]
    with pytest.raises(InputError, match="changes no base"):
        coding.recode(Mutation.parse(f"{wild}1{wild}"), 9)
    with pytest.raises(InputError, match="within a contig"):
        CodingSequence.of(GENOME, Gene("c", Strand.FORWARD, ((690, 720),), "beyond"))
    with pytest.raises(InputError, match="within a contig"):
        CodingSequence.of(GENOME, Gene("d", Strand.FORWARD, ((0, 30),), "elsewhere"))


@pytest.mark.parametrize("gene", [PLUS, MINUS])
def test_coding_bases_are_found_in_their_flanks(gene: Gene) -> None:
    assert find_coding(GENOME, coding_bases(gene, CODES), gene.name) == gene


@pytest.mark.parametrize(("cds", "times"), [("ACGT" * 9, "0 times"), ("", "0 times"), ("A", "[0-9]{2,} times")])
def test_coding_bases_must_occur_once(cds: str, times: str) -> None:
    with pytest.raises(InputError, match=f"occur {times}"):
        find_coding(GENOME, encode(cds), "g")


# --- scores ---


def test_a_mutant_scores_as_the_variant_that_it_is() -> None:
    engine = Engine(MODEL, GENOME, OPTIONS)
    for gene in (PLUS, MINUS):
        coding = CodingSequence.of(GENOME, gene)
        texts = [substitution(coding, at, at) for at in range(0, 80, 9)]
        texts += [f"{substitution(coding, 20, 2)}:{substitution(coding, 24, 5)}"]
        mutations = [Mutation.parse(text) for text in texts]
        variants = []
        for mutation in mutations:
            (edit,), _ = coding.recode(mutation, SUFFIX)
            ref = decode(CODES[edit.start - 2 : edit.end + 2])
            alt = ref[:2] + decode(edit.replacement) + ref[-2:]
            variants.append(Variant("c", edit.start - 2, ref, alt))
        scores = score_mutations(engine, coding, mutations)
        for mutation, score, row in zip(mutations, scores, VariantScorer(engine).score(variants), strict=True):
            assert score.mutation == mutation
            assert score.num_changes == row.num_changes
            assert score.llr == pytest.approx(row.llr, abs=1e-5)
            assert {s: score.by_strand[s] for s in Strand} == pytest.approx(
                {s: row.llr_on(s) for s in Strand}, abs=1e-5
            )


def test_distant_changes_add_up_and_near_ones_do_not() -> None:
    engine = Engine(MODEL, GENOME, OPTIONS)
    coding = CodingSequence.of(GENOME, PLUS)
    one, near, far = (substitution(coding, at, 4) for at in (10, 13, 60))
    mutations = [Mutation.parse(text) for text in (one, near, far, f"{one}:{far}", f"{near}:{one}")]
    first, second, third, apart, together = (row.llr for row in score_mutations(engine, coding, mutations))
    assert first is not None and second is not None and third is not None
    assert apart == pytest.approx(first + third, abs=1e-5)
    assert together != pytest.approx(first + second, abs=1e-3)


def test_a_gene_scores_the_same_on_either_strand() -> None:
    plus = CodingSequence.of(GENOME, PLUS)
    mirrored = Gene("c", Strand.REVERSE, ((700 - 440, 700 - 200),), "plus")
    minus = CodingSequence.of(TURNED, mirrored)
    assert minus.protein == plus.protein
    mutations = [Mutation.parse(substitution(plus, at, at)) for at in (0, 33, 79)]
    one = score_mutations(Engine(MODEL, GENOME, OPTIONS), plus, mutations)
    other = score_mutations(Engine(MODEL, TURNED, OPTIONS), minus, mutations)
    for a, b in zip(one, other, strict=True):
        assert a.by_strand[Strand.FORWARD] == pytest.approx(b.by_strand[Strand.REVERSE], abs=1e-5)
        assert a.llr == pytest.approx(b.llr, abs=1e-5)


def test_a_mutant_whose_bases_cannot_all_be_compared_has_no_score() -> None:
    codes = CODES.copy()
    codes[233:236] = 4  # residue 12
    genome = MemoryGenome({"c": codes})
    coding = CodingSequence.of(genome, PLUS)
    around = f"{substitution(coding, 10, 1)}:{substitution(coding, 12, 1)}"
    rows = score_mutations(
        Engine(MODEL, genome, OPTIONS), coding, [Mutation.parse(around), Mutation.parse(substitution(coding, 60, 1))]
    )
    assert rows[0].llr is None and rows[0].by_strand == {} and rows[0].num_changes > 1
    assert rows[1].llr is not None


@pytest.mark.skipif(not (SHARED / "data" / "fitness").is_dir(), reason="needs the measured assays beside the checkout")
def test_every_mutant_of_the_measured_assays_fits_its_coding_bases() -> None:
    folders = sorted(path.parent for path in (SHARED / "data" / "fitness").glob("*/region.fna"))
    assert len(folders) > 5
    for folder in folders:
        with Fasta(folder / "region.fna") as region, Fasta(folder / "cds.fna") as cds:
            ((name, length),) = cds.lengths.items()
            gene = find_coding(region, cds.codes(name, 0, length), folder.name)
            protein = "".join((folder / "protein.faa").read_text().split("\n")[1:])
            coding = CodingSequence.of(region, gene, protein)
        assert (gene.start, coding.offset) == (1000, 0)
        with (folder / "variants.tsv").open() as file:
            for row in csv.DictReader(file, delimiter="\t"):
                (edit,), num_changes = coding.recode(Mutation.parse(row["mutant"]), 128)
                assert num_changes <= edit.num_replaced <= 3
