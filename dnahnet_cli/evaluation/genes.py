"""Scores of an organism's genes: the model's, those that need no model, and those put together of both.

Every score is oriented before any label is looked at, and higher is always meant to be more essential:

- `single`, `multi`: log p(wild type) - log p(knock-out), as `dnahnet essentiality` has it.
- `bits`: minus the model's bits per base of the gene. What many genomes share is easier to predict.
- `length`: coding bases. Long genes are more often essential, and less often an artefact of annotation.
- `gc`: the share of G and C. Genes from elsewhere, which a cell can miss, are rich in A and T.
- `cai`: codon adaptation. Much expressed genes are more often essential.
- `markov`: minus the bits per base under an order-k Markov model of the own genome. What looks alien can be missed.
- `single_given_length`, `multi_given_length`: what a straight line over log length, least squares over all scored
  genes, leaves of the score.
- `single_and_length`, `multi_and_length`, `bits_and_length`: the mean of the ranks of both among all scored genes.
- `bits_beyond_markov`: by how many bits per base the model does better than that Markov model.

The model's scores can be kept on disk, one Parquet table an organism, so that a run that was stopped goes on.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.evaluation.baselines import codon_adaptation, codon_weights
from dnahnet_cli.evaluation.organisms import Organism, Skip
from dnahnet_cli.evaluation.statistics import Floats, Indices, midranks
from dnahnet_cli.genome import Codes, Gene, GenomeSource, Interval, Strand, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.essentiality import GeneScore, GeneStatus, Protocol, knock_out
from dnahnet_cli.scoring.likelihood import likelihoods

EngineMaker: TypeAlias = Callable[[GenomeSource, frozenset[str]], Engine]  # of a genome and its circular contigs

BITS: Final = "bits"
MODEL: Final = ("single", "multi", BITS)
BASELINES: Final = ("length", "gc", "cai", "markov")
COMBINED: Final = (
    *("single_given_length", "multi_given_length"),
    *("single_and_length", "multi_and_length", "bits_and_length"),
    "bits_beyond_markov",
)
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(MODEL, "model"),
    **dict.fromkeys(COMBINED, "combined"),
    **dict.fromkeys(BASELINES, "baseline"),
}
LEAST_RIBOSOMAL: Final = 10
_RIBOSOMAL: Final = re.compile(
    r"\brp[lms][A-Z]{1,2}\d?\b|\bribosomal (?:subunit )?protein [LS]\d+(?:/L\d+)?[A-Z]?(?: \(.*\))*$"
)


@dataclass(frozen=True)
class GeneOptions:
    """What is scored (the first three, and the seed of the drawing) and how figures are made of it.

    `genes` is how many of each organism are drawn, None for all; `labels` the set that stands for an organism in means.
    """

    protocols: tuple[Protocol, ...] = (Protocol.SINGLE, Protocol.MULTI)
    bits: bool = True
    genes: int | None = None
    markov_order: int = 5
    labels: str | None = None
    draws: int = 1000
    seed: int = 1

    @property
    def scores(self) -> tuple[str, ...]:
        """Return the names of the model's scores."""
        return (*(protocol.value for protocol in self.protocols), *([BITS] if self.bits else []))


