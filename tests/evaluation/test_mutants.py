"""Scores of mutants: every row has a reason or a score, and the score is the one that single edits have."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.evaluation.assays import Assay, read_assay
from dnahnet_cli.evaluation.mutants import (
    BASELINES,
    AssayScores,
    Codon,
    FitnessOptions,
    Skip,
    markov_log_ratio,
    position_entropy,
    score_assay,
)
from dnahnet_cli.genome import Codes, Edit, GenomeSource, Strand, Variant, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.proteins import Mutation, score_mutations, synonymous_codons, translate
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.scoring.variants import VariantScorer
from tests.conftest import MemoryGenome, lively_model, random_codes
from tests.evaluation.assays import FLANK, gene_codes, mutants_of, protein_of, write_assay, write_variants

MODEL = lively_model()
FEW = FitnessOptions(suffixes=(20,), markov_order=2, mutants=6)
ALL = FitnessOptions(suffixes=(20,), markov_order=2)


def make_engine(genome: GenomeSource, suffix: int) -> Engine:
    return Engine(MODEL, genome, EngineOptions(TileGrid(tile=400, context=100, max_scored=200), suffix))


def score(assay: Assay, options: FitnessOptions = ALL) -> AssayScores:
    return score_assay(assay, options, make_engine)


def by_name(scores: AssayScores) -> dict[str, tuple[Skip, float]]:
    suffix = next(iter(scores.model))
    return dict(zip(scores.assay.mutants, zip(scores.status[suffix], scores.model[suffix], strict=True), strict=True))


def test_scores_are_those_of_the_mutations(tmp_path: Path) -> None:
    assay = read_assay(write_assay(tmp_path / "a", 1, 12))
    scores = score(assay, FitnessOptions(suffixes=(20, 5), markov_order=2))
    with Fasta(tmp_path / "a" / "region.fna") as region:
        coding = assay.coding(region)
        for suffix in (20, 5):
            rows = score_mutations(make_engine(region, suffix), coding, [Mutation.parse(m) for m in assay.mutants])
            assert set(scores.status[suffix]) == {Skip.OK}
            np.testing.assert_allclose(scores.model[suffix], [row.llr for row in rows], atol=1e-6)
            assert scores.beside["num_changes"].tolist() == [-row.num_changes for row in rows]
    assert not np.allclose(scores.model[20], scores.model[5])
    assert list(scores.beside) == list(BASELINES)
    assert not any(np.isnan(values).any() for values in scores.beside.values())


@pytest.mark.parametrize("dna", [True, False])
def test_progress_is_counted_in_mutants(tmp_path: Path, dna: bool) -> None:
    assay = read_assay(write_assay(tmp_path / "a", 1, 50, dna=dna, more_rows=["x\t1\t1"]))
    told: list[int] = []
    score_assay(assay, FitnessOptions(suffixes=(20, 5), markov_order=2), make_engine, told.append)
    assert sum(told) == 2 * 51 and min(told) >= 0
    assert len(told) > 4 or not dna


def test_every_mutant_that_has_no_score_says_why(tmp_path: Path) -> None:
    protein, good = protein_of(1), mutants_of(1, 8)
    wild = protein[9]
    other = "A" if wild != "A" else "C"
    rows = {
        "p.Met69Leu\t1\t0": Skip.UNREADABLE,
        "\t1\t0": Skip.UNREADABLE,
        f"{good[0]}\t5\t1": Skip.DUPLICATE,
        f"{wild}10{other}:{protein[19]}20{'W' if protein[19] != 'W' else 'Y'}\t\t": Skip.NOT_MEASURED,
        f"{wild}10*\t1\t0": Skip.STOP,
        f"{other}10{'W' if wild != 'W' else 'Y'}\t1\t0": Skip.WRONG_WILD_TYPE,
        "A4000C\t1\t0": Skip.WRONG_WILD_TYPE,
    }
    assay = read_assay(write_assay(tmp_path / "a", 1, 8, more_rows=list(rows)))
    scores = score(assay)
    assert list(scores.status[20][8:]) == list(rows.values())
    assert set(scores.status[20][:8]) == {Skip.OK}
    assert [math.isnan(value) for value in scores.model[20]] == [False] * 8 + [True] * 7
    assert np.isnan(scores.beside["markov"][8:]).all() and not np.isnan(scores.beside["markov"][:8]).any()


def test_what_only_the_dna_tells(tmp_path: Path) -> None:
    folder = write_assay(tmp_path / "a", 1, 300)
    protein = protein_of(1)
    changed = "A" if protein[10] != "A" else "C"  # the assay's own allele differs at residue 11
    (folder / "protein.faa").write_text(f">P\n{protein[:10]}{changed}{protein[11:]}GGG\n")
    assay = read_assay(folder)
    names = [name for name in assay.mutants if name.startswith(f"{protein[10]}11")]
    with (folder / "variants.tsv").open("a") as file:
        file.write(f"{changed}11W\t1\t1\nG41W\t1\t1\n")
    scores = by_name(score(read_assay(folder)))
    assert scores[f"{changed}11W"][0] is Skip.NOT_RECODED
    assert scores["G41W"][0] is Skip.NO_CODON
    assert names and all(scores[name][0] is Skip.WRONG_WILD_TYPE for name in names)


def test_bases_that_cannot_be_compared(tmp_path: Path) -> None:
    folder = write_assay(tmp_path / "a", 1, 300)
    text = (folder / "cds.fna").read_text().split("\n")[1]
    bases = f"{text[:60]}NNN{text[63:]}"  # residue 21
    (folder / "cds.fna").write_text(f">c\n{bases}\n")
    (folder / "region.fna").write_text(f">r\n{'A' * 30}{bases}{'C' * 30}\n")
    before, lost, after = protein_of(1)[19:22]
    one, two, three = (
        f"{wild}{at}{'W' if wild != 'W' else 'Y'}" for wild, at in ((before, 20), (lost, 21), (after, 22))
    )
    with (folder / "variants.tsv").open("a") as file:
        file.write(f"{two}:{one}\t1\t1\n{one}:{three}\t2\t0\n")
    scores = by_name(score(read_assay(folder)))
    assert all(skip is Skip.NOT_RECODED for name, (skip, _) in scores.items() if name.startswith(f"{lost}21"))
    assert scores[f"{one}:{three}"][0] is Skip.AMBIGUOUS_CONTEXT


def test_without_dna_only_what_needs_none_is_known(tmp_path: Path) -> None:
    scores = score(read_assay(write_assay(tmp_path / "a", 1, 10, dna=False, more_rows=["x\t1\t1"])))
    assert Counter(scores.status[20]) == {Skip.NO_DNA: 10, Skip.UNREADABLE: 1}
    assert np.isnan(scores.model[20]).all() and np.isnan(scores.beside["model_entropy"]).all()
    assert not np.isnan(scores.beside["blosum62"][:10]).any()


def test_a_draw_of_mutants_depends_on_the_seed_alone(tmp_path: Path) -> None:
    assay = read_assay(write_assay(tmp_path / "a", 1, 30))
    first, again = score(assay, FEW), score(assay, FEW)
    assert Counter(first.status[20]) == {Skip.OK: 6, Skip.NOT_DRAWN: 24}
    np.testing.assert_array_equal(first.model[20], again.model[20])
    other = score(assay, FitnessOptions((20,), mutants=6, seed=2))
    assert other.status[20] != first.status[20]


def test_the_mean_over_codons_is_that_of_all_ways_to_write_the_mutant(tmp_path: Path) -> None:
    protein = protein_of(1)
    wild = protein[14]
    new = next(residue for residue in "LSR" if residue != wild)  # six codons each
    folder = write_assay(tmp_path / "a", 1, 1)
    two = f"{wild}15{new}:{protein[29]}30{'M' if protein[29] != 'M' else 'W'}"
    three = (
        f"{two}:{protein[24]}25{'G' if protein[24] != 'G' else 'A'}:{protein[4]}5{'G' if protein[4] != 'G' else 'A'}"
    )
    (folder / "variants.tsv").write_text(f"mutant\tdms_score\n{wild}15{new}\t1\n{two}\t2\n{three}\t3\n")
    scores = score(read_assay(folder), FitnessOptions((20,), Codon.MEAN, 2))
    assert list(scores.status[20]) == [Skip.OK, Skip.OK, Skip.TOO_MANY_CODONS]
    codes = gene_codes(1)
    llrs, markov, changes = [], [], []
    model = MarkovModel.fit([codes], 2)
    genome = MemoryGenome({"region": codes})
    start = FLANK + 14 * 3
    for codon in synonymous_codons(new):
        edit = Edit("region", start, start + 3, np.array(["ACGT".index(base) for base in codon], dtype=np.uint8))
        (by_strand,) = make_engine(genome, 20).score([edit])
        llrs.append(np.mean([s.alt_logp - s.ref_logp for s in by_strand.values() if s]))
        markov.append(markov_log_ratio(model, codes, [edit]))
        changes.append(-int((edit.replacement != codes[start : start + 3]).sum()))
    assert scores.model[20][0] == pytest.approx(np.mean(llrs), abs=1e-5)
    assert scores.beside["markov"][0] == pytest.approx(np.mean(markov), abs=1e-5)
    assert scores.beside["num_changes"][0] == pytest.approx(np.mean(changes))


def test_variants_score_as_score_variants_has_them(tmp_path: Path) -> None:
    codes = gene_codes(2)
    letter = "ACGT"[codes[49]]
    wrong = "A" if letter != "A" else "C"
    rows = [f"50\t{wrong}\tTTT\t1", "99999\tA\tC\t1", f"50\t{letter}\t{wrong}R\t1", f"50\t{letter}\t{letter}AC\t0.5"]
    assay = read_assay(write_variants(tmp_path / "v", 2, 15, more_rows=rows))
    scores = score(assay)
    assert list(scores.status[20][15:]) == [Skip.WRONG_WILD_TYPE, Skip.UNREADABLE, Skip.UNREADABLE, Skip.OK]
    assert assay.variants is not None
    genome = MemoryGenome({"region": codes})
    rows_of = VariantScorer(make_engine(genome, 20)).score(
        [Variant("region", v.start, v.ref, v.alt) for (v,) in assay.variants]
    )
    expected = [math.nan if row.llr is None else row.llr for row in rows_of]
    np.testing.assert_allclose(scores.model[20], expected, atol=1e-5)
    assert np.isnan(scores.beside["blosum62"]).all()
    assert scores.beside["num_changes"][18] == -2


def test_several_changes_of_a_row_score_as_the_sequence_they_make(tmp_path: Path) -> None:
    codes = gene_codes(2)

    def change(place: int, by: int) -> str:
        return f"{'ACGT'[codes[place - 1]]}{place}{'ACGT'[(codes[place - 1] + by) % 4]}"

    near, far, one = [change(50, 1), change(57, 2)], [change(60, 1), change(200, 3)], change(90, 2)
    rows = [":".join(near), ":".join(reversed(near)), ":".join(far), one, "A0C", ":".join([near[0], change(50, 2)])]
    rows += [":".join([near[0], "A999C"]), f"{one[-1]}90{one[0]}:{near[0]}"]
    folder = write_variants(tmp_path / "v", 2)
    (folder / "variants.tsv").write_text("variant\tscore\n" + "".join(f"{row}\t{at}\n" for at, row in enumerate(rows)))
    scores = score(read_assay(folder))
    unreadable, wrong = Skip.UNREADABLE, Skip.WRONG_WILD_TYPE
    assert list(scores.status[20]) == [Skip.OK] * 4 + [unreadable] * 3 + [wrong]
    assert list(scores.beside["num_changes"][:4]) == [-2, -2, -2, -1]
    engine = make_engine(MemoryGenome({"region": codes}), 20)

    def llr(*edits: Edit) -> float:
        by_edit = engine.score(edits)
        return float(sum(np.mean([s.alt_logp - s.ref_logp for s in by.values() if s]) for by in by_edit))

    stretch = codes[49:57].copy()
    stretch[0], stretch[-1] = (stretch[0] + 1) % 4, (stretch[-1] + 2) % 4
    joined = llr(Edit("region", 49, 57, stretch))
    singles = [Edit("region", at, at + 1, (codes[[at]] + by) % 4) for at, by in ((59, 1), (199, 3), (89, 2))]
    expected = [joined, joined, llr(singles[0]) + llr(singles[1]), llr(singles[2])]
    np.testing.assert_allclose(scores.model[20][:4], expected, atol=1e-5)


# --- what assays of the same DNA share ---


def test_an_assay_of_the_same_dna_takes_over_scores_and_only_those(tmp_path: Path) -> None:
    one = read_assay(write_assay(tmp_path / "one", 1, 12))
    two = read_assay(write_assay(tmp_path / "two", 1, 20, noise=3))
    other = read_assay(write_assay(tmp_path / "other", 2, 12))
    assert one.dna_sha256 == two.dna_sha256 != other.dna_sha256 and one.sha256 != two.sha256
    alone, first = score(two), score(one)
    assert set(first.known[20]) == set(one.mutants)
    marked = {20: {mutant: 100.0 + at for at, mutant in enumerate(one.mutants)}}
    shared = score_assay(two, ALL, make_engine, known=marked)
    taken = np.isin(two.mutants, one.mutants)
    assert list(shared.model[20][taken]) == [marked[20][m] for m in two.mutants if m in one.mutants]
    np.testing.assert_allclose(shared.model[20][~taken], alone.model[20][~taken], atol=1e-5)
    np.testing.assert_array_equal(shared.beside["num_changes"], alone.beside["num_changes"])
    np.testing.assert_array_equal(shared.beside["markov"], alone.beside["markov"])


def test_assays_of_a_protein_draw_the_same_mutants(tmp_path: Path) -> None:
    one = read_assay(write_assay(tmp_path / "one", 1, 20))
    two = read_assay(write_assay(tmp_path / "two", 1, 20, noise=3))

    def drawn(assay: Assay, number: int) -> set[str]:
        scores = score_assay(assay, replace(ALL, mutants=number), make_engine)
        return {m for m, skip in zip(assay.mutants, scores.status[20], strict=True) if skip is Skip.OK}

    assert len(drawn(one, 6)) == 6 and drawn(one, 6) == drawn(two, 6) < drawn(one, 9)


# --- what stands beside ---


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 57), st.integers(0, 3), st.integers(0, 3)), max_size=3))
def test_the_markov_ratio_is_that_of_the_whole_contig(order: int, wanted: list[tuple[int, int, int]]) -> None:
    codes = random_codes(60, 5)
    model = MarkovModel.fit([random_codes(3000, 6)], order, weight=5)
    edits: list[Edit] = []
    for start, num_replaced, num_new in sorted(wanted) or [(7, 1, 1)]:
        if edits and start <= edits[-1].end:
            continue
        edits.append(Edit("c", start, min(start + num_replaced, 60), random_codes(num_new, start)))
    edited = codes
    for edit in reversed(edits):
        edited = np.concatenate([edited[: edit.start], edit.replacement, edited[edit.end :]])

    def whole(sequence: Codes) -> float:
        return float(np.mean([model.log_probs(s).sum(dtype=float) for s in (sequence, reverse_complement(sequence))]))

    assert markov_log_ratio(model, codes, edits) == pytest.approx(whole(edited) - whole(codes), abs=1e-3)


def test_entropy_is_that_of_the_predictions_on_both_strands() -> None:
    codes = random_codes(900, 3)  # three tiles
    one = position_entropy(make_engine(MemoryGenome({"c": codes}), 0), "c")
    other = position_entropy(make_engine(MemoryGenome({"c": reverse_complement(codes)}), 0), "c")
    assert one.shape == (900,)
    assert ((one > 0) & (one <= math.log(4) + 1e-9)).all()
    np.testing.assert_allclose(one, other[::-1], atol=1e-5)
    engine = Engine(MODEL, MemoryGenome({"c": codes}), EngineOptions(TileGrid(400, 100, 200)), strands=[Strand.FORWARD])
    first = next(engine.scan(engine.reading("c", Strand.FORWARD), [0])).log_probs_L4[7].astype(float)
    assert position_entropy(engine, "c")[7] == pytest.approx(-float(np.exp(first) @ first), abs=1e-6)


def test_the_markov_model_learns_from_the_genome_if_there_is_one(tmp_path: Path) -> None:
    folder = write_assay(tmp_path / "a", 1, 10)
    own = score(read_assay(folder)).beside["markov"]
    (folder / "genome.fna").write_text(">g\n" + "ACGGT" * 2000 + "\n")
    assay = read_assay(folder)
    assert assay.own_genome is not None
    assert not np.allclose(score(assay).beside["markov"], own)


# --- kept scores ---


def test_kept_scores_come_back_as_they_were(tmp_path: Path) -> None:
    assay = read_assay(write_assay(tmp_path / "a", 1, 20, more_rows=["x\t\t"]))
    options = FitnessOptions((20, 5), mutants=5)
    scores = score(assay, options)
    made_by = {"model_sha256": "ab", "codon": "nearest"}
    scores.save(tmp_path, made_by)
    loaded = AssayScores.load(tmp_path, assay, (20, 5), made_by)
    assert loaded is not None
    for suffix in (20, 5):
        assert list(loaded.status[suffix]) == list(scores.status[suffix])
        np.testing.assert_array_equal(loaded.model[suffix], scores.model[suffix])
    for name in BASELINES:
        np.testing.assert_array_equal(loaded.beside[name], scores.beside[name])
    assert AssayScores.load(tmp_path, assay, (20, 5), {**made_by, "codon": "mean"}) is None
    assert AssayScores.load(tmp_path, assay, (20, 5), {**made_by, "strand": "both"}) is None
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not at all")
    assert AssayScores.load(tmp_path, assay, (20, 5), made_by) is None
    (tmp_path / "a.parquet").unlink()
    assert AssayScores.load(tmp_path, assay, (20, 5), made_by) is None


def test_the_made_up_gene_is_what_it_is_said_to_be() -> None:
    assert translate(gene_codes(1)[FLANK:-FLANK]) == protein_of(1)
    assert "*" not in protein_of(1) and protein_of(1)[0] == "M"
