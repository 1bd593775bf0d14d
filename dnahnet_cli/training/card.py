"""The model card: where weights come from and what they reach on species they have not seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dnahnet_cli import __version__
from dnahnet_cli.training.corpus import Genome
from dnahnet_cli.training.loop import Trainer


def make_card(trainer: Trainer, train: Sequence[Genome], heldout_bits: dict[str, float]) -> dict[str, Any]:
    """Return a JSON-able card of a finished run. `heldout_bits` are bits per base over fixed windows."""
    names = sorted(genome.name for genome in train)
    return {
        "description": "dnaHNet, a hierarchical nucleotide language model with learned chunking (arXiv 2602.10603)",
        "note": "an independent implementation: not the weights or the figures of the paper's authors",
        "dnahnet_version": __version__,
        "config": json.loads(trainer.model.config.to_json()),
        "training": {
            **asdict(trainer.config),
            "steps": trainer.step,
            "bases_seen": trainer.bases_seen,
            "minutes": round(trainer.minutes_before, 1),
            "device": trainer.device,
        },
        "data": {
            "genomes": len(train),
            "genera": len({genome.genus for genome in train}),
            "bases": sum(genome.length for genome in train),
            "sha256_of_names": hashlib.sha256("\n".join(names).encode()).hexdigest(),
            "split": "held out by species: no genus of the held-out species occurs in training",
        },
        "heldout_bits_per_base": {
            "windows": f"{trainer.config.heldout_windows} of {trainer.config.heldout_length} bases per species",
            "mean": sum(heldout_bits.values()) / len(heldout_bits),
            **heldout_bits,
        },
    }
