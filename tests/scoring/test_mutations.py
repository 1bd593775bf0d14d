"""Mutations as people write them: each form means the bases that it says, on either strand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, Gene, Strand, decode, encode, reverse_complement
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.fitness import MutantStatus, saturation, score_mutants
from dnahnet_cli.scoring.mutations import Level, Mutant, Recoded, recode
from dnahnet_cli.scoring.proteins import CodingSequence
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.scoring.variants import num_changes
from tests.conftest import MemoryGenome, random_codes

CDS = "ATGAAACTGGGGTACTTCTGTTAA"  # M K L G Y F C *
FLANK = 60
BEFORE, AFTER = decode(random_codes(FLANK, 1)), decode(random_codes(FLANK, 2))


def coding_on(strand: Strand) -> tuple[MemoryGenome, CodingSequence]:
    sense = encode(BEFORE + CDS + AFTER)
    genome = MemoryGenome({"c": sense if strand is Strand.FORWARD else reverse_complement(sense)})
    return genome, CodingSequence.of(genome, Gene("c", strand, ((FLANK, FLANK + len(CDS)),), "g"))


def mutated(text: str, strand: Strand, near_bp: int = 5) -> tuple[str, Recoded]:
    """Return the gene's bases after the edits, in reading direction."""
    genome, coding = coding_on(strand)
    recoded = recode(coding, Mutant.parse(text), near_bp)
    whole: Codes = genome.sequences["c"]
    for edit in sorted(recoded.edits, key=lambda edit: -edit.start):
        whole = np.concatenate([whole[: edit.start], edit.replacement, whole[edit.end :]])
    bases = decode(whole if strand is Strand.FORWARD else reverse_complement(whole))
    assert bases.startswith(BEFORE) and bases.endswith(AFTER)
    return bases[FLANK:-FLANK], recoded


@pytest.mark.parametrize("strand", list(Strand))
@pytest.mark.parametrize(
    ("text", "level", "bases", "effect", "num_changes"),
    [
        ("K2R", "protein", "ATGAGACTGGGGTACTTCTGTTAA", "K2R", 1),
        ("p.Lys2Arg", "protein", "ATGAGACTGGGGTACTTCTGTTAA", "K2R", 1),
        ("p.(Lys2Ter)", "protein", "ATGTAACTGGGGTACTTCTGTTAA", "K2*", 1),
        ("K2R:F6L", "protein", "ATGAGACTGGGGTACCTCTGTTAA", "K2R:F6L", 2),
        ("AAA2CGT", "codon", "ATGCGTCTGGGGTACTTCTGTTAA", "K2R", 3),
        ("CTG3TTA", "codon", "ATGAAATTAGGGTACTTCTGTTAA", "synonymous", 2),
        ("atg1gtg", "codon", "GTGAAACTGGGGTACTTCTGTTAA", "M1V", 1),
        ("p.[Lys2Arg;Phe6Leu]", "protein", "ATGAGACTGGGGTACCTCTGTTAA", "K2R:F6L", 2),
        ("p.[(Lys2=;Phe6Leu)]", "protein", "ATGAAACTGGGGTACCTCTGTTAA", "F6L", 1),
        ("p.[(K2R);(F6L)]", "protein", "ATGAGACTGGGGTACCTCTGTTAA", "K2R:F6L", 2),
        ("AAA2CGT:CTG3TTA", "codon", "ATGCGTTTAGGGTACTTCTGTTAA", "K2R", 5),
        ("c.1A>G", "dna", "GTGAAACTGGGGTACTTCTGTTAA", "M1V", 1),
        ("c.[1A>C;4A>G]", "dna", "CTGGAACTGGGGTACTTCTGTTAA", "M1L:K2E", 2),
        ("c.4A>G", "dna", "ATGGAACTGGGGTACTTCTGTTAA", "K2E", 1),
        ("c.9G>A", "dna", "ATGAAACTAGGGTACTTCTGTTAA", "synonymous", 1),
        ("c.[4A>G;18C>A]", "dna", "ATGGAACTGGGGTACTTATGTTAA", "K2E:F6L", 2),
        ("c.[18C>A;4A>G]", "dna", "ATGGAACTGGGGTACTTATGTTAA", "K2E:F6L", 2),
        ("c.4_6del", "dna", "ATGCTGGGGTACTTCTGTTAA", "inframe_indel", 3),
        ("c.4del", "dna", "ATGAACTGGGGTACTTCTGTTAA", "frameshift", 1),
        ("c.4_6delinsCGT", "dna", "ATGCGTCTGGGGTACTTCTGTTAA", "K2R", 3),
        ("c.4_6delAAAinsCGT", "dna", "ATGCGTCTGGGGTACTTCTGTTAA", "K2R", 3),
        ("c.4_9delAAACTGinsCTG", "dna", "ATGCTGGGGTACTTCTGTTAA", "inframe_indel", 3),
        ("c.4delA", "dna", "ATGAACTGGGGTACTTCTGTTAA", "frameshift", 1),
        ("c.3_4insTTT", "dna", "ATGTTTAAACTGGGGTACTTCTGTTAA", "inframe_indel", 3),
        ("c.7_9dup", "dna", "ATGAAACTGCTGGGGTACTTCTGTTAA", "inframe_indel", 3),
        ("c.7_9dupctg", "dna", "ATGAAACTGCTGGGGTACTTCTGTTAA", "inframe_indel", 3),
        ("c.9dup", "dna", "ATGAAACTGGGGGTACTTCTGTTAA", "frameshift", 1),
    ],
)
def test_every_form_means_its_bases(
    strand: Strand, text: str, level: str, bases: str, effect: str, num_changes: int
) -> None:
    for near_bp in (0, 5, 100):  # however changes are joined
        found, recoded = mutated(text, strand, near_bp)
        assert found == bases and (recoded.effect, recoded.num_changes) == (effect, num_changes)
        assert Mutant.parse(text).level is Level(level)
    assert (recoded.residues is None) == (effect in ("frameshift", "inframe_indel"))


