"""From options to a ready engine: device, dtype, threads, model, genome, regions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from dnahnet_cli import __version__
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.cli.request import Request, engine_options, strands, threads_of
from dnahnet_cli.cli.spreading import spread_engine
from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.io.streams import name_some
from dnahnet_cli.networks.devices import resolve_device, resolve_dtype

if TYPE_CHECKING:
    from dnahnet_cli.genome import Gene, Interval
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.model.network import Network
    from dnahnet_cli.networks.weights import ModelFile
    from dnahnet_cli.scoring.engine import Engine


class Session:
    """An open genome and a loaded model. Use as a context manager."""

    def __init__(self, request: Request, reporter: Reporter) -> None:
        self.request, self.reporter = request, reporter
        self.dtype_name: str = request.dtype
        self.circular: frozenset[str] = frozenset()  # known when there is an engine
        self._stack = ExitStack()

    def __enter__(self) -> Session:
        from dnahnet_cli.io.fasta import Fasta
        from dnahnet_cli.networks.weights import find_model

        tmpdir = Path(self.request.tmpdir) if self.request.tmpdir else None
        # The genome first: its errors are the commonest and should not wait for the network.
        self.fasta: Fasta = self._stack.enter_context(Fasta(Path(self.request.genome), tmpdir))
        try:
            self.model_file: ModelFile = find_model(self.request.model)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reporter.stop()
        self._stack.close()

    @property
    def circles(self) -> dict[str, int]:
        """Return the lengths (bp) of the contigs that are circular whatever an annotation says."""
        return {name: self.fasta.lengths[name] for name in self._circular(frozenset())}

    def engine(self, also_circular: frozenset[str] = frozenset()) -> Engine:
        """Load the network and return the engine, of this process or of several."""
        from dnahnet_cli.scoring.engine import Engine

        circular = self.circular = self._circular(also_circular)
        self.reporter.detail(f"circular: {', '.join(sorted(circular)) or 'none'}")
        if self.request.circular == "auto" and circular > self.fasta.circular:  # an annotation changes scores
            by_annotation = name_some(sorted(circular - self.fasta.circular))
            self.reporter.note(f"read as circular, as the annotation says: {by_annotation}")
        if self.request.spread is not None:
            spread = spread_engine(self, circular, self._stack)
            if spread is not None:
                return spread
        model, self.dtype_name = load_network(self.model_file, self.request, self.reporter)
        options = engine_options(self.request, self.request.suffix or 0)
        return Engine(model, self.fasta, options, circular, strands(self.request.strand))

    def regions(self, texts: Iterable[str] | None, bed: str | None) -> list[Interval] | None:
        """Return the regions asked for, or None for everything."""
        from dnahnet_cli.io.regions import parse_region, read_regions

        regions = [parse_region(text, self.fasta.lengths) for text in texts or ()]
        if bed is not None:
            regions += read_regions(bed, self.fasta.lengths)
        return regions if texts or bed is not None else None

    def check_genes(self, genes: Sequence[Gene], source: str) -> None:
        """Raise InputError when no gene is on the genome: with regions, there would merely be no rows."""
        names = self.fasta.lengths
        if genes and not any(gene.contig in names for gene in genes):
            theirs = name_some(dict.fromkeys(gene.contig for gene in genes))
            raise InputError(
                f"{source}: no gene is on the genome. The genes are on {theirs}, the genome has {name_some(names)}.\n"
                "Do the annotation and the genome belong together? Then give their contigs the same names."
            )

    def provenance(self, *, with_paths: bool) -> dict[str, str]:
        """Return what made the output, for its header. Without paths, the same input gives the same bytes."""
        always = {
            "model": self.model_file.name,
            "model_sha256": self.model_file.sha256,
            "context": str(self.request.context),
            "suffix": str(self.request.suffix),
            "strand": self.request.strand,
            "circular": ",".join(sorted(self.circular)),
            "dtype": self.dtype_name,
        }
        if not self.circular:
            del always["circular"]
        if self.request.suffix is None:
            del always["suffix"]
        if not with_paths:
            return always
        command = shlex.join(["dnahnet", *sys.argv[1:]])
        return {"version": __version__, "command": command, "reference": self.request.genome, **always}

    def _circular(self, also: frozenset[str]) -> frozenset[str]:
        names, given = self.fasta.lengths, self.request.circular
        if given == "auto":
            return self.fasta.circular | (also & names.keys())
        if given in ("all", "none"):
            return frozenset(names) if given == "all" else frozenset()
        try:
            listed = frozenset(line.split()[0] for line in Path(given).read_text().splitlines() if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"--circular {given}: not auto, all or none, and not a readable file of contig names"
            ) from error
        unknown = sorted(listed - names.keys())
        if unknown:
            raise InputError(f"{given}: the genome has no contig named {unknown[0]!r}")
        return listed


def load_network(file: ModelFile, request: Request, reporter: Reporter) -> tuple[Network, str]:
    """Set the threads, load the network, and return it with the name of its dtype."""
    import torch

    from dnahnet_cli.networks.allocator import keep_freed_memory
    from dnahnet_cli.networks.weights import load_model

    keep_freed_memory()
    torch.set_num_threads(threads_of(request))
    device = resolve_device(request.device)
    if device != "cpu":
        torch.cuda.set_device(torch.device(device).index or 0)  # where kernels are launched
    dtype = resolve_dtype(request.dtype, device)
    dtype_name = str(dtype).removeprefix("torch.")
    model = load_model(file, device, dtype)
    reporter.detail(
        f"model {file.name} ({model.num_parameters():,} parameters), {device}, {dtype_name}, "
        f"{torch.get_num_threads()} threads"
    )
    return model, dtype_name
