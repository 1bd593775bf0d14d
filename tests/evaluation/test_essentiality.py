"""Organisms as they are read, scores of their genes as they are made, and rows of figures as they are worked out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import linregress, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.baselines import codon_adaptation, codon_weights
from dnahnet_cli.evaluation.essentiality import AGAINST, columns, essentiality_rows
from dnahnet_cli.evaluation.genes import (
    BASELINES,
    KINDS,
    Beside,
    GeneOptions,
    GeneScores,
    beside,
    combined,
    drawn,
    is_ribosomal,
    score_organism,
)
from dnahnet_cli.evaluation.organisms import LabelSet, Organism, Skip, find_organisms, read_organism, training_match
from dnahnet_cli.evaluation.statistics import DeLong, holm
from dnahnet_cli.genome import Gene, GenomeSource, Interval, Strand, encode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.essentiality import Protocol, score_genes
from dnahnet_cli.scoring.likelihood import likelihoods
from dnahnet_cli.training.packed import Genome
from tests.conftest import SHARED
from tests.evaluation.organisms import HEADER, label_of, label_rows, places_of, write_annotation, write_organism

# --- reading ---


@pytest.mark.parametrize("compressed", [False, True])
def test_genes_stand_where_the_labels_say(tmp_path: Path, compressed: bool) -> None:
    organism = read_organism(write_organism(tmp_path / "one", compressed=compressed))
    assert (organism.name, organism.contigs, organism.header) == ("one", ("chr",), ">chr made up")
    assert [(g.start + 1, g.end, g.strand.value) for g in organism.genes] == places_of(30)
    (labels,) = organism.label_sets
    assert labels.name == "labels" and labels.skipped == ()
    assert labels.essential.tolist() == [label_of(at, 1) for at in range(30)]


def test_every_row_that_is_no_gene_has_a_reason(tmp_path: Path) -> None:
    wrong = [
        "a\tx\tchr\t1\t90\t+\t",
        "b\tx\tplasmid\t1\t90\t+\t1",
        "c\tx\tchr\t1\t999999\t+\t1",
        "d\tx\tchr\t\t\t\t1",
        "g000\trpsA\tchr\t101\t160\t+\t0",
    ]
    organism = read_organism(write_organism(tmp_path / "one", more_rows=wrong))
    reasons = [Skip.NO_LABEL, Skip.CONTIG_NOT_FOUND, Skip.OUT_OF_RANGE, Skip.NO_COORDINATES, Skip.DUPLICATE]
    expected = zip(reasons, ["a", "b", "c", "d", "g000"], [False, True, True, True, False], strict=True)
    assert organism.label_sets[0].skipped == tuple(expected)
    assert len(organism.genes) == 30


def test_what_is_not_a_protein_is_left_out(tmp_path: Path) -> None:
    rows = ["a\tprotein_coding\tchr\t101\t190\t+\t1", "b\trRNA\tchr\t201\t290\t+\t1", "c\t\tchr\t301\t390\t+\t0"]
    header = "locus_tag\tbiotype\taccession\tstart\tend\tstrand\tessential"
    organism = read_organism(write_organism(tmp_path / "one", rows=rows, header=header))
    assert [gene.locus_tag for gene in organism.genes] == ["a", "c"]
    assert organism.label_sets[0].skipped == ((Skip.NOT_CODING, "b", True),)


def test_an_annotation_gives_places_by_locus_tag(tmp_path: Path) -> None:
    rows = ["g003\t1", "g001\t0", "unknown\t1"]
    folder = write_organism(tmp_path / "one", rows=rows, header="locus_tag\tessential")
    assert [skip for skip, _, _ in read_organism(folder).label_sets[0].skipped] == [Skip.NO_COORDINATES] * 3
    write_annotation(folder, 30)
    organism = read_organism(folder)
    assert [(g.start + 1, g.end, g.strand.value) for g in organism.genes] == [places_of(30)[3], places_of(30)[1]]
    assert organism.genes[0].product == "made up 3"
    assert organism.label_sets[0].skipped == ((Skip.NO_COORDINATES, "unknown", True),)


def test_label_sets_share_their_genes(tmp_path: Path) -> None:
    organism = read_organism(write_organism(tmp_path / "one", sets=["labels_keio.tsv", "labels_consensus.tsv"]))
    assert len(organism.genes) == 30 and [labels.name for labels in organism.label_sets] == ["consensus", "keio"]
    assert organism.chosen() == "consensus" and organism.chosen("keio") == "keio"
    assert organism.chosen("elsewhere") == "consensus"
    assert read_organism(write_organism(tmp_path / "two", sets=["labels_b.tsv", "labels_a.tsv"])).chosen() == "a"


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        (["a\t1\tx"], "locus_tag\tessential", "has 3 columns, the header 2"),
        (["a\tyes"], "locus_tag\tessential", "must be 1, 0 or empty"),
        (["a\t1"], "locus_tag\tlethal", "has no column essential"),
        ([], HEADER, "has no rows"),
        (["a\tx\tchr\t90\t1\t+\t1"], HEADER, "in order"),
        (["a\tx\tchr\tone\t90\t+\t1"], HEADER, "whole numbers"),
        (["a\tx\tchr\t1\t90\tforward\t1"], HEADER, "strand"),
    ],
)
def test_malformed_labels_are_refused(tmp_path: Path, rows: list[str], header: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_organism(write_organism(tmp_path / "one", rows=rows, header=header))


def test_folders_without_what_is_needed_are_refused(tmp_path: Path) -> None:
    write_organism(tmp_path / "all" / "one")
    write_organism(tmp_path / "all" / "two")
    (tmp_path / "all" / "empty").mkdir()
    assert [path.name for path in find_organisms([tmp_path / "all"])] == ["one", "two"]
    for folders, says in (
        ([tmp_path / "none"], "not a folder"),
        ([tmp_path / "all" / "empty"], "holds no organism"),
        ([tmp_path / "all", tmp_path / "all" / "one"], "two organisms"),
    ):
        with pytest.raises(InputError, match=says):
            find_organisms(folders)
    (tmp_path / "all" / "one" / "genome.fna").unlink()
    with pytest.raises(InputError, match=r"no genome\.fna"):
        read_organism(tmp_path / "all" / "one")


def test_what_training_has_seen(tmp_path: Path) -> None:
    organism = read_organism(write_organism(tmp_path / "one", title="CP000001.2 Bacillus subtilis"))
    with Fasta(organism.genome) as genome:
        codes = genome.codes("CP000001.2", 0, genome.lengths["CP000001.2"])
    same = Genome("same", "Other", [codes])
    record = {"name": "r", "genus": "Escherichia", "split": "train", "accession": None, "sha256": "0"}

    def match(**changes: Any) -> tuple[str, str] | None:
        return training_match(organism, {"data": {"manifest": [{**record, **changes}]}})

    assert match() is None and training_match(organism, {}) is None
    assert match(sha256=same.sha256) == ("genome", "r")
    assert match(accession="GCF_1.1;NZ_CP000001.1") == ("genome", "r")
    assert match(genus="Bacillus") == ("genus", "r")
    assert match(genus="Bacillus", split="val") is None


# --- scores ---


def make_engine(model: HNet) -> Any:
    def make(genome: GenomeSource, circular: frozenset[str]) -> Engine:
        return Engine(model, genome, EngineOptions(suffix=16), circular)

    return make


def test_scores_are_those_of_the_commands(tmp_path: Path, model: HNet) -> None:
    organism = read_organism(write_organism(tmp_path / "one", number=8, more_rows=["s\tx\tchr\t5\t28\t+\t1"]))
    told: list[int] = []
    scores = score_organism(organism, GeneOptions(), make_engine(model), told.append)
    assert scores.status == [Skip.OK] * 8 + [Skip.TOO_SHORT] and sum(told) == 8 * 2 * 3
    assert scores.used.tolist() == list(range(8))
    with Fasta(organism.genome) as genome:
        engine = make_engine(model)(genome, frozenset())
        for protocol in Protocol:
            expected = [row.score for row in score_genes(engine, organism.genes[:8], protocol)]
            np.testing.assert_allclose(scores.model[protocol.value][:8], np.array(expected, float), rtol=1e-4)
        places = [Interval(gene.contig, gene.start, gene.end) for gene in organism.genes[:8]]
        bits = [likelihood.bits_per_base() for likelihood in likelihoods(engine, places)]
        np.testing.assert_allclose(-scores.model["bits"][:8], np.array(bits, float), rtol=1e-5)
    assert all(math.isnan(values[8]) for values in scores.model.values())


def test_a_gene_among_unknown_bases_is_not_scored(tmp_path: Path, model: HNet) -> None:
    folder = write_organism(tmp_path / "one", number=4)
    header, bases = (folder / "genome.fna").read_text().splitlines()
    start, end, _ = places_of(4)[1]
    (folder / "genome.fna").write_text(f"{header}\n{bases[: start - 1]}{'N' * (end - start + 1)}{bases[end:]}\n")
    scores = score_organism(read_organism(folder), GeneOptions(), make_engine(model))
    assert scores.status[1] is Skip.AMBIGUOUS_CONTEXT and scores.status[3] is Skip.OK


def test_drawing_looks_at_no_label_and_keeps_to_its_seed(tmp_path: Path) -> None:
    one = read_organism(write_organism(tmp_path / "a" / "one"))
    other = read_organism(write_organism(tmp_path / "b" / "one", rows=[r[:-1] + "1" for r in label_rows(30, 1)]))
    chosen = drawn(one, GeneOptions(genes=10))
    assert chosen.count(Skip.OK) == 10 and chosen.count(Skip.NOT_DRAWN) == 20
    assert drawn(other, GeneOptions(genes=10)) == chosen != drawn(one, GeneOptions(genes=10, seed=2))
    assert drawn(one, GeneOptions(genes=99)) == drawn(one, GeneOptions()) == [Skip.OK] * 30


def test_scores_come_back_as_they_were_kept(tmp_path: Path, model: HNet) -> None:
    organism = read_organism(write_organism(tmp_path / "one", number=5, more_rows=["s\tx\tchr\t5\t28\t+\t1"]))
    options = GeneOptions((Protocol.SINGLE,))
    scores = score_organism(organism, options, make_engine(model))
    scores.save(tmp_path, {"seed": "1"})
    again = GeneScores.load(tmp_path, organism, options.scores, {"seed": "1"})
    assert again is not None and list(again.status) == list(scores.status)
    for name in ("single", "bits"):
        np.testing.assert_array_equal(again.model[name], scores.model[name])
    assert GeneScores.load(tmp_path, organism, options.scores, {"seed": "2"}) is None
    (tmp_path / "one.parquet").write_bytes(b"PAR1")
    assert GeneScores.load(tmp_path, organism, options.scores, {"seed": "1"}) is None


# --- what needs no model ---


def test_codon_adaptation_by_hand() -> None:
    # Lysine AAA thrice and AAG once; glutamate GAA once; the start codon and the stop are not counted.
    weights = codon_weights([encode("ATGAAAAAAAAAAAGGAATAA")])
    assert codon_adaptation(encode("ATGAAAAAG"), weights) == pytest.approx(math.sqrt(1 / 3))
    assert codon_adaptation(encode("ATGGAG"), weights) == pytest.approx(0.5)  # never seen: half a time, of one
    assert codon_adaptation(encode("AAAAAATTTTAA"), weights) == pytest.approx(
        1.0
    )  # phenylalanine: none seen, all alike
    assert math.isnan(codon_adaptation(encode("AAAATGTGGTAA"), weights))  # methionine and tryptophan have one codon
    assert codon_adaptation(encode("ATGAAANAAAAG"), weights) == pytest.approx(math.sqrt(1 / 3))


@pytest.mark.parametrize(
    ("name", "product", "expected"),
    [
        ("rplA", "", True),
        ("rpmE2", "", True),
        ("x", "30S ribosomal protein S11", True),
        ("x", "50S ribosomal subunit protein L31B", True),
        ("x", "ribosomal protein L30 (BL27) (rpmD)", True),
        ("x", "50S ribosomal protein L7/L12", True),
        ("prmA", "ribosomal protein L11 methyltransferase", False),
        ("x", "ribosomal-protein-alanine acetyltransferase (rimI)", False),
        ("rpoB", "RNA polymerase", False),
    ],
)
def test_ribosomal_proteins_are_told_from_their_enzymes(name: str, product: str, expected: bool) -> None:
    assert is_ribosomal(Gene("c", Strand.FORWARD, ((0, 90),), name, "", product)) is expected


def test_scores_without_a_model(tmp_path: Path) -> None:
    organism = read_organism(write_organism(tmp_path / "one"))
    found = beside(organism, 2)
    assert found.cai_reference == "12 ribosomal protein genes" and tuple(found.scores) == BASELINES
    assert found.scores["length"].tolist() == [end - start + 1 for start, end, _ in places_of(30)]
    with Fasta(organism.genome) as genome:
        start, end, _ = places_of(30)[0]
        codes = genome.codes("chr", start - 1, end)
    assert found.scores["gc"][0] == np.isin(codes, (1, 2)).mean()
    assert ((found.scores["markov"] < -1) & (found.scores["markov"] > -3)).all()
    assert ((found.scores["cai"] > 0) & (found.scores["cai"] <= 1)).all()
    plain = read_organism(write_organism(tmp_path / "two", rows=[r.replace("rps", "abc") for r in label_rows(30, 1)]))
    assert beside(plain, 2).cai_reference == "all 30 genes"


def test_combinations_against_scipy() -> None:
    random = np.random.default_rng(1)
    length = random.integers(60, 900, 40).astype(float)
    single = np.log(length) + random.normal(size=40).round(1)
    used = np.arange(5, 40)
    model = {"single": single, "bits": -random.random(40)}
    found = combined(model, {"length": length, "markov": -random.random(40)}, used)
    assert set(found) == {"single_given_length", "single_and_length", "bits_and_length", "bits_beyond_markov"}
    line = linregress(np.log(length[used]), single[used])
    rest = single[used] - line.intercept - line.slope * np.log(length[used])
    np.testing.assert_allclose(found["single_given_length"][used], rest, atol=1e-9)
    ranks = (rankdata(single[used]) + rankdata(length[used])) / 2
    np.testing.assert_allclose(found["single_and_length"][used], ranks)
    assert all(np.isnan(values[:5]).all() and np.isfinite(values[5:]).all() for values in found.values())
    flat = combined({"multi": single}, {"length": np.full(40, 90.0), "markov": single}, used)
    np.testing.assert_allclose(flat["multi_given_length"][used], single[used] - single[used].mean())


# --- rows ---

OPTIONS = GeneOptions(draws=200)


def scores_of(
    name: str, seed: int, *, size: int = 80, tie: float = 1.5, sets: tuple[str, ...] = ("labels",), share: float = 0.3
) -> tuple[GeneScores, Beside]:
    """Return made-up scores: `bits` and `cai` follow the labels, the others do not."""
    random = np.random.default_rng(seed)
    label_sets = tuple(LabelSet(s, (random.random(size) < share).astype(float), ()) for s in sets)
    first = label_sets[0].essential
    genes = tuple(Gene("c", Strand.FORWARD, ((at * 100, at * 100 + 90),), f"g{at}", f"g{at}") for at in range(size))
    path = Path(name)
    organism = Organism(name, path, genes, label_sets, frozenset(), ">c", ("c",), (path,), name, name)
    model = {s: random.normal(size=size) for s in ("single", "multi")}
    model["bits"] = tie * first + random.normal(size=size)
    others = {s: random.normal(size=size) for s in ("gc", "markov")}
    others |= {"length": random.integers(90, 900, size).astype(float), "cai": first + random.normal(size=size)}
    return GeneScores(organism, [Skip.OK] * size, model), Beside({s: others[s] for s in BASELINES}, "made up")


def rows_of(*made: tuple[GeneScores, Beside], options: GeneOptions = OPTIONS) -> list[dict[str, Any]]:
    return essentiality_rows([one for one, _ in made], [other for _, other in made], options, [None] * len(made))


def row_of(rows: list[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    (row,) = (row for row in rows if all(row.get(key) == value for key, value in wanted.items()))
    return row


def test_rows_of_an_organism_against_scikit_learn() -> None:
    scores, other = scores_of("a", 1)
    rows = [row for row in rows_of((scores, other)) if row["level"] == "organism"]
    assert [row["score"] for row in rows] == list(KINDS)
    positive = scores.organism.label_sets[0].essential
    for row in rows:
        values = {**scores.model, **combined(scores.model, other.scores, scores.used), **other.scores}[row["score"]]
        assert row["auroc"] == pytest.approx(roc_auc_score(positive, values))
        assert row["ap"] == pytest.approx(average_precision_score(positive, values))
        assert row["auroc_low"] < row["auroc"] < row["auroc_high"] and row["ap_low"] < row["ap"] < row["ap_high"]
        assert row["delong_low"] < row["auroc"] < row["delong_high"]
        assert row["base_rate"] == positive.mean() and row["num_essential"] == positive.sum()
        assert row.keys() <= {column.name for column in columns()}
    bits = row_of(rows, score="bits")
    assert bits["best_baseline"] == "cai"
    assert bits["vs_length"] == bits["auroc"] - row_of(rows, score="length")["auroc"]
    found = DeLong.of([scores.model["bits"], other.scores["length"]], positive)
    assert bits["vs_length_delong_p"] == pytest.approx(found.p_value(0, 1))
    assert bits["vs_length_low"] > 0 and bits["vs_length_bootstrap_p"] < 0.05
    assert all(row_of(rows, score=score).get("vs_length") is None for score in BASELINES)


def test_p_values_are_adjusted_over_all_organisms() -> None:
    rows = rows_of(scores_of("a", 1), scores_of("b", 2, sets=("consensus", "keio")))
    for level, test in (("organism", "delong"), ("mean", "bootstrap")):
        cells = [(r, a) for r in rows for a in AGAINST if r["level"] == level and r["kind"] != "baseline"]
        found = [row[f"vs_{against}_p_adjusted"] for row, against in cells]
        assert found == pytest.approx(holm([row[f"vs_{against}_{test}_p"] for row, against in cells]))
    assert len(cells) == 18


def test_the_sign_is_kept() -> None:
    row = row_of(rows_of(scores_of("a", 1, tie=-3)), level="organism", score="bits")
    assert row["auroc_high"] < 0.5 and row["vs_best_high"] < 0 and row["vs_best_delong_p"] < 0.01


def test_the_mean_is_over_organisms_with_one_set_each() -> None:
    made = [scores_of("a", 1), scores_of("b", 2, sets=("x", "consensus"), size=200), scores_of("c", 3, tie=0.0)]
    rows = rows_of(*made)
    assert {(r["organism"], r["labels"]) for r in rows if r.get("in_mean")} == {
        ("a", "labels"),
        ("b", "consensus"),
        ("c", "labels"),
    }
    for score in KINDS:
        mean = row_of(rows, level="mean", score=score)
        own = [row for row in rows if row.get("in_mean") and row["score"] == score]
        assert mean["num_averaged"] == 3 and mean["auroc"] == pytest.approx(np.mean([row["auroc"] for row in own]))
        assert mean["ap"] == pytest.approx(np.mean([row["ap"] for row in own]))
        assert mean.get("delong_low") is None and mean["auroc_low"] < mean["auroc"] < mean["auroc_high"]
    other = rows_of(*made, options=GeneOptions(draws=50, labels="x"))
    assert {r["labels"] for r in other if r.get("in_mean") and r["organism"] == "b"} == {"x"}


def test_organisms_that_differ_widen_the_interval_of_the_mean() -> None:
    alike = row_of(rows_of(scores_of("a", 1, tie=1), scores_of("b", 2, tie=1)), level="mean", score="bits")
    apart = row_of(rows_of(scores_of("a", 1, tie=4), scores_of("b", 2, tie=-4)), level="mean", score="bits")
    assert apart["auroc_high"] - apart["auroc_low"] > 2 * (alike["auroc_high"] - alike["auroc_low"])


def test_too_few_of_a_class_have_no_figures() -> None:
    for share in (0.0, 0.03, 1.0):
        rows = rows_of(scores_of("a", 1, share=share))
        assert {row["level"] for row in rows} == {"organism"} and not any(row["in_mean"] for row in rows)
        assert {row["status"] for row in rows} == {"too_few"}
        assert all(row[key] is None for row in rows for key in ("auroc", "auroc_low", "ap"))


def test_a_constant_score_ranks_nothing() -> None:
    scores, other = scores_of("a", 1)
    scores.model["single"][:] = 3.0
    row = row_of(rows_of((scores, other)), level="organism", score="single")
    assert row["auroc"] is None and row["ap"] is None and row.get("vs_length") is None


def test_genes_without_a_score_are_counted() -> None:
    scores, other = scores_of("a", 1)
    status = [Skip.AMBIGUOUS_CONTEXT, Skip.NOT_DRAWN, *[Skip.OK] * 78]
    scores.organism.label_sets[0].essential[:3] = 1, 1, math.nan
    row = rows_of((GeneScores(scores.organism, status, scores.model), other))[0]
    assert row["skipped"] == "not_drawn=1,ambiguous_context=1" and row["num_essential_skipped"] == 1
    assert (row["num_rows"], row["num_genes"]) == (79, 77)
    nothing = rows_of((GeneScores(scores.organism, [Skip.NOT_DRAWN] * 80, scores.model), other))
    assert {row["status"] for row in nothing} == {"nothing_scored"}


# --- the public data ---


@pytest.mark.skipif(not (SHARED / "data" / "essentiality").is_dir(), reason="the data are not here")
def test_public_labels_lie_on_open_reading_frames() -> None:
    organism = read_organism(SHARED / "data" / "essentiality" / "ecoli_k12_mg1655")
    assert organism.chosen() == "consensus" and organism.circular == {"NC_000913.3"}
    sums = {labels.name: np.nansum(labels.essential) for labels in organism.label_sets}
    assert (sums["consensus"], sums["keio"], sums["tradis"]) == (248, 298, 354)
    assert sum(map(is_ribosomal, organism.genes)) == 56