@dataclass(frozen=True)
class GeneScores:
    """The model's scores of an organism's N genes, higher meaning more essential; NaN where the status is not ok."""

    organism: Organism
    status: Sequence[Skip]
    model: Mapping[str, Floats]

    @property
    def used(self) -> Indices:
        """Return the numbers of the genes that have all scores."""
        return np.flatnonzero([status is Skip.OK for status in self.status])

    def save(self, folder: Path, made_by: Mapping[str, str]) -> None:
        """Write a Parquet table with a row for each gene, in the organism's order. Raises OutputError."""
        genes = self.organism.genes
        cells: dict[str, Sequence[object]] = {
            "locus_tag": [gene.locus_tag for gene in genes],
            "chrom": [gene.contig for gene in genes],
            "start": [gene.start + 1 for gene in genes],
            "end": [gene.end for gene in genes],
            "strand": [gene.strand.value for gene in genes],
            "status": [status.value for status in self.status],
            **{name: [None if math.isnan(v) else v for v in values.tolist()] for name, values in self.model.items()},
        }
        columns = [Column(name, "float" if name in self.model else "str") for name in cells]
        columns = [Column(c.name, "int") if c.name in ("start", "end") else c for c in columns]
        with open_table(folder / f"{self.organism.name}.parquet", columns, provenance=made_by) as table:
            table.write(dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True))

    @classmethod
    def load(
        cls, folder: Path, organism: Organism, names: Sequence[str], made_by: Mapping[str, str]
    ) -> GeneScores | None:
        """Read what `save` wrote; None where there is none, or one that was made otherwise or is damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(folder / f"{organism.name}.parquet")
        except (OSError, pa.ArrowException):
            return None
        kept = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        if any(kept.get(f"dnahnet.{key}") != value for key, value in made_by.items()):
            return None
        values = {name: table.column(name).to_pylist() for name in table.column_names}
        return cls(
            organism,
            [Skip(value) for value in values["status"]],
            {name: np.array(values[name], dtype=np.float64) for name in names},
        )


def drawn(organism: Organism, options: GeneOptions) -> list[Skip]:
    """Return what can be told of each gene before it is scored, and draw those that are wanted, labels unseen."""
    short = [gene.end - gene.start - gene.phase < 30 for gene in organism.genes]
    status = [Skip.TOO_SHORT if too_short else Skip.OK for too_short in short]
    if options.genes is not None:
        usable = np.flatnonzero(~np.array(short, dtype=np.bool_))
        order = np.random.default_rng([options.seed, zlib.crc32(organism.name.encode())]).permutation(usable)
        for at in order[options.genes :]:
            status[at] = Skip.NOT_DRAWN
    return status


def score_organism(
    organism: Organism,
    options: GeneOptions,
    make_engine: EngineMaker,
    progress: Callable[[int], None] = lambda steps: None,
) -> GeneScores:
    """Score the genes of an organism. `progress` is called with gene strands done, each score counted."""
    status = drawn(organism, options)
    chosen = [at for at, known in enumerate(status) if known is Skip.OK]
    model = {name: np.full(len(status), math.nan) for name in options.scores}
    with Fasta(organism.genome) as genome:
        engine = make_engine(genome, organism.circular)
        edits = []
        for at in chosen:
            gene = organism.genes[at]
            for protocol in options.protocols:
                knocked = knock_out(gene, _stretch(genome, gene), protocol)
                assert knocked is not None  # too short ones are not chosen
                edits.append(knocked[0])
        results = iter(engine.score(edits, progress))  # of all protocols at once: they share the scan
        for at in chosen:
            gene = organism.genes[at]
            for protocol in options.protocols:
                by_strand = next(results)
                if all(by_strand.values()):
                    sense, antisense = by_strand.get(gene.strand), by_strand.get(gene.strand.opposite)
                    model[protocol.value][at] = GeneScore(gene, GeneStatus.OK, sense, antisense).score
        if options.bits:
            in_order = sorted(chosen, key=lambda at: (organism.genes[at].contig, organism.genes[at].start))
            places = [Interval(gene.contig, gene.start, gene.end) for gene in (organism.genes[at] for at in in_order)]
            for at, likelihood in zip(in_order, likelihoods(engine, places), strict=True):
                bits = likelihood.bits_per_base()
                model[BITS][at] = math.nan if bits is None else -bits
                progress(len(engine.strands))
    for at in chosen:
        if any(math.isnan(values[at]) for values in model.values()):
            status[at] = Skip.AMBIGUOUS_CONTEXT
    return GeneScores(organism, status, model)


# --- what needs no model, and what is put together ---


@dataclass(frozen=True)
class Beside:
    """The scores of an organism's N genes that need no model, and what codon adaptation was measured against."""

    scores: Mapping[str, Floats]
    cai_reference: str


