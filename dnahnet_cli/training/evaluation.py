"""What a network reaches on held-out genomes, over fixed windows: bits per base, and where it cuts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.model.chunking import boundary_rates
from dnahnet_cli.model.config import NUM_BASES
from dnahnet_cli.model.network import Network
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.training.packed import Genome
from dnahnet_cli.training.sampler import heldout_windows, to_batch


@dataclass(frozen=True)
class HeldOut:
    """Bits per base by genome, and per stage the share of cuts F and the mean boundary probability G."""

    bits: dict[str, float]
    cuts: tuple[float, ...]
    probabilities: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean bits per base over genomes, each counting once; NaN without any."""
        return sum(self.bits.values()) / len(self.bits) if self.bits else math.nan


@torch.no_grad()
def evaluate(model: Network, genomes: Sequence[Genome], num_windows: int, length: int) -> HeldOut:
    """Evaluate on `num_windows` windows of `length` bases of each genome; each window begins without context."""
    device = next(model.parameters()).device
    bits, rates = {}, []
    for genome in genomes:
        batch = to_batch(heldout_windows(genome, num_windows, length))
        targets = torch.from_numpy(batch.targets).to(device).flatten()
        output, _ = model(torch.from_numpy(batch.tokens).to(device), capture=Capture.nowhere(device))
        nats = F.cross_entropy(output.logits_BL4.flatten(0, 1), targets, ignore_index=NUM_BASES, reduction="sum")
        bits[genome.name] = float(nats) / int((targets < NUM_BASES).sum()) / math.log(2)
        rates.append([[float(rate) for rate in boundary_rates(trace)] for trace in output.traces])
    if not rates:
        return HeldOut({}, (), ())
    cuts, probabilities = np.mean(rates, axis=0).reshape(-1, 2).T
    return HeldOut(bits, tuple(cuts.tolist()), tuple(probabilities.tolist()))


def markov_bits(
    train: Sequence[Genome], heldout: Sequence[Genome], order: int, num_windows: int, length: int
) -> dict[str, float]:
    """Return the bits per base of the same windows under an order-`order` Markov model of the training genomes.

    Unlike the network it reads on from a window's first base with the context that it lacks taken as unknown.
    """
    model = MarkovModel.fit((contig for genome in train for contig in genome.contigs), order)
    bits = {}
    for genome in heldout:
        log_probs = np.concatenate([model.log_probs(window) for window in heldout_windows(genome, num_windows, length)])
        bits[genome.name] = -float(np.nanmean(log_probs, dtype=np.float64)) / math.log(2)
    return bits
