"""What a command says on standard error: progress, notes, and the closing counts."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dnahnet_cli.errors import StrictError, presentable

PLAIN_EVERY_S = 30.0


class Reporter:
    """Notes and progress on standard error: a bar on a terminal, otherwise a plain line every 30 s."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, progress: bool = True) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.began = time.monotonic()
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and "CI" not in os.environ
        self._shown = progress and not quiet
        self._bar: Any = None
        self._use_bar = terminal and self._shown
        self._done, self._what, self._last = 0, "", self.began
        self._total: int | None = None

    def note(self, text: str) -> None:
        """Print a line unless quiet."""
        if not self.quiet:
            self._print(text)

    def detail(self, text: str) -> None:
        """Print a line only when verbose."""
        if self.verbose:
            self._print(text)

    def start(self, what: str, total: int | None) -> None:
        """Begin counting `what`, `total` of them if that is known."""
        self._done, self._total, self._what, self._last = 0, total, what, time.monotonic()
        self._task_began = self._last
        if self._use_bar:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(what, total=total)

    def advance(self, count: int) -> None:
        """Count on."""
        self._done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
        elif self._shown and time.monotonic() - self._last >= PLAIN_EVERY_S:
            self._last = time.monotonic()
            rate = self._done / (self._last - self._task_began)
            of = f"/{self._total:,}" if self._total else ""
            left = f", about {(self._total - self._done) / rate:,.0f} s left" if self._total and rate else ""
            self._print(f"{self._done:,}{of} {self._what}, {rate:,.1f} a second{left}")

    def stop(self) -> None:
        """Take the progress bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def seconds(self) -> float:
        """Return the time since the command began."""
        return time.monotonic() - self.began

    def _print(self, text: str) -> None:
        text = presentable(text)
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)


def close(
    reporter: Reporter,
    command: str,
    counts: Mapping[str, int],
    reasons: Mapping[str, str],
    provenance: Mapping[str, str],
    *,
    json_summary: str | None,
    strict: bool,
    skipped: Sequence[tuple[str, str]] = (),
) -> None:
    """Say how many rows were scored and why others were not; write the JSON summary. Raises StrictError.

    `counts` is by status, `reasons` explains each status other than `ok`, with its first example. `skipped` names
    what of the input made no row, and why.
    """
    reporter.stop()
    total, scored = sum(counts.values()), counts.get("ok", 0)
    seconds, memory = reporter.seconds(), peak_memory_mib()
    reporter.note(f"{scored:,} of {total:,} rows scored in {seconds:.1f} s, peak memory {memory:,} MiB")
    for status, reason in reasons.items():
        reporter.note(f"  {counts[status]:,} {status}: {reason}")
    for reason, count in Counter(reason for _, reason in skipped).most_common():
        first = next(name for name, own in skipped if own == reason)
        reporter.note(f"  {count:,} left out of the annotation: {reason} (first: {first})")
    write_summary(
        json_summary,
        {
            "command": command,
            "rows": total,
            "scored": scored,
            "status": dict(counts),
            "left_out": len(skipped),
            "seconds": round(seconds, 3),
            "peak_memory_mib": memory,
            "provenance": dict(provenance),
        },
    )
    if strict and scored < total:
        raise StrictError(f"--strict: {total - scored} of {total} rows could not be scored")


def write_summary(path: str | None, summary: Mapping[str, Any]) -> None:
    """Write a command's summary as JSON, if a path is given."""
    if path is None:
        return
    from dnahnet_cli.io.output import open_output

    with open_output(path) as file:
        file.write(json.dumps(summary, indent=2) + "\n")


def peak_memory_mib() -> int:
    """Return the process's peak resident memory in MiB (0 where the system does not tell)."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
