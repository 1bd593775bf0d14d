"""What the steps of a run were made on and with. Checkpoints carry it on, whatever a later call is given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch

from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.packed import Genome

_NOT_OF_STEPS: Final = ("report_steps", "checkpoint_minutes", "part_mib", "heldout_windows", "heldout_length")


def settings_of(config: TrainConfig, dtype: torch.dtype) -> dict[str, Any]:
    """Return what decides how steps are made, as JSON has it."""
    settings = {key: value for key, value in asdict(config).items() if key not in _NOT_OF_STEPS}
    found: dict[str, Any] = json.loads(json.dumps({**settings, "dtype": str(dtype).removeprefix("torch.")}))
    return found


@dataclass(frozen=True)
class History:
    """The genomes that were trained on, and the settings of each stretch of steps, all calls and machines together."""

    genomes: tuple[dict[str, Any], ...] = ()  # as in `Corpus.records`, sorted by name
    genera: frozenset[str] = frozenset()  # theirs, and those of the weights that the run began with
    stretches: tuple[dict[str, Any], ...] = ()  # settings, and `from_step`, the number of steps made before them

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> History:
        """Read what `facts` wrote. Earlier versions kept the settings of the last call alone, and no genomes."""
        settings = {key: value for key, value in facts["train"].items() if key not in _NOT_OF_STEPS}
        return cls(
            tuple(facts.get("genomes", ())),
            frozenset(facts.get("genera", ())),
            tuple(facts.get("stretches", [{"from_step": 0, **settings}])),
        )

    def facts(self) -> dict[str, Any]:
        """Return it JSON-able, for a checkpoint."""
        return {"genomes": list(self.genomes), "genera": sorted(self.genera), "stretches": list(self.stretches)}

    def trained_on(self, records: Iterable[Mapping[str, Any]]) -> History:
        """Return the history with these genomes too, each once."""
        genomes = {(record["name"], record["sha256"]): dict(record) for record in (*self.genomes, *records)}
        return History(
            tuple(genomes[key] for key in sorted(genomes)),
            self.genera | {record["genus"] for record in genomes.values()},
            self.stretches,
        )

    def made_with(self, settings: Mapping[str, Any], from_step: int) -> History:
        """Return the history with a stretch of steps made with `settings`, behind the `from_step` made before."""
        if self.stretches and self.settings == settings:
            return self
        return History(self.genomes, self.genera, (*self.stretches, {"from_step": from_step, **settings}))

    @property
    def settings(self) -> dict[str, Any]:
        """Return those of the last stretch; empty before the first step."""
        last = self.stretches[-1] if self.stretches else {}
        return {key: value for key, value in last.items() if key != "from_step"}

    def changes(self) -> list[dict[str, Any]]:
        """Return, where settings changed, `from_step` of each stretch and those that are not the same in all."""
        if len(self.stretches) < 2:
            return []
        changed = [key for key in self.settings if len({json.dumps(each.get(key)) for each in self.stretches}) > 1]
        return [{key: each.get(key) for key in ("from_step", *changed)} for each in self.stretches]

    def seen_of(self, genomes: Iterable[Genome]) -> list[str]:
        """Return the genera of `genomes` that were trained on, by this run or by the weights that it began with."""
        return sorted({genome.genus for genome in genomes} & self.genera)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], leave_out: Sequence[str] = ()) -> str:
    """Name the settings that are known and not the same, with both values; empty without any."""
    old, new = dict(_flat(before)), dict(_flat(now))
    changed = [key for key in new if key in old and old[key] != new[key] and key not in leave_out]
    return ", ".join(f"{key} {new[key]} (was {old[key]})" for key in changed)


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        yield from value.items() if isinstance(value, Mapping) else [(key, value)]
