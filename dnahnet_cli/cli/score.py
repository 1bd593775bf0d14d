"""`dnahnet score`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli import limits
from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, close, peak_memory_mib, write_summary
from dnahnet_cli.cli.request import Request
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.bigwig import TrackOutput
    from dnahnet_cli.scoring.engine import Engine
    from dnahnet_cli.scoring.likelihood import Likelihood


def score(
    genome: o.Genome,
    circular: o.Circular = "auto",
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    markov: Annotated[
        int | None,
        typer.Option(
            "--markov",
            metavar="K",
            min=limits.MARKOV.least,
            max=limits.MARKOV.most,
            help="For comparison, also the bits of an order-K Markov model that learns as it reads.",
            rich_help_panel=o.SCORING,
            show_default=False,
        ),
    ] = None,
    output: o.Output = "-",
    output_format: o.OutputFormat = None,
    per_base: Annotated[
        str | None,
        typer.Option(
            "--per-base",
            metavar="FILE",
            help="Also the bits of every base, mean of the strands, as a track: .bw, .bedgraph or .bedgraph.gz.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    strict: o.Strict = False,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Say how likely the model finds each contig, or region: log-likelihood, bits per base, perplexity.

    [bold]bits_per_base[/bold] = mean of -log2 p over the bases, mean of both strands. Uniform guessing has 2;
    lower is better. bits_order0 and bits_markov beside it need no network. The total of all rows
    goes to standard error and into the JSON summary.

    Examples:

      dnahnet score genome.fa

      dnahnet score genome.fa --strand forward --markov 9 --json-summary total.json -o contigs.tsv

      dnahnet score genome.fa -R genes.bed -o genes.parquet

      dnahnet score genome.fa --per-base bits.bw > contigs.tsv
    """
    from pathlib import Path

    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.rows.likelihood import columns, numbers_of, row_of
    from dnahnet_cli.scoring.likelihood import EXPLANATION, Likelihood, LikelihoodStatus

    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    inputs = [Path(genome)] + ([Path(regions_file)] if regions_file not in (None, "-") else [])
    counts: Counter[LikelihoodStatus] = Counter()
    reasons: dict[str, str] = {}
    total = Likelihood()
    with Session(request, reporter) as session, ExitStack() as stack:
        scopes = session.regions(region, regions_file)
        if scopes is None:
            scopes = [Interval(name, 0, length) for name, length in session.fasta.lengths.items()]
        engine = session.engine()
        reporter.start("bases", sum(map(len, scopes)) * len(engine.strands))
        provenance = session.provenance(with_paths=not no_version)
        if markov is not None:
            provenance["markov"] = str(markov)
        track = _Track(per_base, scopes, inputs, engine, stack, tmpdir)
        with open_table(output, columns(), format=output_format, provenance=provenance, forbidden=inputs) as table:
            for scope, found in zip(scopes, track.likelihoods(markov, reporter.advance), strict=True):
                table.write([row_of(scope, found)])
                if output == "-":
                    sys.stdout.flush()  # a row is seconds of work: whoever reads along gets it now
                total += found
                counts[found.status] += 1
                if found.status is not LikelihoodStatus.OK:
                    reasons.setdefault(found.status.value, f"{EXPLANATION[found.status]} (first: {scope.contig})")
            if not total.num_bases:
                raise InputError(f"nothing in {genome} could be scored: none of its bases is A, C, G or T")
        track.write(provenance)
    reporter.stop()
    reporter.note(_total_line(total))
    by_status = {status.value: counts[status] for status in LikelihoodStatus}
    summary = {
        "command": "score",
        "rows": len(scopes),
        "scored": counts[LikelihoodStatus.OK],
        "status": by_status,
        "left_out": 0,
        "total": numbers_of(total),
        "seconds": round(reporter.seconds(), 3),
        "peak_memory_mib": peak_memory_mib(),
        "provenance": dict(provenance),
    }
    write_summary(json_summary, summary)
    close(reporter, "score", by_status, reasons, provenance, json_summary=None, strict=strict)


class _Track:
    """The likelihoods of a run, and the bits of every base beside them if they are asked for."""

    def __init__(
        self,
        path: str | None,
        scopes: Sequence[Interval],
        inputs: Sequence[Path],
        engine: Engine,
        stack: ExitStack,
        tmpdir: str | None,
    ) -> None:
        from pathlib import Path

        from dnahnet_cli.io.bigwig import Track, TrackOutput, check_disjoint
        from dnahnet_cli.scoring.likelihood import BitsPerBase

        self.scopes, self.engine = scopes, engine
        self.place: TrackOutput | None = None
        if path is not None:
            check_disjoint(scopes)
            self.place, folder = TrackOutput(path, inputs), Path(tmpdir) if tmpdir else None
            self.track = stack.enter_context(Track(folder))
            self.bits = stack.enter_context(BitsPerBase(len(engine.strands), folder))

    def likelihoods(self, markov: int | None, progress: Callable[[int], None]) -> Iterator[Likelihood]:
        from dnahnet_cli.scoring.likelihood import likelihoods

        if self.place is None:
            yield from likelihoods(self.engine, self.scopes, markov, progress)
            return
        found = likelihoods(self.engine, self.scopes, markov, progress, self.bits.add)
        for scope in self.scopes:
            if len(scope):
                self.bits.begin(scope)
            likelihood = next(found)
            if likelihood.num_bases:
                codes = self.engine.genome.codes(scope.contig, scope.start, scope.end)
                for position, bits in self.bits.blocks(codes):
                    self.track.add(scope.contig, position, bits)
            yield likelihood

    def write(self, provenance: Mapping[str, str]) -> None:
        if self.place is not None:
            self.place.write(self.track, self.engine.genome.lengths, provenance)


def _total_line(total: Likelihood) -> str:
    parts = [f"{total.bits_per_base():.4f} bits per base", f"perplexity {total.perplexity():.4f}"]
    parts.append(f"own base composition {total.bits_order0:.4f} bits")
    if total.bits_markov is not None:
        parts.append(f"adaptive Markov {total.bits_markov:.4f} bits")
    return f"all {total.num_bases:,} bases together: {', '.join(parts)}"
