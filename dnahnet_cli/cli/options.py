"""Every option that more than one command has, defined once."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from dnahnet_cli import limits

INPUT, SELECTION, SCORING, OUTPUT, COMPUTE, LOGGING = (
    "Input",
    "Selection",
    "Scoring",
    "Output",
    "Compute",
    "Logging",
)


StrandChoice = Literal["both", "forward", "reverse"]
DTypeChoice = Literal["auto", "float32", "bfloat16"]
TableFormat = Literal["tsv", "parquet"]
EngineChoice = Literal["local", "ray"]
Architecture = Literal["dnahnet", "fixed-stride", "random-chunks", "transformer", "striped-hyena2", "mamba2"]


def _a_folder(given: str | None) -> str | None:
    if given is not None and not os.path.isdir(given):
        raise typer.BadParameter(f"the folder {given} does not exist: make it with mkdir -p, or give another.")
    return given


def _in_a_folder(given: str | None) -> str | None:
    """Say before the run, and not after it, that what is written at its end has no place."""
    if given is not None and given != "-":
        _a_folder(os.path.dirname(given) or ".")
    return given


Genome = Annotated[
    str, typer.Argument(metavar="GENOME", help="FASTA or GenBank, plain or compressed.", show_default=False)
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCES", help="Manifests, FASTA or 2bit files, part files, or folders of them.", show_default=False
    ),
]
HeldOut = Annotated[
    list[str] | None,
    typer.Option(
        "--heldout",
        metavar="NAME|FILE",
        help="Hold this genome out, beside those of split val; repeatable.",
        rich_help_panel=SELECTION,
        show_default=False,
    ),
]
NoHeldOut = Annotated[
    bool, typer.Option("--no-heldout", help="Go on with no genome held out.", rich_help_panel=SELECTION)
]
Circular = Annotated[
    str,
    typer.Option(
        "--circular",
        metavar="auto|all|none|FILE",
        help="Circular contigs: those that the genome or the annotation calls so, all, none, or the names in a file.",
        rich_help_panel=INPUT,
    ),
]
Region = Annotated[
    list[str] | None,
    typer.Option(
        "-r",
        "--region",
        metavar="CONTIG[:FROM-TO]",
        help="Only this region, 1-based inclusive, to the contig's end without TO; repeatable.",
        rich_help_panel=SELECTION,
        show_default=False,
    ),
]
RegionsFile = Annotated[
    str | None,
    typer.Option(
        "-R",
        "--regions-file",
        metavar="BED",
        help="Only the regions of a BED file.",
        rich_help_panel=SELECTION,
        show_default=False,
    ),
]
Strand = Annotated[
    StrandChoice,
    typer.Option("--strand", help="Strands to read; a score is the mean over them.", rich_help_panel=SCORING),
]
Suffix = Annotated[
    int,
    typer.Option(
        "--suffix",
        metavar="N",
        min=limits.SUFFIX.least,
        max=limits.SUFFIX.most,
        help="Bases compared after the edited ones.",
        rich_help_panel=SCORING,
    ),
]
Context = Annotated[
    int,
    typer.Option(
        "--context",
        metavar="N",
        min=limits.CONTEXT.least,
        max=limits.CONTEXT.most,
        help="Bases of left context that every tile of 4,096 bases begins with.",
        rich_help_panel=SCORING,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Where to write; - is standard output.", rich_help_panel=OUTPUT
    ),
]
OutputFormat = Annotated[
    TableFormat | None,
    typer.Option(
        "-O",
        "--output-format",
        help="Format, when the suffix of the output does not say it.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
NoVersion = Annotated[
    bool,
    typer.Option(
        "--no-version",
        help="Leave command, paths and versions out of the output, for comparing files.",
        rich_help_panel=OUTPUT,
    ),
]
NoClobber = Annotated[
    bool, typer.Option("--no-clobber", help="Leave a file alone that exists already, and stop.", rich_help_panel=OUTPUT)
]
WriteIndex = Annotated[
    bool,
    typer.Option(
        "--write-index/--no-write-index",
        help="Write .tbi or .csi beside a compressed output, if it is sorted.",
        rich_help_panel=OUTPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check the inputs, say what would be done and how long it takes.", rich_help_panel=OUTPUT
    ),
]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        help="After a run that did not end: go on from its OUTPUT.partial, or start again. Without one, a new run.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only the I-th of N parts of the rows, for as many runs; dnahnet merge joins them.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
JsonSummary = Annotated[
    str | None,
    typer.Option(
        "--json-summary",
        metavar="FILE",
        help="Write counts and timings as JSON.",
        callback=_in_a_folder,
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 when any row could not be scored.", rich_help_panel=OUTPUT)
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help="A bundled model, or a .safetensors file with its card.",
        rich_help_panel=COMPUTE,
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.", rich_help_panel=COMPUTE)
]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|cuda:N",
        help="Where to compute; on several devices (cuda:0,1 or cuda:all) a process for each.",
        rich_help_panel=COMPUTE,
    ),
]
ComputeEngine = Annotated[
    EngineChoice,
    typer.Option(
        "--engine", help="local: this machine. ray: the workers of a Ray cluster (--address).", rich_help_panel=COMPUTE
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Of the Ray cluster, auto for this machine's; unless given, RAY_ADDRESS.",
        rich_help_panel=COMPUTE,
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="At most N workers of the Ray cluster; otherwise one for each GPU, or without GPUs for each -t CPUs.",
        rich_help_panel=COMPUTE,
        show_default=False,
    ),
]
DType = Annotated[
    DTypeChoice,
    typer.Option(
        "--dtype",
        help="Precision of matrix products; auto is float32 on CPU, bfloat16 on CUDA.",
        rich_help_panel=COMPUTE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "-t",
        "-@",
        "--threads",
        metavar="N",
        min=limits.THREADS.least,
        envvar="DNAHNET_THREADS",
        help="CPU threads; all physical cores unless given.",
        rich_help_panel=COMPUTE,
        show_default=False,
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(
        "--batch-size",
        metavar="auto|N",
        help="Edits computed together; trades memory for speed, and changes no score beyond rounding.",
        rich_help_panel=COMPUTE,
    ),
]
TmpDir = Annotated[
    str | None,
    typer.Option(
        "--tmpdir",
        metavar="DIR",
        help="Where temporary files go.",
        callback=_a_folder,
        rich_help_panel=COMPUTE,
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only errors on standard error.", rich_help_panel=LOGGING)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say what is used and why.", rich_help_panel=LOGGING)]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar or lines.", rich_help_panel=LOGGING)]

DEFAULT_MODEL = "dnahnet-small"
DEFAULT_CONTEXT = 1024
