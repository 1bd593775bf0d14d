"""The commands as Python: a model, and what it says of a genome, row by row.

    import dnahnet_cli as dnahnet

    model = dnahnet.load_model()
    for row in model.score_variants("genome.fa", "calls.vcf"):
        print(row["pos"], row["llr"])

Rows have the columns of the command's table (docs/reference/outputs.md). What the commands say on standard error is not
said; what is wrong raises an exception of `dnahnet_cli.errors`, and regions without a variant make a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from dnahnet_cli import __version__
from dnahnet_cli.consequences.annotator import UPSTREAM_BP, Annotator
from dnahnet_cli.consequences.load import read_gene_set
from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Gene, Interval, Strand, encode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import Annotation, read_genes
from dnahnet_cli.io.intake import Intake, OnRefMismatch
from dnahnet_cli.io.mutants import MutantList
from dnahnet_cli.io.streams import name_some
from dnahnet_cli.io.table import Column
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.devices import resolve_device, resolve_dtype, usable_cores
from dnahnet_cli.networks.weights import DEFAULT_MODEL, ModelFile, find_model
from dnahnet_cli.networks.weights import load_model as load_network
from dnahnet_cli.rows import genes as gene_rows
from dnahnet_cli.rows import likelihood as likelihood_rows
from dnahnet_cli.rows import mutants as mutant_rows
from dnahnet_cli.rows import variants as variant_rows
from dnahnet_cli.rows.inputs import (
    Circular,
    Genome,
    Sequences,
    Variants,
    coding_of,
    contig_names,
    genes_of,
    intervals,
    mutants_of,
    open_genome,
    open_variants,
)
from dnahnet_cli.rows.stream import Rows
from dnahnet_cli.rows.vectors import Vectors
from dnahnet_cli.scoring.boundaries import chunks_of
from dnahnet_cli.scoring.calibration import Null, null_snvs, score_snvs
from dnahnet_cli.scoring.embed import Pool, Stretch, embed, level_widths
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.essentiality import Protocol, score_genes
from dnahnet_cli.scoring.fitness import saturation, score_mutants
from dnahnet_cli.scoring.generate import GenerateOptions, generate
from dnahnet_cli.scoring.likelihood import likelihoods
from dnahnet_cli.scoring.proteins import CodingSequence
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.scoring.variants import VariantScorer

StrandName: TypeAlias = Literal["both", "forward", "reverse"]

_STRANDS: Mapping[str, tuple[Strand, ...]] = {
    "both": (Strand.FORWARD, Strand.REVERSE),
    "forward": (Strand.FORWARD,),
    "reverse": (Strand.REVERSE,),
}


def load_model(
    name: str | Path = DEFAULT_MODEL, *, device: str = "auto", dtype: str = "auto", threads: int | None = None
) -> Model:
    """Load a bundled model by name, or a .safetensors file with its card. Raises ModelError, DeviceError, UsageError.

    `threads` are those of torch, for the whole process; all processors unless given.
    """
    import torch

    file = find_model(str(name))
    where = resolve_device(device)
    num_threads = threads or usable_cores()
    torch.set_num_threads(num_threads)
    network = load_network(file, where, resolve_dtype(dtype, where))
    return Model(file, network, workers=num_threads if where == "cpu" else 1)


class Model:
    """A network with its weights. `name`, `sha256` and `card` say which, `network` is the torch module.

    The methods return at once; a genome is opened, and what is wrong with it found, when the first row is read.
    """

    def __init__(self, file: ModelFile, network: Network, workers: int = 1) -> None:
        self._workers = workers
        self.name, self.sha256, self.card, self.network = file.name, file.sha256, file.card, network

    def __repr__(self) -> str:
        return f"<dnahnet model {self.name}, {self.network.num_parameters():,} parameters>"

    def score_variants(
        self,
        genome: Genome,
        variants: Variants = None,
        *,
        genes: str | Path | None = None,
        genetic_code: int | None = None,
        upstream: int = UPSTREAM_BP,
        rename_contigs: str | Path | Mapping[str, str] | None = None,
        regions: Sequence[str] | None = None,
        on_ref_mismatch: OnRefMismatch = "skip",
        max_indel: int = 500,
        null: int = 0,
        seed: int = 1,
        suffix: int = 128,
        context: int = 1024,
        strand: StrandName = "both",
        circular: Circular = "auto",
    ) -> Rows:
        """Score variants of a VCF, BCF or table, or (chrom, pos, ref, alt) with 1-based positions; one row per ALT.

        Without variants, the three SNVs of every base of the regions. With `null` SNVs, which are scored before the
        first row, `phred` is filled; with `genes`, there are the columns of genes and consequences.
        """
        if on_ref_mismatch not in get_args(OnRefMismatch):
            raise UsageError(f"on_ref_mismatch {on_ref_mismatch!r}: expected skip, error or use-genome")
        fields = variant_rows.fields(genes=genes is not None)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                names = contig_names(rename_contigs, opened)
                found = None if genes is None else read_gene_set(str(genes), opened.lengths, names)
                called = found.circular if found else frozenset[str]()
                engine = self._engine(opened, circular, suffix, context, strand, called)
                annotator = None
                if found is not None:
                    options = (engine.circular, genetic_code, upstream)
                    annotator = Annotator(opened, found.coding, found.noncoding, *options)
                only = None if regions is None else intervals(opened, regions)
                with open_variants(variants, opened, only) as records:
                    intake = Intake(records, opened, names=names, regions=only, on_ref_mismatch=on_ref_mismatch)
                    drawn = null_snvs(opened, null, seed) if null else []
                    ranks = Null.of(score_snvs(engine, drawn)) if drawn else None
                    found_any = False
                    for record, scores in intake.grouped(VariantScorer(engine, max_indel).score(intake.variants())):
                        found_any = True
                        for written, score in zip(record.variants, scores, strict=True):
                            effects = variant_rows.effects_of(score, annotator)
                            yield variant_rows.row_of(written, score, ranks, effects)
                    if only is not None and not found_any:
                        known = name_some(opened.lengths)
                        warnings.warn(
                            f"no variant lies in the regions; if they have another name for {known}, "
                            "give rename_contigs",
                            stacklevel=2,
                        )

        made_by: dict[str, object] = {"null": f"{null} random SNVs", "seed": seed} if null else {}
        if on_ref_mismatch != "skip":
            made_by["on_ref_mismatch"] = on_ref_mismatch
        if genetic_code is not None:
            made_by["genetic_code"] = genetic_code
        columns = [*variant_rows.key_columns(), *(field.column for field in fields)]
        return Rows(columns, rows(), self._provenance(context, strand, suffix=suffix, **made_by))

    def essentiality(
        self,
        genome: Genome,
        genes: str | Path | None = None,
        *,
        protocol: Literal["single", "multi"] = "single",
        id_attr: str | None = None,
        genetic_code: int | None = None,
        regions: Sequence[str] | None = None,
        suffix: int = 512,
        context: int = 1024,
        strand: StrandName = "both",
        circular: Circular = "auto",
    ) -> Rows:
        """Rank the genes that regions touch, by how badly stop codons in them surprise the model.

        All are scored before the first row.
        """

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                annotation = genes_of(genome, opened, genes, id_attr, genetic_code)
                engine = self._engine(opened, circular, suffix, context, strand, annotation.circular)
                only = None if regions is None else intervals(opened, regions)
                chosen = gene_rows.touched(annotation.genes, only, opened.lengths)
                yield from gene_rows.ranked(score_genes(engine, chosen, Protocol(protocol)))

        provenance = self._provenance(context, strand, suffix=suffix, protocol=protocol)
        return Rows(gene_rows.columns(), rows(), provenance)

    def boundaries(
        self,
        genome: Genome,
        *,
        regions: Sequence[str] | None = None,
        stages: Collection[int] | None = None,
        context: int = 1024,
        strand: StrandName = "both",
        circular: Circular = "auto",
    ) -> Rows:
        """Give the chunks of all stages, sorted: 0-based half-open, with the probability of the cut that opens each."""
        num_stages = self.network.config.num_stages
        wanted = frozenset(stages if stages is not None else range(1, num_stages + 1))
        if not wanted or not 1 <= min(wanted) <= max(wanted) <= num_stages:
            raise UsageError(f"stages {sorted(wanted)}: model {self.name} has {num_stages}")
        kinds = {"start": "int", "end": "int", "stage": "int", "probability": "float"}
        names = ("chrom", "start", "end", "stage", "probability", "strand")
        columns = [Column(name, kinds.get(name, "str")) for name in names]  # type: ignore[arg-type]

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                engine = self._engine(opened, circular, 0, context, strand)
                for scope in filter(len, intervals(opened, regions)):
                    for chunks in chunks_of(engine, scope):
                        values = (chunks.start, chunks.end, chunks.stage, chunks.probability, chunks.reverse)
                        for start, end, stage, probability, reverse in zip(*(v.tolist() for v in values), strict=True):
                            cells = (scope.contig, start, end, stage, probability, "-" if reverse else "+")
                            if stage in wanted:
                                yield dict(zip(names, cells, strict=True))

        return Rows(columns, rows(), self._provenance(context, strand))

    def score(
        self,
        genome: Genome,
        *,
        regions: Sequence[str] | None = None,
        markov: int | None = None,
        context: int = 1024,
        strand: StrandName = "both",
        circular: Circular = "auto",
    ) -> Rows:
        """Say how likely each contig, or region such as chr1:1-1000, is."""

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                engine = self._engine(opened, circular, 0, context, strand)
                scopes = intervals(opened, regions)
                for scope, found in zip(scopes, likelihoods(engine, scopes, markov), strict=True):
                    yield likelihood_rows.row_of(scope, found)

        return Rows(likelihood_rows.columns(), rows(), self._provenance(context, strand))

    def fitness(
        self,
        gene: Genome,
        mutants: str | Path | Iterable[str] | None = None,
        *,
        genome: Genome | None = None,
        protein: str | Path | None = None,
        positions: tuple[int, int] | None = None,
        stops: bool = False,
        measured: str | None = None,
        suffix: int = 128,
        context: int = 1024,
        strand: StrandName = "both",
    ) -> Rows:
        """Score mutants of one gene, from a file or as texts such as M69L; all single substitutions unless given.

        These may be limited to `positions`, the first and the last residue from 1, and `stops` adds stop codons.
        `measured` names the column of measurements in a file.
        """
        if mutants is not None and (positions is not None or stops):
            raise UsageError("positions and stops choose among all single substitutions: give no mutants")
        given = mutants_of(mutants, measured)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome if genome is not None else gene) as opened:
                coding = coding_of(gene, opened, protein)
                chosen = given or MutantList(
                    tuple(saturation(coding.protein, _residues(coding, positions), stops=stops))
                )
                engine = self._engine(opened, "none", suffix, context, strand)
                for index, row in enumerate(score_mutants(engine, coding, chosen.mutants)):
                    yield mutant_rows.row_of(row, chosen, index)

        columns = mutant_rows.columns(with_measured=given is not None and given.measured is not None)
        return Rows(columns, rows(), self._provenance(context, strand, suffix=suffix))

    def embed(
        self,
        genome: Genome,
        *,
        genes: str | Path | None = None,
        regions: Sequence[str] | None = None,
        stages: Collection[int] | None = None,
        pool: Literal["bases", "chunks", "last"] = "bases",
        per_strand: bool = False,
        context: int = 1024,
        strand: StrandName = "both",
        circular: Circular = "auto",
    ) -> Rows:
        """Give the vectors of each contig or region, or of each gene that regions touch; stage 0 are single bases."""
        num_stages = self.network.config.num_stages
        levels = sorted(set(stages if stages is not None else range(num_stages + 1)))
        if not levels or not 0 <= levels[0] <= levels[-1] <= num_stages:
            raise UsageError(f"stages {levels}: model {self.name} has {num_stages}, and 0 for the bases")
        table = Vectors(levels, level_widths(self.network), per_strand=per_strand, genes=genes is not None)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                annotation = read_genes(str(genes)) if genes is not None else Annotation([])
                engine = self._engine(opened, circular, 0, context, strand, annotation.circular)
                only = intervals(opened, regions)
                places: Sequence[Gene | Interval] = only
                if genes is not None:
                    places = gene_rows.touched(annotation.genes, None if regions is None else only, opened.lengths)
                stretches = [Stretch.of(place) for place in places]
                for place, found in zip(places, embed(engine, stretches, Pool(pool)), strict=True):
                    yield table.row(place, found)

        return Rows(table.columns(), rows(), self._provenance(context, strand, pool=pool))

    def generate(
        self,
        prompts: Mapping[str, str] | Sequence[str] = ("",),
        *,
        length: int = 1000,
        number: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 1,
        context: int = 1024,
    ) -> Rows:
        """Draw new sequences that go on from prompts, by name or numbered; each without its prompt."""
        named = dict(prompts) if isinstance(prompts, Mapping) else {f"prompt{n}": p for n, p in enumerate(prompts, 1)}
        options = GenerateOptions(length, number, temperature, top_p, seed, grid=TileGrid(context=context))
        columns = [Column("name", "str"), Column("sequence", "str"), Column("bits_per_base", "float")]

        def rows() -> Iterator[dict[str, Any]]:
            names = list(named)
            for drawn in generate(self.network, [encode(prompt) for prompt in named.values()], options):
                name = f"{names[drawn.prompt]}_{drawn.number + 1}"
                yield {"name": name, "sequence": drawn.sequence, "bits_per_base": drawn.bits_per_base}

        drawn_by = {"temperature": f"{temperature:g}", "top_p": f"{top_p:g}", "seed": str(seed)}
        return Rows(columns, rows(), self._provenance(context, "forward", **drawn_by))

    def _engine(
        self,
        genome: Fasta | Sequences,
        circular: Circular,
        suffix: int,
        context: int,
        strand: StrandName,
        also_circular: frozenset[str] = frozenset(),
    ) -> Engine:
        if strand not in _STRANDS:
            raise UsageError(f"strand {strand!r}: expected both, forward or reverse")
        names = frozenset(genome.lengths)
        if circular == "auto":
            chosen = genome.circular | (also_circular & names)
        elif isinstance(circular, str):
            chosen = {"all": names, "none": frozenset[str]()}.get(circular, frozenset({circular}))
        else:
            chosen = frozenset(circular)
        if unknown := sorted(chosen - names):
            raise InputError(f"circular: the genome has no contig named {unknown[0]!r}")
        options = EngineOptions(TileGrid(context=context), suffix, workers=self._workers)
        return Engine(self.network, genome, options, chosen, _STRANDS[strand])

    def _provenance(self, context: int, strand: str, **more: object) -> dict[str, str]:
        made_by = {"version": __version__, "model": self.name, "model_sha256": self.sha256}
        return {
            **made_by,
            "context": str(context),
            "strand": strand,
            **{key: str(value) for key, value in more.items()},
        }


def _residues(coding: CodingSequence, positions: tuple[int, int] | None) -> range:
    """Return places of residues, from 0, by the first and the last from 1. Raises UsageError."""
    length = len(coding.protein.rstrip("*"))
    first, last = positions or (1, length)
    if not 1 <= first <= last <= length:
        raise UsageError(f"positions {first}, {last}: expected two within 1 to {length}")
    return range(first - 1, last)