@given(st.dictionaries(st.integers(1, len(CDS)), st.sampled_from("ACGT"), min_size=1, max_size=6), st.integers(0, 20))
def test_any_substitutions_of_bases(wanted: dict[int, str], near_bp: int) -> None:
    changes = {at: base for at, base in wanted.items() if CDS[at - 1] != base}
    expected = "".join(changes.get(at, base) for at, base in enumerate(CDS, 1))
    if not changes:
        return
    text = "c.[" + ";".join(f"{CDS[at - 1]}>{base}".join([str(at), ""]) for at, base in changes.items()) + "]"
    for strand in Strand:
        found, recoded = mutated(text, strand, near_bp)
        assert found == expected and recoded.num_changes == len(changes)
        ends = sorted((edit.start, edit.end) for edit in recoded.edits)
        assert all(later[0] - earlier[1] >= near_bp for earlier, later in pairwise(ends))


@pytest.mark.parametrize(
    "text",
    [
        *("p.[Lys2Arg;]", "[K2R:F6L]", "p.Lys=", "p.[Xyz2=]", "=", "wt"),
        *("", "M69", "K2R:", "K2R:K2E", "AAA2CG", "AAA2CGT:K2R", "AAA2CGT:AAA2CGC", "p.Xyz2Arg", "K02R", "c."),
        *("c.4delAA", "c.4_6delAA", "c.4_6delAAinsCGT", "c.4_6dupA"),
        *("c.4A", "c.4_2del", "c.4_5A>G", "c.4insA", "c.4_9insA", "c.[4A>G;4A>C]", "c.0A>G", "c.4+1A>G"),
    ],
)
def test_what_is_no_mutation(text: str) -> None:
    with pytest.raises(InputError):
        Mutant.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("E2R", "GGG2CGT", "c.4C>G", "c.25A>G", "K20R", "c.4_6delinsAAA", "AAA2AAA", "K9*"),
        *("_wt", "_sy", "p.=", "p.(=)", "c.=", "p.Lys2=", "K2=", "M1=", "p.[Lys2Arg;Glu6=]"),
        *("c.4delC", "c.4_6delAACinsCGT", "c.7_9dupCTC"),
    ],
)
def test_what_does_not_fit_the_gene(text: str) -> None:
    with pytest.raises(InputError):
        mutated(text, Strand.FORWARD)


