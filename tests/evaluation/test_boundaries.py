"""Rows of boundaries: rates by plain counting on both strands, planted preferences found, none where there is none."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnahnet_cli.cli.evaluate.annotation import features_of
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.evaluation.boundaries import BoundaryOptions, GenomeFeatures, boundary_rows, columns, evidence_of
from dnahnet_cli.evaluation.chunks import Cuts
from dnahnet_cli.genome import Gene, Interval, Strand, decode, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.sites import Site
from tests.conftest import MemoryGenome, random_codes

LENGTH = 20_000
CODES = random_codes(LENGTH, 11)
CODES[7000:7020] = 4
GENOME = MemoryGenome({"c": CODES})
GENES = [
    Gene("c", Strand.REVERSE if at % 2 else Strand.FORWARD, ((300 * at + 100, 300 * at + 310),), f"g{at}")
    for at in range(63)
]
SITES = [Site("c", 600 * at + 50, 600 * at + 51, Strand.FORWARD, "tss") for at in range(30)]
FEATURES = GenomeFeatures(GENES, (), SITES)
SCOPES = [Interval("c", 0, 9_000), Interval("c", 11_000, LENGTH)]
OPTIONS = BoundaryOptions(draws=100, permutations=100, seed=1)
Rows = list[dict[str, Any]]


def cuts_of(probability: dict[Strand, np.ndarray], seed: int = 1, scopes: list[Interval] = SCOPES) -> Cuts:
    """Return random cuts: stage 1 with a probability for each forward base, stage 2 with a half of that."""
    random, opens = np.random.default_rng(seed), {}
    for strand, chance in probability.items():
        first = random.random(LENGTH) < chance
        opens["c", strand, 1] = np.flatnonzero(first)
        opens["c", strand, 2] = np.flatnonzero(first & (random.random(LENGTH) < 0.5))
    return Cuts(scopes, list(probability), opens)


FLAT = {strand: np.full(LENGTH, 0.3) for strand in Strand}


def row_of(rows: Rows, feature: str, stage: int = 1, reading: str | None = "sense", **more: Any) -> dict[str, Any]:
    wanted = {"feature": feature, "stage": stage, "reading": reading, "level": "class"} | more
    (row,) = (row for row in rows if all(row.get(key) == value for key, value in wanted.items()))
    return row


@pytest.fixture(scope="module")
def flat_rows() -> Rows:
    return boundary_rows(cuts_of(FLAT), GENOME, FEATURES, OPTIONS)


def test_rates_are_those_of_plain_counting(flat_rows: Rows) -> None:
    cuts, rows = cuts_of(FLAT), flat_rows
    text = decode(CODES)
    for reading, stage in itertools.product(("sense", "antisense"), (1, 2)):
        found: Counter[int] = Counter()
        possible: Counter[int] = Counter()
        opens_of = {strand: set(cuts.opens["c", strand, stage].tolist()) for strand in Strand}
        before_of = {s: set(cuts.opens["c", s, 1].tolist()) if stage == 2 else set(range(LENGTH)) for s in Strand}
        for gene in GENES:
            passing = gene.strand if reading == "sense" else gene.strand.opposite
            opens, before = opens_of[passing], before_of[passing]
            for at in range(gene.start, gene.end):
                inside = any(scope.start <= at < scope.end for scope in SCOPES)
                forced = at in ((0, 11_000) if passing is Strand.FORWARD else (8_999, LENGTH - 1))
                if inside and not forced and text[at] != "N" and at in before:
                    phase = (at - gene.start if gene.strand is Strand.FORWARD else gene.end - 1 - at) % 3
                    possible[phase] += 1
                    found[phase] += at in opens
        for phase in range(3):
            row = row_of(rows, f"codon_position_{phase + 1}", stage, reading)
            assert (row["num_candidates"], row["num_boundaries"]) == (possible[phase], found[phase])
            assert row["rate"] == found[phase] / possible[phase]
    whole = row_of(rows, "all", 1, None, level="stage")
    assert whole["num_candidates"] == 2 * (18_000 - 20 - 2)  # two passes; 20 N are read in both
    assert whole["bases_per_chunk"] == whole["num_candidates"] / whole["num_boundaries"]
    assert row_of(rows, "all", 2, None, level="stage")["num_candidates"] == whole["num_boundaries"]


def test_columns_hold_all_rows_and_nothing_is_nan(flat_rows: Rows) -> None:
    rows = flat_rows
    by_name = {column.name: column for column in columns()}
    for row in rows:
        assert row.keys() <= by_name.keys()
        for name, value in row.items():
            by_name[name].check(value)  # raises for NaN and for a wrong type
    assert {row["level"] for row in rows} == {"stage", "class", "point"}
    assert rows == boundary_rows(cuts_of(FLAT), GENOME, FEATURES, OPTIONS)  # seeded


def test_a_planted_preference_is_found_on_its_strand_alone() -> None:
    chance = {strand: np.full(LENGTH, 0.3) for strand in Strand}
    for gene in GENES:
        start = gene.start if gene.strand is Strand.FORWARD else gene.end - 1
        chance[gene.strand][start] = 1.0
    rows = boundary_rows(cuts_of(chance), GENOME, FEATURES, OPTIONS)
    row, other = row_of(rows, "start_codon"), row_of(rows, "start_codon", reading="antisense")
    assert row["fold_low"] > 1.3 and row["shift_q"] < 0.05 and row["shuffle_q"] < 0.05
    assert row["kmer_fold_low"] > 1.2  # the letters are random, so they explain nothing
    assert row["fold"] > row["shift_high"] and row["fold"] > row["shuffle_high"] and row["fold"] > row["grid_high"]
    assert other["fold_low"] < 1 < other["fold_high"] and other["shift_q"] > 0.05
    exact = row_of(rows, "start_codon", level="point", tolerance=0)
    assert (
        exact["recall"] == 1.0 and exact["recall_q"] < 0.05 and exact["shuffle_recall"] == pytest.approx(0.3, abs=0.05)
    )
    assert exact["precision"] > 2 * exact["shuffle_precision"]
    stop = row_of(rows, "stop_codon", level="point", tolerance=0)
    assert stop["recall_low"] < 0.3 < stop["recall_high"] and stop["recall_q"] > 0.05


def test_a_preference_for_letters_is_laid_to_the_letters() -> None:
    chance = {}
    codes = CODES.copy()
    for gene in GENES:  # all genes begin with the same letters, which hardly occur elsewhere
        site = encode("TAGCATG")
        if gene.strand is Strand.FORWARD:
            codes[gene.start - 4 : gene.start + 3] = site
        else:
            codes[gene.end - 3 : gene.end + 4] = reverse_complement(site)
    for strand in Strand:
        text = decode(codes if strand is Strand.FORWARD else reverse_complement(codes))
        own = np.full(LENGTH, 0.3)
        for at in range(LENGTH - 6):
            if text[at : at + 6] == "AGCATG":
                own[at + 5] = 1.0
        chance[strand] = own if strand is Strand.FORWARD else own[::-1]
    rows = boundary_rows(cuts_of(chance), MemoryGenome({"c": codes}), FEATURES, OPTIONS)
    row = row_of(rows, "start_codon")
    assert row["fold_low"] > 1.3 and row["shift_q"] < 0.05
    assert 0.9 < row["kmer_fold"] < 1.1 and row["kmer_fold_low"] < 1.05


def test_cuts_that_know_nothing_have_no_preference() -> None:
    rejected = total = 0
    for seed in range(4):
        rows = boundary_rows(cuts_of(FLAT, seed), GENOME, FEATURES, OPTIONS)
        q_values = [row[f"{null}_q"] for row in rows for null in ("shift", "shuffle", "recall") if row.get(f"{null}_q")]
        rejected, total = rejected + sum(q < 0.05 for q in q_values), total + len(q_values)
    assert total > 200 and rejected <= 0.02 * total


def test_one_strand_and_scopes_without_features() -> None:
    scopes = [Interval("c", 310, 398)]  # between genes
    rows = boundary_rows(cuts_of({Strand.REVERSE: FLAT[Strand.REVERSE]}, 1, scopes), GENOME, FEATURES, OPTIONS)
    assert row_of(rows, "all", 1, None, level="stage")["num_candidates"] == 87
    coding = row_of(rows, "coding")
    assert (coding["num_candidates"], coding["rate"], coding.get("fold"), coding.get("shift_q")) == (
        0,
        None,
        None,
        None,
    )
    assert row_of(rows, "intergenic", reading=None)["num_candidates"] == 87
    assert not any(row["level"] == "point" for row in rows)


def test_no_boundary_at_all() -> None:
    rows = boundary_rows(cuts_of({Strand.FORWARD: np.zeros(LENGTH)}), GENOME, FEATURES, OPTIONS)
    assert row_of(rows, "coding")["rate"] == 0.0 and row_of(rows, "coding").get("fold") is None
    assert row_of(rows, "all", 2, None, level="stage")["rate"] is None


def test_evidence() -> None:
    names = ("coding", "rbs_predicted", "tss_measured", "all")
    assert [evidence_of(name) for name in names] == ["annotated", "predicted", "measured", None]


GENBANK = """LOCUS       c1                60 bp    DNA     linear   BCT 01-JAN-2020
FEATURES             Location/Qualifiers
     CDS             4..33
                     /locus_tag="T1"
ORIGIN
        1 aaaatggctg ctgctgctgc tgctgctgct taaaaaaaaa aaaaaaaaaa aaaaaaaaaa
//
"""


def test_a_genbank_genome_has_its_own_genes(tmp_path: Path) -> None:
    path = tmp_path / "genome.gbk"
    path.write_text(GENBANK)
    with Fasta(path, tmp_path) as fasta:
        found = GenomeFeatures.read(fasta, None)
        assert [gene.parts for gene in found.genes] == [((3, 33),)]
        features, _ = features_of(fasta, None, "auto", Reporter(quiet=True))
        assert features is not None and features == features_of(fasta, str(path), "auto", Reporter(quiet=True))[0]