def beside(organism: Organism, markov_order: int) -> Beside:
    """Compute the scores that need no model. Raises UsageError for a Markov order outside 0..11."""
    with Fasta(organism.genome) as genome:
        contigs = [genome.codes(name, 0, length) for name, length in genome.lengths.items()]
        markov = MarkovModel.fit(contigs, markov_order)
        sequences = [_coding(genome, gene) for gene in organism.genes]
    ribosomal = [is_ribosomal(gene) for gene in organism.genes]
    if sum(ribosomal) >= LEAST_RIBOSOMAL:
        reference = [codes for codes, named in zip(sequences, ribosomal, strict=True) if named]
        cai_reference = f"{len(reference)} ribosomal protein genes"
    else:
        reference, cai_reference = sequences, f"all {len(sequences)} genes"
    weights = codon_weights(reference)
    scores = {
        "length": [float(gene.length) for gene in organism.genes],
        "gc": [float(np.isin(codes, (1, 2)).mean()) if len(codes) else math.nan for codes in sequences],
        "cai": [codon_adaptation(codes, weights) for codes in sequences],
        "markov": [-_both_strands(markov, codes) for codes in sequences],
    }
    return Beside({name: np.array(values) for name, values in scores.items()}, cai_reference)


def combined(model: Mapping[str, Floats], beside: Mapping[str, Floats], used: Indices) -> dict[str, Floats]:
    """Put scores together over the genes `used`; the others are NaN. No label is looked at."""
    length = beside["length"][used]
    found: dict[str, Floats] = {}
    for name in MODEL:
        if name not in model:
            continue
        own = model[name][used]
        if name != BITS:
            found[f"{name}_given_length"] = residual(own, np.log(length))
        found[f"{name}_and_length"] = (midranks(own) + midranks(length)) / 2
    if BITS in model:
        found["bits_beyond_markov"] = model[BITS][used] - beside["markov"][used]
    whole: dict[str, Floats] = {name: np.full(len(beside["length"]), math.nan) for name in COMBINED if name in found}
    for name, values in whole.items():
        values[used] = found[name]
    return whole


def residual(values: Floats, on: Floats) -> Floats:
    """Return what the least-squares line of `values` over `on` leaves of them, (N,); less the mean if `on` is flat."""
    if not len(values):
        return values
    x, y = on - on.mean(), values - values.mean()
    spread = float(x @ x)
    rest: Floats = y - x * (float(x @ y) / spread) if spread > 0 else y
    return rest


def is_ribosomal(gene: Gene) -> bool:
    """Tell whether a gene's name or product says that it makes a ribosomal protein."""
    return any(_RIBOSOMAL.search(text) is not None for text in (gene.name, gene.product))


def _both_strands(markov: MarkovModel, codes: Codes) -> float:
    """Return the bits per base of a gene on its own, mean of both strands; NaN where there is no base."""
    return (markov.bits_per_base(codes) + markov.bits_per_base(reverse_complement(codes))) / 2


def _stretch(genome: GenomeSource, gene: Gene) -> Codes:
    """Return the forward strand from a gene's first base to its last, over the origin where it lies so."""
    return _bases(genome, gene.contig, gene.start, gene.end)


def _coding(genome: GenomeSource, gene: Gene) -> Codes:
    """Return a gene's coding bases in reading direction."""
    codes = np.concatenate([_bases(genome, gene.contig, start, end) for start, end in gene.parts])
    return codes if gene.strand is Strand.FORWARD else reverse_complement(codes)


def _bases(genome: GenomeSource, contig: str, start: int, end: int) -> Codes:
    length = genome.lengths[contig]
    if start >= length:
        start, end = start - length, end - length
    head = genome.codes(contig, start, min(end, length))
    return np.concatenate([head, genome.codes(contig, 0, max(0, end - length))])
