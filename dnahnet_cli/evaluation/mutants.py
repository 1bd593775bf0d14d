"""Scores of an assay's mutants: the model's, and those that stand beside it, with a reason for each that has none.

A mutation of a protein becomes the nearest codon, or the mean over all codons of the new residue. Scores need no
figures: what is made of them is in `fitness`. They can be kept on disk, one Parquet table an assay, so that a run that
was stopped goes on with what it has. What an assay of the same DNA has scored already is not computed again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation import baselines
from dnahnet_cli.evaluation.assays import Assay
from dnahnet_cli.evaluation.nucleotides import fits, joined_edits
from dnahnet_cli.evaluation.statistics import Floats
from dnahnet_cli.genome import Codes, Edit, GenomeSource, Variant, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.proteins import (
    CodingSequence,
    Mutation,
    score_together,
    synonymous_codons,
)
from dnahnet_cli.scoring.variants import Status, VariantScorer

EngineMaker: TypeAlias = Callable[[GenomeSource, int], Engine]  # of a genome and a suffix
Known: TypeAlias = Mapping[int, Mapping[str, float]]  # llr by suffix and mutant

ZERO_PARAMETER: Final = ("num_changes", "num_residues", "blosum62", "hydropathy", "volume", "markov")
BASELINES: Final = (*ZERO_PARAMETER, "model_entropy")
MAX_VERSIONS: Final = 36  # of one mutant's DNA: all codons of any two residues


class Codon(Enum):
    """Which codons a residue of a mutant is written with."""

    NEAREST = "nearest"
    MEAN = "mean"


class Skip(Enum):
    """Why a mutant has or has not a score, in the order in which it is looked at."""

    OK = "ok"
    UNREADABLE = "unreadable"
    NOT_MEASURED = "not_measured"
    DUPLICATE = "duplicate"
    STOP = "stop"
    WRONG_WILD_TYPE = "wrong_wild_type"
    NOT_DRAWN = "not_drawn"
    NO_DNA = "no_dna"
    NO_CODON = "no_codon"
    NOT_RECODED = "not_recoded"
    TOO_MANY_CODONS = "too_many_codons"
    AMBIGUOUS_CONTEXT = "ambiguous_context"


EXPLANATION: Final = {
    Skip.UNREADABLE: "neither a mutation such as M69L nor a variant of A, C, G and T within the region",
    Skip.NOT_MEASURED: "the table has no measurement",
    Skip.DUPLICATE: "the same mutant stands further up in the table",
    Skip.STOP: "a stop is no residue; knock-outs are ranked by essentiality",
    Skip.WRONG_WILD_TYPE: "the protein, or the region, has something else there",
    Skip.NOT_DRAWN: "not among those drawn by --mutants",
    Skip.NO_DNA: "the assay comes without coding DNA (cds.fna)",
    Skip.NO_CODON: "the coding bases do not reach that residue",
    Skip.NOT_RECODED: "the codon there is not the wild-type residue's, or the mutation changes no base",
    Skip.TOO_MANY_CODONS: f"its residues have more than {MAX_VERSIONS} combinations of codons; use --codon nearest",
    Skip.AMBIGUOUS_CONTEXT: "bases that are not ACGT, or the region's end, leave nothing to compare",
}
_OF_VARIANT: Final = {
    Status.OK: Skip.OK,
    Status.REF_MISMATCH: Skip.WRONG_WILD_TYPE,
    Status.AMBIGUOUS_CONTEXT: Skip.AMBIGUOUS_CONTEXT,
}


@dataclass(frozen=True)
class FitnessOptions:
    """How mutants are scored (the first four) and how figures are made of the scores."""

    suffixes: tuple[int, ...] = (128,)
    codon: Codon = Codon.NEAREST
    markov_order: int = 5
    mutants: int | None = None  # of each assay; None for all
    draws: int = 1000
    seed: int = 1


@dataclass(frozen=True)
class AssayScores:
    """The scores of an assay's N mutants: the model's by suffix, and those beside it, higher always being fitter."""

    assay: Assay
    status: Mapping[int, Sequence[Skip]]
    model: Mapping[int, Floats]
    beside: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def known(self) -> Known:
        """Return the scores that an assay of the same DNA shares."""
        return {
            suffix: {
                mutant: llr
                for mutant, llr in zip(self.assay.mutants, llrs.tolist(), strict=True)
                if not math.isnan(llr)
            }
            for suffix, llrs in self.model.items()
        }

    def save(self, folder: Path, made_by: Mapping[str, str]) -> None:
        """Write a Parquet table with a row for each mutant, in the order of the assay. Raises OutputError."""
        suffixes = list(self.model)
        columns = [Column("mutant", "str"), Column("measured", "float"), Column("positive", "float")]
        columns += [Column(f"status_{suffix}", "str") for suffix in suffixes]
        columns += [Column(f"llr_{suffix}", "float") for suffix in suffixes]
        columns += [Column(name, "float") for name in BASELINES]
        cells: dict[str, Sequence[object]] = {"mutant": self.assay.mutants}
        cells |= {"measured": _known(self.assay.measured), "positive": _known(self.assay.positive)}
        cells |= {f"status_{suffix}": [skip.value for skip in self.status[suffix]] for suffix in suffixes}
        cells |= {f"llr_{suffix}": _known(self.model[suffix]) for suffix in suffixes}
        cells |= {name: _known(self.beside[name]) for name in BASELINES}
        with open_table(_table_of(folder, self.assay), columns, provenance=made_by) as table:
            table.write(dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True))

    @classmethod
    def load(
        cls, folder: Path, assay: Assay, suffixes: Sequence[int], made_by: Mapping[str, str]
    ) -> AssayScores | None:
        """Read what `save` wrote; None where there is none, or one that was made otherwise or is damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(_table_of(folder, assay))
        except (OSError, pa.ArrowException):
            return None
        kept = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        if any(kept.get(f"dnahnet.{key}") != value for key, value in made_by.items()):
            return None
        values = {name: table.column(name).to_pylist() for name in table.column_names}
        return cls(
            assay,
            {suffix: [Skip(value) for value in values[f"status_{suffix}"]] for suffix in suffixes},
            {suffix: np.array(values[f"llr_{suffix}"], dtype=np.float64) for suffix in suffixes},
            {name: np.array(values[name], dtype=np.float64) for name in BASELINES},
        )


