"""The commands as Python: a model, and what it says of a genome, row by row.

    import dnahnet_cli as dnahnet

    model = dnahnet.load_model()
    for row in model.score_variants("genome.fa", "calls.vcf"):
        print(row["pos"], row["llr"])

Rows have the columns of the command's table (docs/reference/outputs.md). What the commands say on standard error is not
said; what is wrong raises an exception of `dnahnet_cli.errors`, and regions without a variant make a warning.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from dnahnet_cli import __version__
from dnahnet_cli.consequences.annotator import UPSTREAM_BP, Annotator
from dnahnet_cli.consequences.load import read_gene_set
from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import Gene, Interval, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import Annotation, read_genes
from dnahnet_cli.io.intake import Intake, OnRefMismatch
from dnahnet_cli.io.mutants import MutantList
from dnahnet_cli.io.streams import name_some
from dnahnet_cli.io.table import Column
from dnahnet_cli.limits import check_choice, check_numbers
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
    Prompts,
    Sequences,
    Variants,
    circles,
    coding_of,
    contig_names,
    genes_of,
    intervals,
    mutants_of,
    open_genome,
    open_variants,
    prompts_of,
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

    if threads is not None:
        check_numbers(threads=threads)
    file = find_model(str(name))
    where = resolve_device(device)
    num_threads = threads or usable_cores()
    torch.set_num_threads(num_threads)
    computed_in = resolve_dtype(dtype, where)
    network = load_network(file, where, computed_in)
    workers = num_threads if where == "cpu" else 1
    return Model(file, network, str(computed_in).removeprefix("torch."), workers)


class Model:
    """A network with its weights. `name`, `sha256` and `card` say which, `network` is the torch module.

    The methods raise UsageError for what the command's options refuse, and return at once; a genome is opened, and what
    is wrong with it found, when the first row is read.
    """

    def __init__(self, file: ModelFile, network: Network, dtype: str, workers: int = 1) -> None:
        self._dtype, self._workers = dtype, workers
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
        check_numbers(upstream=upstream, max_indel=max_indel, null=null, seed=seed, suffix=suffix, context=context)
        check_choice("on_ref_mismatch", on_ref_mismatch, get_args(OnRefMismatch))
        check_choice("strand", strand, _STRANDS)
        fields = variant_rows.fields(genes=genes is not None)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                names = contig_names(rename_contigs, opened)
                found = (
                    None
                    if genes is None
                    else read_gene_set(str(genes), opened.lengths, names, circles=circles(circular, opened))
                )
                called = found.circular if found else frozenset[str]()
                engine = self._engine(opened, circular, suffix, context, strand, provenance, called)
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
        provenance = self._provenance(context, strand, suffix=suffix, **made_by)
        return Rows(columns, rows(), provenance)

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
        check_numbers(suffix=suffix, context=context)
        check_choice("protocol", protocol, [one.value for one in Protocol])
        check_choice("strand", strand, _STRANDS)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                annotation = genes_of(genome, opened, genes, id_attr, genetic_code, circles(circular, opened))
                engine = self._engine(opened, circular, suffix, context, strand, provenance, annotation.circular)
                only = None if regions is None else intervals(opened, regions)
                chosen = gene_rows.touched(annotation.genes, only, opened.lengths)
                yield from gene_rows.ranked(score_genes(engine, chosen, Protocol(protocol)))

        made_by = {} if genetic_code is None else {"genetic_code": genetic_code}
        provenance = self._provenance(context, strand, suffix=suffix, protocol=protocol, **made_by)
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
        check_numbers(context=context)
        check_choice("strand", strand, _STRANDS)
        wanted = self._stages(stages, least=1)
        kinds = {"start": "int", "end": "int", "stage": "int", "probability": "float"}
        names = ("chrom", "start", "end", "stage", "probability", "strand")
        columns = [Column(name, kinds.get(name, "str")) for name in names]  # type: ignore[arg-type]

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                engine = self._engine(opened, circular, 0, context, strand, provenance)
                for scope in filter(len, intervals(opened, regions)):
                    for chunks in chunks_of(engine, scope):
                        values = (chunks.start, chunks.end, chunks.stage, chunks.probability, chunks.reverse)
                        for start, end, stage, probability, reverse in zip(*(v.tolist() for v in values), strict=True):
                            cells = (scope.contig, start, end, stage, probability, "-" if reverse else "+")
                            if stage in wanted:
                                yield dict(zip(names, cells, strict=True))

        provenance = self._provenance(context, strand)
        return Rows(columns, rows(), provenance)

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
        made_by = {} if markov is None else {"markov": markov}
        check_numbers(context=context, **made_by)
        check_choice("strand", strand, _STRANDS)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                engine = self._engine(opened, circular, 0, context, strand, provenance)
                scopes = intervals(opened, regions)
                for scope, found in zip(scopes, likelihoods(engine, scopes, markov), strict=True):
                    yield likelihood_rows.row_of(scope, found)

        provenance = self._provenance(context, strand, **made_by)
        return Rows(likelihood_rows.columns(), rows(), provenance)

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
        check_numbers(suffix=suffix, context=context)
        check_choice("strand", strand, _STRANDS)
        if mutants is not None and (positions is not None or stops):
            raise UsageError("positions and stops choose among all single substitutions: give no mutants")
        given = mutants_of(mutants, measured)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome if genome is not None else gene) as opened:
                coding = coding_of(gene, opened, protein)
                chosen = given or MutantList(
                    tuple(saturation(coding.protein, _residues(coding, positions), stops=stops))
                )
                engine = self._engine(opened, "none", suffix, context, strand, provenance)
                for index, row in enumerate(score_mutants(engine, coding, chosen.mutants)):
                    yield mutant_rows.row_of(row, chosen, index)

        columns = mutant_rows.columns(with_measured=given is not None and given.measured is not None)
        provenance = self._provenance(context, strand, suffix=suffix)
        return Rows(columns, rows(), provenance)

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
        check_numbers(context=context)
        check_choice("pool", pool, [one.value for one in Pool])
        check_choice("strand", strand, _STRANDS)
        levels = sorted(self._stages(stages, least=0))
        table = Vectors(levels, level_widths(self.network), per_strand=per_strand, genes=genes is not None)

        def rows() -> Iterator[dict[str, Any]]:
            with open_genome(genome) as opened:
                annotation = Annotation([])
                if genes is not None:
                    annotation = read_genes(str(genes), circles=circles(circular, opened))
                engine = self._engine(opened, circular, 0, context, strand, provenance, annotation.circular)
                only = intervals(opened, regions)
                places: Sequence[Gene | Interval] = only
                if genes is not None:
                    places = gene_rows.touched(annotation.genes, None if regions is None else only, opened.lengths)
                stretches = [Stretch.of(place) for place in places]
                for place, found in zip(places, embed(engine, stretches, Pool(pool)), strict=True):
                    yield table.row(place, found)

        provenance = self._provenance(context, strand, pool=pool)
        return Rows(table.columns(), rows(), provenance)

    def generate(
        self,
        prompts: Prompts = ("",),
        *,
        length: int = 1000,
        number: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 1,
        context: int = 1024,
    ) -> Rows:
        """Draw new sequences that go on from one prompt, or several by name or numbered; each without its prompt."""
        check_numbers(length=length, number=number, temperature=temperature, top_p=top_p, seed=seed, context=context)
        named = prompts_of(prompts)
        options = GenerateOptions(length, number, temperature, top_p, seed, grid=TileGrid(context=context))
        columns = [Column("name", "str"), Column("sequence", "str"), Column("bits_per_base", "float")]

        def rows() -> Iterator[dict[str, Any]]:
            names = list(named)
            for drawn in generate(self.network, list(named.values()), options):
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
        provenance: dict[str, str],
        also_circular: frozenset[str] = frozenset(),
    ) -> Engine:
        """Return the engine for an open genome, and add the contigs that it reads as circular to the provenance."""
        chosen = frozenset(circles(circular, genome))
        if circular == "auto":
            chosen |= also_circular & genome.lengths.keys()
        if chosen:
            provenance["circular"] = ",".join(sorted(chosen))
        options = EngineOptions(TileGrid(context=context), suffix, workers=self._workers)
        return Engine(self.network, genome, options, chosen, _STRANDS[strand])

    def _stages(self, given: Collection[int] | None, *, least: int) -> frozenset[int]:
        """Return the stages that are asked for, all from the `least` unless given. Raises UsageError."""
        most = self.network.config.num_stages
        try:
            wanted = frozenset(map(operator.index, given if given is not None else range(least, most + 1)))
        except TypeError:
            wanted = frozenset()
        if not wanted or not least <= min(wanted) <= max(wanted) <= most:
            raise UsageError(
                f"stages {given!r}: model {self.name} has {most}{'' if least else ', and 0 for the bases'}"
            )
        return wanted

    def _provenance(self, context: int, strand: str, **more: object) -> dict[str, str]:
        made_by = {"version": __version__, "model": self.name, "model_sha256": self.sha256}
        return {
            **made_by,
            "context": str(context),
            "strand": strand,
            "dtype": self._dtype,
            **{key: str(value) for key, value in more.items()},
        }


def _residues(coding: CodingSequence, positions: tuple[int, int] | None) -> range:
    """Return places of residues, from 0, by the first and the last from 1. Raises UsageError."""
    length = len(coding.protein.rstrip("*"))
    try:
        first, last = map(operator.index, positions or (1, length))
    except (TypeError, ValueError):
        first = last = 0
    if not 1 <= first <= last <= length:
        raise UsageError(f"positions {positions!r}: expected two within 1 to {length}")
    return range(first - 1, last)
