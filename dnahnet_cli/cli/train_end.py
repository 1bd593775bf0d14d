"""What comes of a run of `dnahnet train`: weights, card, picture, table and summary."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.errors import OutputError
from dnahnet_cli.networks.weights import save_weights
from dnahnet_cli.training.card import Baselines, heldout_table, make_card, promote
from dnahnet_cli.training.curve import draw
from dnahnet_cli.training.evaluation import HeldOut, markov_bits
from dnahnet_cli.training.loop import WEIGHTS, Trainer


def finish(
    trainer: Trainer,
    result: HeldOut,
    markov_order: int,
    save: str | None,
    json_summary: str | None,
    reporter: Reporter,
) -> None:
    """Write weights, card and picture, and say what came of the run."""
    config, corpus = trainer.config, trainer.corpus
    baselines: Baselines | None = None
    if markov_order and corpus.heldout:
        bits = markov_bits(corpus.train, corpus.heldout, markov_order, config.heldout_windows, config.heldout_length)
        baselines = Baselines(markov_order, bits)
    card = make_card(trainer, result, baselines)
    save_weights(trainer.model, trainer.folder / WEIGHTS, card)
    try:
        if draw(trainer.folder) is None:
            reporter.note("no picture of the loss curve: pip install 'dnahnet[plot]' draws it")
    except OutputError as error:  # the figures and the weights are worth more than their picture
        reporter.note(f"no picture of the loss curve: {error}")
    table = heldout_table(config, result, baselines)
    _print_table(table, reporter)
    summary: dict[str, Any] = {
        "command": "train",
        "steps": trainer.step,
        "bases_seen": trainer.bases_seen,
        "minutes": round(trainer.minutes, 2),
        "flops": trainer.flops,
        "heldout_bits_per_base": table,
        "boundaries": card["boundaries"],
        "peak_memory_mib": peak_memory_mib(),
    }
    if save is not None:
        seen = trainer.history.seen_of(corpus.heldout)
        promotion = promote(trainer.model, card, Path(save), corpus, config, seen)
        summary["promotion"] = {"done": promotion.done, "new": promotion.new}
        old = "nothing was there" if math.isnan(promotion.old) else f"{promotion.old:.4f} bits of what was there"
        verb = "written to" if promotion.done else "not written, no better than"
        reporter.note(f"weights {verb} {save}: {promotion.new:.4f} bits, {old}")
        if not math.isnan(promotion.old):
            summary["promotion"]["old"] = promotion.old
    write_summary(json_summary, summary)
    print(json.dumps(summary))


def _print_table(table: dict[str, Any], reporter: Reporter) -> None:
    if not table:
        reporter.note("nothing was held out, so nothing tells what the model has learned")
        return
    columns = {name: column for name, column in table.items() if isinstance(column, dict)}
    reporter.note(f"bits per base on {table['measured_on']}; uniform is 2:")
    width = max((len(name) for name in columns["network"]), default=0)
    reporter.note(f"  {'':{width}}  " + "  ".join(f"{name:>8}" for name in columns))
    for name in columns["network"]:
        reporter.note(f"  {name:{width}}  " + "  ".join(f"{column[name]:8.4f}" for column in columns.values()))
