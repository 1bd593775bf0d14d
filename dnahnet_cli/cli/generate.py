"""`dnahnet generate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli import limits
from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.request import Request, engine_options
from dnahnet_cli.cli.session import load_network
from dnahnet_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.genome import Codes
    from dnahnet_cli.scoring.generate import Generated

LINE_BP = 80


def generate(
    prompts: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPTS",
            help="FASTA: sequences to go on from, each on its own; bases themselves go with --prompt.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="BASES",
            help="Go on from these bases; repeatable. Without any prompt, the model begins where a contig begins.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    length: Annotated[
        int,
        typer.Option(
            "-l", "--length", metavar="N", min=limits.LENGTH.least, help="New bases.", rich_help_panel=o.SCORING
        ),
    ] = 1000,
    number: Annotated[
        int,
        typer.Option(
            "-n",
            "--number",
            metavar="N",
            min=limits.NUMBER.least,
            help="Sequences per prompt.",
            rich_help_panel=o.SCORING,
        ),
    ] = 1,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            metavar="T",
            min=limits.TEMPERATURE.least,
            help="Below 1 bolder, above 1 more random; 0 always takes the likeliest base.",
            rich_help_panel=o.SCORING,
        ),
    ] = 1.0,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p",
            metavar="P",
            help="Draw among the likeliest bases that together have this probability.",
            rich_help_panel=o.SCORING,
        ),
    ] = 1.0,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=limits.SEED.least, help="Of the drawing.", rich_help_panel=o.SCORING),
    ] = 1,
    context: o.Context = o.DEFAULT_CONTEXT,
    with_prompt: Annotated[
        bool, typer.Option("--with-prompt", help="Write the prompt before the new bases.", rich_help_panel=o.OUTPUT)
    ] = False,
    output: o.Output = "-",
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    batch_size: o.BatchSize = "auto",
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Draw new sequences from the model, base by base, as FASTA.

    The header of each says how it was drawn, and its bits per base under the model. On one machine the
    same seed, prompt and model give the same bases. Memory does not grow with the length.

    Examples:

      dnahnet generate --length 300 --number 3 --seed 7

      dnahnet generate --prompt ATGAAACGCATT --temperature 0.7 --top-p 0.9 --with-prompt

      dnahnet generate promoters.fa --number 10 -l 200 -o continued.fa
    """
    from pathlib import Path

    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.networks.weights import find_model
    from dnahnet_cli.scoring.generate import GenerateOptions
    from dnahnet_cli.scoring.generate import generate as draw

    if output.endswith((".parquet", ".tsv", ".gb", ".gbk", ".2bit")):
        raise UsageError(f"{output}: sequences are FASTA, so give a name in .fa or .fa.gz.")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request("", model, device, dtype, threads, batch_size, context, None, "forward", "none", tmpdir)
    known = _prompts(prompts, prompt or [], Path(tmpdir) if tmpdir else None)
    grid, batch = engine_options(request, 0).grid, engine_options(request, 0).batch_branches
    options = GenerateOptions(length, number, temperature, top_p, seed, batch, grid)
    place = open_output(output, forbidden=[Path(prompts)] if prompts is not None else [])
    file = find_model(model)
    network, dtype_name = load_network(file, request, reporter)
    made_by = {
        "temperature": f"{temperature:g}",
        "top_p": f"{top_p:g}",
        "seed": str(seed),
        "context": str(context),
        "dtype": dtype_name,
        "model": file.name,
        "model_sha256": file.sha256,
    }
    if not no_version:
        from dnahnet_cli import __version__

        made_by["dnahnet"] = __version__
    reporter.start("bases", len(known) * number * length)
    names, codes = list(known), list(known.values())
    bits: list[float] = []
    with place as out:
        for drawn in draw(network, codes, options, reporter.advance):
            bits.append(drawn.bits_per_base)
            before = codes[drawn.prompt] if with_prompt else codes[drawn.prompt][:0]
            out.write(_record(f"{names[drawn.prompt]}_{drawn.number + 1}", codes[drawn.prompt], before, drawn, made_by))
            out.flush()
    reporter.stop()
    seconds = reporter.seconds()
    reporter.note(
        f"{len(bits):,} sequences of {length:,} new bases, {sum(bits) / len(bits):.3f} bits per base under the model, "
        f"in {seconds:.1f} s, peak memory {peak_memory_mib():,} MiB"
    )
    summary = {"command": "generate", "sequences": len(bits), "bases": len(bits) * length}
    summary |= {"seconds": round(seconds, 3), "peak_memory_mib": peak_memory_mib(), "provenance": made_by}
    write_summary(json_summary, summary)


def _prompts(path: str | None, texts: list[str], tmpdir: object) -> dict[str, Codes]:
    """Return the prompts by name; one empty prompt where none is given."""
    from pathlib import Path

    from dnahnet_cli.genome import encode
    from dnahnet_cli.io.fasta import Fasta

    found: dict[str, Codes] = {}
    if path is not None:
        with Fasta(Path(path), tmpdir if isinstance(tmpdir, Path) else None) as fasta:
            found = {name: fasta.codes(name, 0, length) for name, length in fasta.lengths.items()}
    for number, text in enumerate(texts, 1):
        if not text or not limits.BASES.fullmatch(text):
            raise UsageError(f"--prompt {text[:60]}: expected bases, such as ATGAAACGC")
        name = f"prompt{number}"
        if name in found:
            raise InputError(
                f"{path} has a sequence named {name!r}, as the first --prompt is called: give one or the other."
            )
        found[name] = encode(text)
    return found or {"generated": encode("")}


def _record(name: str, prompt: Codes, before: Codes, drawn: Generated, made_by: Mapping[str, str]) -> str:
    """Return a FASTA record whose header says how the sequence was drawn."""
    from dnahnet_cli.genome import decode

    facts = {
        "prompt_bp": str(len(prompt)),
        "new_bp": str(len(drawn.codes)),
        "bits_per_base": f"{drawn.bits_per_base:.4f}",
    }
    header = " ".join([name, *(f"{key}={value}" for key, value in {**facts, **made_by}.items())])
    bases = decode(before) + drawn.sequence
    lines = [bases[at : at + LINE_BP] for at in range(0, len(bases), LINE_BP)]
    return "\n".join([f">{header}", *lines, ""])