def _table_of(folder: Path, assay: Assay) -> Path:
    return folder / f"{assay.name}.parquet"


def _known(values: Floats) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def score_assay(
    assay: Assay,
    options: FitnessOptions,
    make_engine: EngineMaker,
    progress: Callable[[int], None] = lambda mutants: None,
    known: Known | None = None,
) -> AssayScores:
    """Score the mutants of an assay with every suffix. Raises InputError for DNA that does not fit.

    `progress` is called with the number of mutants done, each suffix counted. `known` are scores of the same DNA.
    """
    mutations = [] if assay.variants is not None else [_mutation(text) for text in assay.mutants]
    status = _before_dna(assay, mutations, options)
    beside = {name: np.full(len(status), math.nan) for name in BASELINES}
    for row, mutation in enumerate(mutations):
        if mutation is not None:
            beside["num_residues"][row] = baselines.fewer_changes(mutation.residues)
            beside["blosum62"][row] = baselines.blosum62(mutation.residues)
            beside["hydropathy"][row] = baselines.hydropathy(mutation.residues)
            beside["volume"][row] = baselines.volume(mutation.residues)
    if assay.dna is None:
        status = [Skip.NO_DNA if known is Skip.OK else known for known in status]
        progress(len(status) * len(options.suffixes))
        nothing = np.full(len(status), math.nan)
        return AssayScores(
            assay, {suffix: status for suffix in options.suffixes}, dict.fromkeys(options.suffixes, nothing), beside
        )
    by_suffix: dict[int, Sequence[Skip]] = {}
    llrs: dict[int, Floats] = {}
    with Fasta(assay.dna) as region:
        markov = _markov(assay, region, options.markov_order)
        coding = assay.coding(region) if assay.variants is None else None
        for suffix in options.suffixes:
            engine = make_engine(region, suffix)
            share = _Share(len(status), progress)
            if coding is not None:
                rows = _Mutants(engine, coding, mutations, options.codon).rows(status)
            else:
                rows = _variants(engine, assay, status)
            _take_over(rows, assay, (known or {}).get(suffix, {}))
            _score(rows, engine, share)
            by_suffix[suffix] = [row.status for row in rows]
            llrs[suffix] = np.array([row.llr for row in rows])
            share.finish()
            if suffix == options.suffixes[0]:  # the others do not depend on it
                entropy = {contig: position_entropy(engine, contig) for contig in region.lengths}
                _fill(beside, rows, region, markov, entropy)
    return AssayScores(assay, by_suffix, llrs, beside)


@dataclass
class _Row:
    """A mutant as DNA: one group of edits for each way of writing it, and the bases whose entropy stands for it."""

    status: Skip
    versions: Sequence[tuple[Sequence[Edit], int]] = ()  # with the number of bases changed
    places: Sequence[int] = ()
    contig: str = ""
    llr: float = math.nan


