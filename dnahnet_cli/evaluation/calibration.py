"""Is phred what it says? Random SNVs ranked among other random SNVs of the genome; and what it says by consequence.

1. Null and test SNVs are drawn independently. Of the test SNVs a share of 10^(-t/10) should have a phred of t or more.
2. Intervals resample test SNVs and null SNVs, since a small null is itself uncertain.
3. By consequence in coding sequences: mean llr, shares, and how well `damage` tells a class from synonymous SNVs (area
   under the ROC curve, 0.5 is chance). A test of the ordering, with no laboratory in it: on average, missense SNVs are
   more harmful than synonymous ones, and nonsense SNVs more than both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from dnahnet_cli.evaluation.regions import CODON1, INTERGENIC, OTHER_RNA, RRNA, Features, coding_positions, is_clear
from dnahnet_cli.evaluation.statistics import Floats, auroc, holm, interval, resampled_auroc, resamples, two_sided_p
from dnahnet_cli.genome import Codes, GenomeSource, Strand, Variant, encode, reverse_complement
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.scoring.calibration import Null
from dnahnet_cli.scoring.proteins import translate

THRESHOLDS: Final = (1, 2, 3, 5, 7, 10, 13, 15, 17, 20, 23, 25, 30)
BY_CONSEQUENCE: Final = (10, 20)
MIN_SNVS: Final = 10  # of a consequence: resamples of fewer say more than they know, so no interval and no test


class Consequence(Enum):
    """What an SNV does to the protein, or what it lies in."""

    SYNONYMOUS = "synonymous"
    MISSENSE = "missense"
    NONSENSE = "nonsense"
    START = "start_codon"
    STOP = "stop_codon"
    RNA = "RNA_gene"
    INTERGENIC = "intergenic"
    UNCLEAR = "unclear"


def consequences(snvs: Sequence[Variant], genome: GenomeSource, features: Features) -> list[Consequence]:
    """Return the consequence of each SNV, with the genetic code 11 (whose codons mean what the standard ones mean).

    Any change of a start codon is START, of a stop codon STOP. UNCLEAR as in `regions`, and codons with an N.
    """
    found: list[Consequence] = []
    by_contig: dict[str, _Coding] = {}
    for snv in snvs:
        if snv.contig not in by_contig:
            length = genome.lengths[snv.contig]
            by_contig[snv.contig] = _Coding(features, snv.contig, genome.codes(snv.contig, 0, length))
        found.append(by_contig[snv.contig].of(snv))
    return found


class _Coding:
    """The genes of a contig, by base."""

    def __init__(self, features: Features, contig: str, codes: Codes) -> None:
        self.codes = codes
        self.classes = features.classes(contig, len(codes))
        self.genes = [gene for gene in features.genes.get(contig, ()) if is_clear(gene)]
        self.gene_L = np.full(len(codes), -1, dtype=np.int32)
        for number, gene in enumerate(self.genes):
            self.gene_L[coding_positions(gene, len(codes))] = number

    def of(self, snv: Variant) -> Consequence:
        class_ = int(self.classes[Strand.FORWARD][snv.start])
        other = int(self.classes[Strand.REVERSE][snv.start])
        if class_ == INTERGENIC:
            return Consequence.INTERGENIC
        if RRNA <= class_ <= OTHER_RNA:
            return Consequence.RNA
        if not any(CODON1 <= each < CODON1 + 3 for each in (class_, other)):
            return Consequence.UNCLEAR
        gene = self.genes[self.gene_L[snv.start]]
        positions = coding_positions(gene, len(self.codes))
        place = int(np.flatnonzero(positions == snv.start)[0])
        codon = self.codes[positions[place - place % 3 :][:3]]
        changed = codon.copy()
        changed[place % 3] = encode(snv.alt)[0]
        if gene.strand is Strand.REVERSE:  # positions run along the gene, bases are still those of the forward strand
            codon, changed = reverse_complement(codon)[::-1], reverse_complement(changed)[::-1]
        before, after = translate(codon), translate(changed)
        if "X" in before + after:
            return Consequence.UNCLEAR
        if place < 3:
            return Consequence.START
        if before == "*":
            return Consequence.STOP
        if after == "*":
            return Consequence.NONSENSE
        return Consequence.SYNONYMOUS if before == after else Consequence.MISSENSE


def calibration_rows(
    null_llrs: Floats, test_llrs: Floats, kinds: Sequence[Consequence] | None, draws: int, seed: int
) -> list[dict[str, Any]]:
    """Return the rows: shares of the test SNVs by threshold, then figures by consequence if `kinds` are known."""
    null = Null.of(null_llrs)
    counts_DT = resamples(len(test_llrs), draws=draws, seed=[seed, 2])
    drawn = np.random.default_rng([seed, 3]).integers(0, len(null_llrs), (draws, len(null_llrs)))
    phreds_DT = np.stack([Null.of(null_llrs[own]).phred(test_llrs) for own in drawn])
    phred_T = null.phred(test_llrs)
    rows: list[dict[str, Any]] = []
    for threshold in THRESHOLDS:
        expected = null.expected(threshold)
        if not expected:  # beyond what so small a null can say
            break
        observed, observed_D = _share(phred_T, phreds_DT, counts_DT, threshold, np.ones(len(test_llrs), dtype=np.bool_))
        low, high = interval(observed_D)
        row = {"level": "threshold", "phred": float(threshold), "num_snvs": len(test_llrs), "expected": expected}
        row |= {
            "observed": observed,
            "observed_low": low,
            "observed_high": high,
            "p": two_sided_p(observed_D - expected),
        }
        rows.append(row)
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_adjusted"] = p
    if kinds is not None:
        rows += _by_consequence(test_llrs, phred_T, phreds_DT, counts_DT, kinds)
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _by_consequence(
    llr_T: Floats, phred_T: Floats, phreds_DT: Floats, counts_DT: Any, kinds: Sequence[Consequence]
) -> list[dict[str, Any]]:
    rows = []
    kind_T = np.array([kind.value for kind in kinds])
    synonymous_T = kind_T == Consequence.SYNONYMOUS.value
    for kind in Consequence:
        own_T = kind_T == kind.value
        if not own_T.any():
            continue
        row: dict[str, Any] = {"level": "consequence", "consequence": kind.value, "num_snvs": int(own_T.sum())}
        weights_DT = counts_DT * own_T
        row |= _with_interval("llr", float(llr_T[own_T].mean()), _divide(weights_DT @ llr_T, weights_DT.sum(axis=1)))
        for threshold in BY_CONSEQUENCE:
            share = _share(phred_T, phreds_DT, counts_DT, threshold, own_T)
            row |= _with_interval(f"share_phred_{threshold}", *share)
        if kind is not Consequence.SYNONYMOUS and synonymous_T.any():
            both = own_T | synonymous_T
            area_D = resampled_auroc(-llr_T[both], own_T[both], counts_DT[:, both])
            row |= _with_interval("auroc_synonymous", auroc(-llr_T[both], own_T[both]), area_D)
            if min(own_T.sum(), synonymous_T.sum()) >= MIN_SNVS:
                row["p"] = two_sided_p(area_D - 0.5)
        if own_T.sum() < MIN_SNVS:
            row = {name: value for name, value in row.items() if not name.endswith(("_low", "_high"))}
        rows.append(row)
    for row, p in zip(rows, holm([row.get("p", math.nan) for row in rows]), strict=True):
        row["p_adjusted"] = p
    return rows


def _share(phred_T: Floats, phreds_DT: Floats, counts_DT: Any, threshold: float, own_T: Any) -> tuple[float, Floats]:
    """Return the share of some SNVs with at least that phred, and its draws."""
    least = threshold - 1e-9
    weights_DT = counts_DT * own_T
    above_D = (weights_DT * (phreds_DT >= least)).sum(axis=1)
    return float((phred_T[own_T] >= least).mean()), _divide(above_D, weights_DT.sum(axis=1))


def _with_interval(name: str, value: float, draws: Floats) -> dict[str, float]:
    low, high = interval(draws)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _divide(above: Any, below: Any) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, math.nan)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def columns() -> list[Column]:
    """Return the columns of the table."""
    names = [("level", "str"), ("phred", "float"), ("consequence", "str"), ("num_snvs", "int"), ("expected", "float")]
    for name in ("observed", "llr", *(f"share_phred_{t}" for t in BY_CONSEQUENCE), "auroc_synonymous"):
        names += [(name, "float"), (f"{name}_low", "float"), (f"{name}_high", "float")]
    names += [("p", "float"), ("p_adjusted", "float")]
    return [Column(name, kind) for name, kind in names]  # type: ignore[arg-type]


# --- scores that are kept ---

_KEPT: Final = (
    *(Column(name, "str") for name in ("set", "chrom", "ref", "alt")),
    Column("pos", "int"),
    Column("llr", "float"),
)


def save_scores(path: Path, sets: Mapping[str, tuple[Sequence[Variant], Floats]], made_by: Mapping[str, str]) -> None:
    """Write a Parquet table with a row for each SNV. Raises OutputError."""
    with open_table(path, _KEPT, provenance=made_by) as table:
        for name, (snvs, llrs) in sets.items():
            for snv, llr in zip(snvs, llrs.tolist(), strict=True):
                row = {
                    "set": name,
                    "chrom": snv.contig,
                    "pos": snv.start + 1,
                    "ref": snv.ref,
                    "alt": snv.alt,
                    "llr": llr,
                }
                table.write([row])


def load_scores(path: Path, made_by: Mapping[str, str]) -> dict[str, Floats] | None:
    """Read the llrs that `save_scores` wrote, by set; None where there are none, or they were made otherwise."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None
    kept = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if any(kept.get(f"dnahnet.{key}") != value for key, value in made_by.items()):
        return None
    names, llrs = np.array(table.column("set").to_pylist()), table.column("llr").to_numpy()
    return {name: llrs[names == name] for name in dict.fromkeys(names.tolist())}