@pytest.mark.parametrize(
    ("protein", "texts", "effect"),
    [
        (None, ("M1L", "GTG1CTG", "c.1G>C"), "M1L"),
        (None, ("p.[Met1=;Lys2Glu]", "AAA2GAA", "c.4A>G"), "K2E"),
        (None, ("GTG1ATG", "c.1G>A"), "synonymous"),
        ("MHHMKVGYFCADT", ("M4L", "GTG4CTG", "c.1G>C"), "M4L"),  # a tag before the gene
        ("VKVGYFCADT", ("V1L", "GTG1CTG", "c.1G>C"), "V1L"),  # of a protein that begins further upstream
        ("VGYFCADT", ("V1L", "GTG1CTG", "c.7G>C"), "V1L"),  # a mature protein
    ],
)
def test_a_start_codon_is_methionine_in_every_form(protein: str | None, texts: tuple[str, ...], effect: str) -> None:
    genome = MemoryGenome({"c": encode("GTGAAAGTGGGGTACTTCTGTGCGGATACCTAA")})
    coding = CodingSequence.of(genome, Gene("c", Strand.FORWARD, ((0, 33),), "g"), protein)
    found = [recode(coding, Mutant.parse(text), 5) for text in texts]
    for one in found:
        assert (one.effect, one.num_changes, one.residues) == (effect, 1, found[0].residues)
        assert [(edit.start, decode(edit.replacement)) for edit in one.edits] == [
            (edit.start, decode(edit.replacement)) for edit in found[0].edits
        ]


def test_scores_do_not_depend_on_the_form_or_the_strand(model: HNet) -> None:
    texts = ["K2R", "AAA2AGA", "c.5A>G", "nonsense", "W2R", "c.4_6del"]
    llrs = {}
    for strand in Strand:
        genome, coding = coding_on(strand)
        engine = Engine(model, genome, EngineOptions(TileGrid(tile=64, context=32, max_scored=64), suffix=20))
        seen: list[int] = []
        rows = list(score_mutants(engine, coding, texts, seen.append))
        assert [row.text for row in rows] == texts and sum(seen) == len(texts)
        statuses = [MutantStatus.OK] * 3 + [MutantStatus.UNREADABLE, MutantStatus.DOES_NOT_FIT, MutantStatus.OK]
        assert [row.status for row in rows] == statuses
        assert rows[0].by_strand == rows[1].by_strand == rows[2].by_strand
        assert "residue 2 of g is K, not W" in rows[4].reason and rows[4].llr is None
        llrs[strand] = [rows[0].llr, rows[5].llr]
    assert np.allclose(llrs[Strand.FORWARD], llrs[Strand.REVERSE], atol=1e-4)


def test_an_insertion_that_is_cut_off_by_the_end_of_the_dna_has_no_score(model: HNet) -> None:
    """As of a variant: all that is inserted must be compared, but not what a mutant's text repeats of the gene.

    What is doubled at the end of the DNA is compared from the first base that differs, behind which there is nothing.
    """
    texts = ["c.21_22insACGACG", "c.23_24insACGACG", "c.7_12dup", "c.16_24dup", "c.1_6delinsATGAAAACG"]
    for strand in Strand:
        genome, coding = coding_on(strand)
        genome = MemoryGenome(
            {name: codes[coding.gene.start : coding.gene.end] for name, codes in genome.sequences.items()}
        )
        alone = CodingSequence.of(genome, replace(coding.gene, parts=((0, len(CDS)),)))
        rows = list(score_mutants(Engine(model, genome, EngineOptions(suffix=20)), alone, texts))
        bad = MutantStatus.AMBIGUOUS_CONTEXT
        assert [row.status for row in rows] == [bad, bad, MutantStatus.OK, bad, MutantStatus.OK]


def test_bases_that_are_changed() -> None:
    """The same for an allele however much of its surroundings is written with it; U is T."""
    for ref, alt, number in [
        ("AUG", "atc", 1),
        ("A", "ACG", 2),
        ("ACTG", "A", 3),
        ("AAACTG", "CTG", 3),
        ("AC", "TCG", 3),
    ]:
        for before, after in [("", ""), ("GAT", ""), ("", "TTA"), ("C", "AA")]:
            assert num_changes(before + ref + after, before + alt + after) == number


def test_saturation_is_every_other_residue() -> None:
    found = saturation("MKX*", stops=True)
    assert len(found) == len(set(found)) == 2 * 20 and {text[:2] for text in found} == {"M1", "K2"}
    assert saturation("MKL", range(1, 2)) == [f"K2{residue}" for residue in "ACDEFGHILMNPQRSTVWY"]