@dataclass
class _Share:
    """Tells in mutants how far their strand-edits are; those that make one sequence are computed, and told, once."""

    num_mutants: int
    progress: Callable[[int], None]
    total: int = 1
    done: int = 0
    told: int = 0

    def add(self, strand_edits: int) -> None:
        self.done += strand_edits
        self._tell(self.num_mutants * min(self.done, self.total) // self.total)

    def finish(self) -> None:
        self._tell(self.num_mutants)

    def _tell(self, mutants: int) -> None:
        self.progress(mutants - self.told)
        self.told = mutants


@dataclass(frozen=True)
class _Mutants:
    """Mutants of a protein, on their way to a score."""

    engine: Engine
    coding: CodingSequence
    mutations: Sequence[Mutation | None]
    codon: Codon

    def rows(self, status: Sequence[Skip]) -> list[_Row]:
        return [
            self._recode(mutation) if known is Skip.OK and mutation is not None else _Row(known)
            for mutation, known in zip(self.mutations, status, strict=True)
        ]

    def _recode(self, mutation: Mutation) -> _Row:
        """Return a mutant's DNA, or why there is none."""
        gene, near_bp = self.coding.gene, self.engine.options.suffix
        numbers = [substitution.position + self.coding.offset for substitution in mutation.substitutions]
        if not all(0 <= number < gene.length // 3 for number in numbers):
            return _Row(Skip.NO_CODON)
        codons = [synonymous_codons(substitution.mutant) for substitution in mutation.substitutions]
        if self.codon is Codon.MEAN and math.prod(map(len, codons)) > MAX_VERSIONS:
            return _Row(Skip.TOO_MANY_CODONS)
        try:
            nearest = self.coding.recode(mutation, near_bp)
            places = np.concatenate([self.coding.positions(s) for s in mutation.substitutions]).tolist()
        except InputError:
            return _Row(Skip.NOT_RECODED)
        if self.codon is Codon.NEAREST:
            return _Row(Skip.OK, [nearest], places, gene.contig)
        versions = [self.coding.recode(mutation, near_bp, chosen) for chosen in product(*codons)]
        return _Row(Skip.OK, versions, places, gene.contig)


def _take_over(rows: Sequence[_Row], assay: Assay, known: Mapping[str, float]) -> None:
    for row, mutant in zip(rows, assay.mutants, strict=True):
        if row.versions and mutant in known:
            row.llr = known[mutant]


def _score(rows: Sequence[_Row], engine: Engine, share: _Share) -> None:
    """Score the rows that have DNA and no score yet."""
    todo = [row for row in rows if row.versions and math.isnan(row.llr)]
    groups = [edits for row in todo for edits, _ in row.versions]
    share.total = max(1, sum(map(len, groups)) * len(engine.strands))
    llrs = iter(score_together(engine, groups, share.add))
    for row in todo:
        by_version = [next(llrs) for _ in row.versions]
        if all(by_version):
            row.llr = float(np.mean([np.mean(list(by_strand.values())) for by_strand in by_version]))
        else:
            row.status, row.versions = Skip.AMBIGUOUS_CONTEXT, ()


def _variants(engine: Engine, assay: Assay, status: Sequence[Skip]) -> list[_Row]:
    """Score single variants of the region as `score-variants` does, and write several at once as edits."""
    assert assay.variants is not None
    usable = [changes for changes, known in zip(assay.variants, status, strict=True) if known is Skip.OK]
    scored = VariantScorer(engine).score([changes[0] for changes in usable if len(changes) == 1])
    rows = []
    for changes, known in zip(assay.variants, status, strict=True):
        if known is not Skip.OK:
            rows.append(_Row(known))
            continue
        if len(changes) > 1:
            rows.append(_several(engine, changes))
            continue
        found = next(scored)
        row = _Row(_OF_VARIANT.get(found.status, Skip.UNREADABLE))
        if found.llr is not None and found.num_changes is not None:
            variant = found.variant
            edit = Edit(variant.contig, variant.start, variant.end, encode(variant.alt))
            row = _Row(Skip.OK, [([edit], found.num_changes)], range(variant.start, variant.end), variant.contig)
            row.llr = found.llr
        rows.append(row)
    return rows


def _several(engine: Engine, changes: Sequence[Variant]) -> _Row:
    if changes[-1].end > engine.genome.lengths[changes[-1].contig]:
        return _Row(Skip.UNREADABLE)
    if not fits(engine.genome, changes):
        return _Row(Skip.WRONG_WILD_TYPE)
    edits = joined_edits(engine.genome, changes, engine.options.suffix)
    return _Row(Skip.OK, [(edits, len(changes))], [change.start for change in changes], changes[0].contig)


def _mutation(text: str) -> Mutation | None:
    try:
        return Mutation.parse(text)
    except InputError:
        return None


def _before_dna(assay: Assay, mutations: Sequence[Mutation | None], options: FitnessOptions) -> list[Skip]:
    """Return what can be told of each mutant without its DNA, and draw those that are wanted."""
    seen: set[str] = set()
    status = []
    for row, name in enumerate(assay.mutants):
        mutation = mutations[row] if mutations else None
        status.append(_first_fault(assay, row, mutation, name in seen))
        seen.add(name)
    if options.mutants is not None:
        usable = [row for row, known in enumerate(status) if known is Skip.OK]
        usable.sort(key=lambda row: _lot(options.seed, assay.protein, assay.mutants[row]))
        for row in usable[options.mutants :]:
            status[row] = Skip.NOT_DRAWN
    return status


def _lot(seed: int, protein: str, mutant: str) -> bytes:
    """Return a mutant's place in the draw: the same in all assays of a protein, so that they share what they can."""
    return hashlib.sha256(f"{seed} {protein} {mutant}".encode()).digest()


def _first_fault(assay: Assay, row: int, mutation: Mutation | None, seen: bool) -> Skip:
    if mutation is None and (assay.variants is None or not assay.variants[row]):
        return Skip.UNREADABLE
    if math.isnan(assay.measured[row]):
        return Skip.NOT_MEASURED
    if seen:
        return Skip.DUPLICATE
    if mutation is not None:
        if any("*" in pair for pair in mutation.residues):
            return Skip.STOP
        if assay.residues is not None:
            there = [assay.residues[s.position : s.position + 1] for s in mutation.substitutions]
            if there != [s.wild for s in mutation.substitutions]:
                return Skip.WRONG_WILD_TYPE
    return Skip.OK


# --- what stands beside the model's scores ---


def position_entropy(engine: Engine, contig: str) -> Floats:
    """Return how uncertain the model is of each base of the wild type, in nats, mean of the strands, (L,)."""
    total = np.zeros(engine.genome.lengths[contig])
    for strand in engine.strands:
        reading = engine.reading(contig, strand)
        for scan in engine.scan(reading, range(reading.num_tiles)):
            log_probs_L4 = scan.log_probs_L4.astype(np.float64)
            entropy_L = -(np.exp(log_probs_L4) * log_probs_L4).sum(axis=1)
            total[reading.to_forward(np.arange(scan.start, scan.start + len(entropy_L)))] += entropy_L
    return total / len(engine.strands)


def markov_log_ratio(markov: MarkovModel, codes: Codes, edits: Sequence[Edit]) -> float:
    """Return log p(edited) - log p(as it is) of a contig under a Markov model, mean of both strands; NaN with an N.

    `edits` are of this contig and do not overlap. Only bases whose context an edit reaches are looked at.
    """
    order = markov.order
    first, last = min(edit.start for edit in edits), max(edit.end for edit in edits)
    begin, end = max(first - order, 0), min(last + order, len(codes))
    edited = codes[begin:end]
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        edited = np.concatenate([edited[: edit.start - begin], edit.replacement, edited[edit.end - begin :]])

    def log_likelihood(stretch: Codes) -> float:
        forward = markov.log_probs(stretch)[first - begin :]
        reverse = markov.log_probs(reverse_complement(stretch))[end - last :]
        return float(forward.sum(dtype=np.float64) + reverse.sum(dtype=np.float64)) / 2

    return log_likelihood(edited) - log_likelihood(codes[begin:end])


def _markov(assay: Assay, region: Fasta, order: int) -> MarkovModel:
    if assay.own_genome is None:
        return MarkovModel.fit(_contigs(region), order)
    with Fasta(assay.own_genome) as genome:
        return MarkovModel.fit(_contigs(genome), order)


def _contigs(genome: Fasta) -> Iterable[Codes]:
    return (genome.codes(name, 0, length) for name, length in genome.lengths.items())


def _fill(
    beside: Mapping[str, Floats],
    rows: Sequence[_Row],
    region: Fasta,
    markov: MarkovModel,
    entropy: Mapping[str, Floats],
) -> None:
    """Fill in what depends on the bases that are changed."""
    codes = {name: region.codes(name, 0, length) for name, length in region.lengths.items()}
    for at, row in enumerate(rows):
        if not row.versions:
            continue
        ratios = [markov_log_ratio(markov, codes[row.contig], edits) for edits, _ in row.versions]
        beside["markov"][at] = np.mean(ratios)
        beside["num_changes"][at] = -np.mean([num_changes for _, num_changes in row.versions])
        beside["model_entropy"][at] = entropy[row.contig][list(row.places)].mean()
