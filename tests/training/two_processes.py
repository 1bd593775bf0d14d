"""What test_processes.py lets torchrun start twice: `two_processes.py FOLDER`, which holds `packed/` and `parts/`."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import torch

from dnahnet_cli.training.checkpoint import latest_checkpoint
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.parts import PartFolder
from dnahnet_cli.training.processes import Processes, processes
from tests.training.runs import CONFIG, trainer, watch

# Three windows for two processes, computed one at a time; then two. Ratio losses are means over each process's own
# windows, and therefore left out.
SHARED = replace(CONFIG, steps=8, ratio_weight=0.0, tokens_per_step=192, micro_tokens=64)


def begin(folder: Path, config: TrainConfig, group: Processes | None = None) -> Trainer:
    """Return a run whose second part file comes before step 1, and counts after the first row, step 3."""
    parts = PartFolder(folder / "parts")
    corpus = parts.read(["part-001.safetensors"])
    run = trainer(folder / "run", config, corpus=corpus, processes=group, more=parts)

    def arrive(step: int) -> None:
        if step == 1 and run.processes.first:
            shutil.copy(folder / "packed" / "part-002.safetensors", folder / "parts")

    watch(run, arrive)
    return run


def main(folder: Path) -> None:
    with processes("cpu") as group:
        rank = group.rank
        facts: dict[str, object] = {
            "rank": rank,
            "size": group.size,
            "first": group.first,
            "total": group.total(torch.tensor([1.0, 10.0 * rank])).tolist(),
            "agreed": group.agreed(0.1 + rank),
            "names": group.agreed_names(["a", "b"][rank:]),
        }
        run = begin(folder, SHARED, group)

        def stop(step: int) -> None:
            if step == 4 and group.first:  # between two rows of the curve, and one process alone
                run.stopped_by = 15

        watch(run, stop)
        facts["paused"] = run.run() is None
        facts["paused at"] = run.step
        genomes = [genome.name for genome in run.corpus.train]
        facts["genomes"] = genomes

        again = trainer(folder / "run", SHARED, corpus=run.corpus, processes=group)
        latest = latest_checkpoint(folder / "run")
        assert latest is not None
        again.resume(latest)
        result = again.run()
        assert result is not None
        facts["heldout"] = result.mean
        facts["parameters"] = [parameter.double().sum().item() for parameter in again.model.parameters()]
        (folder / f"rank-{rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
