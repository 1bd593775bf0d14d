"""`dnahnet models`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.errors import ModelError, presentable

if TYPE_CHECKING:
    from dnahnet_cli.networks.weights import ModelFile

Told = TypeVar("Told")


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|PATH", help="Describe this one: bundled, or a .safetensors file.", show_default=False
        ),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Print the whole card as JSON.", rich_help_panel=o.OUTPUT)
    ] = False,
) -> None:
    """List the bundled models, or describe one: size, bases seen, held-out bits per base beside Markov, licence.

    Checksums are verified. Bits per base are those of the card, as measured after training: lower is better, uniform
    guessing has 2.

    Examples:

      dnahnet models

      dnahnet models dnahnet-tiny

      dnahnet models dnahnet-small --card > card.json
    """
    from dnahnet_cli.networks.weights import DEFAULT_MODEL, bundled_models, find_model

    if name is None and not card:
        print("name", "default", "parameters", "bases_seen", "bits_per_base", "markov9", "sha256", sep="\t")
        for known in bundled_models():
            facts = _of_card(_facts, find_model(known))
            default = "true" if known == DEFAULT_MODEL else "false"
            print(known, default, *(_cell(value) for value in facts.values()), sep="\t")
        return
    file = find_model(name or DEFAULT_MODEL)
    print(json.dumps(file.card, indent=2) if card else presentable("\n".join(_of_card(_description, file))))


def _of_card(told: Callable[[ModelFile], Told], file: ModelFile) -> Told:
    """Return what is told of a model. Raises ModelError for a card whose entries are of another kind."""
    try:
        return told(file)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"{file.path.with_suffix('.json')}: an entry of the model card is missing or of another kind: {error}.\n"
            "--card prints all of it."
        ) from error


def _facts(file: ModelFile) -> dict[str, Any]:
    """Return the columns of the list; None where a card does not say."""
    card: Mapping[str, Any] = file.card
    heldout = card.get("heldout_bits_per_base", {})
    return {
        "parameters": card.get("parameters"),
        "bases_seen": card.get("training", {}).get("bases_seen"),
        "bits_per_base": heldout.get("network", {}).get("mean"),
        "markov9": heldout.get("markov9", {}).get("mean"),
        "sha256": file.sha256,
    }


def _beginning(record: Mapping[str, Any]) -> str:
    name = record.get("model") or record.get("checkpoint")
    return f"{name} ({record['bases_seen']:,} bases seen)" if record.get("bases_seen") else f"{name}"


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _description(file: ModelFile) -> list[str]:
    card, facts = file.card, _facts(file)
    training, data, heldout = (card.get(key, {}) for key in ("training", "data", "heldout_bits_per_base"))
    lines = [f"{file.name}: {card.get('description', 'no description')}"]
    entries: list[tuple[str, Any]] = [
        ("file", file.path),
        ("sha256", f"{file.sha256} (as the card says)"),
        ("licence", card.get("licence")),
        ("parameters", f"{facts['parameters']:,}" if facts["parameters"] else None),
        ("layout", json.dumps(card.get("config", {}).get("layout")) if "config" in card else None),
        ("widths", card.get("config", {}).get("widths")),
        ("trained on", f"{data['genomes']} genomes of {data.get('genera', '?')} genera" if "genomes" in data else None),
        ("held out", data.get("split")),
        ("bases seen", f"{facts['bases_seen']:,}" if facts["bases_seen"] else None),
        ("begun from", _beginning(training["begun_from"]) if training.get("begun_from") else None),
        (
            "training",
            f"{training['minutes_spent']:.0f} minutes on {training.get('hardware', '?')}"
            if "minutes_spent" in training
            else None,
        ),
        ("limits", card.get("limits")),
        ("note", card.get("note")),
    ]
    lines += [f"  {key:12} {value}" for key, value in entries if value is not None]
    network, markov = heldout.get("network", {}), heldout.get("markov9", {})
    if network:
        lines.append(f"  held-out bits per base ({heldout.get('measured_on', 'see the card')}):")
        lines.append(f"    {'model':>8} {'order 9':>8}")
        for species, bits in network.items():
            lines.append(f"    {bits:8.4f} {_cell(markov.get(species)):>8}  {species}")
    for number, stage in enumerate(card.get("boundaries", []), 1):
        lines.append(
            f"  stage {number}: {stage['bases_per_chunk']} bases per chunk, cuts at {stage['cuts']:.1%} of its places"
        )
    return lines
