"""How much left context helps, and how far behind a substitution its effect reaches: what --context and --suffix cost.

    python benchmarks/reach.py GENOME [--model NAME] [--windows 64] [--json OUT]

Windows of 8,192 bases are spread evenly over the genome's longest contig. Context: bits per base by how many bases of
the window came before. Reach: one random substitution in the middle of each window; the sum over the bases behind it of
the absolute change of log-probability, by distance, as a share of the sum over 2,048 bases; and how far the score
itself, the signed sum up to a distance, is from its value at 2,048 bases (Spearman over windows).
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from dnahnet_cli.genome import N_CODE, Codes, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.weights import DEFAULT_MODEL, find_model, load_model
from dnahnet_cli.ops.capture import Capture

LENGTH, MIDDLE, FAR = 8192, 4096, 2048
CONTEXTS = (0, 64, 128, 256, 512, 1024, 2048, 3072, 4096, 6144, 8192)
SUFFIXES = (0, 8, 16, 32, 64, 128, 256, 512, 1024, FAR)


def log_probs(network: Network, window: Codes) -> np.ndarray:
    """Return the log-probability of each base of a window."""
    token = torch.tensor([[BOS, *window[:-1].tolist()]])
    with torch.inference_mode():
        output, _ = network(token, capture=Capture.nowhere())
    values: np.ndarray = output.logits_BL4[0].log_softmax(-1).numpy()[np.arange(len(window)), window]
    return values


def windows_of(fasta: Fasta, number: int, random: np.random.Generator) -> list[Codes]:
    """Return evenly spread windows without N, each on a random strand."""
    longest = max(fasta.lengths, key=lambda name: fasta.lengths[name])
    starts = np.linspace(0, fasta.lengths[longest] - LENGTH, number).astype(int)
    windows = [fasta.codes(longest, start, start + LENGTH) for start in starts]
    windows = [reverse_complement(w) if random.random() < 0.5 else w for w in windows]
    return [w for w in windows if not (w == N_CODE).any()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    file = find_model(arguments.model)
    network = load_model(file)
    with Fasta(arguments.genome) as fasta:
        windows = windows_of(fasta, arguments.windows, random)
    reference, change = [], []
    for window in windows:
        edited = window.copy()
        edited[MIDDLE] = (window[MIDDLE] + random.integers(1, 4)) % 4
        reference.append(log_probs(network, window))
        change.append((log_probs(network, edited) - reference[-1])[MIDDLE : MIDDLE + FAR + 1])
    bits = -np.array(reference) / np.log(2)
    context = {f"{low}-{high}": float(bits[:, low:high].mean()) for low, high in itertools.pairwise(CONTEXTS)}
    changes = np.array(change)
    total = np.abs(changes[:, 1:]).sum()
    final = changes.sum(axis=1)
    reach = {
        suffix: {
            "share": float(np.abs(changes[:, 1 : suffix + 1]).sum() / total),
            "spearman": float(spearmanr(changes[:, : suffix + 1].sum(axis=1), final).statistic),
        }
        for suffix in SUFFIXES
    }
    print("| context bases | bits per base |\n| --- | ---: |")
    print("\n".join(f"| {name} | {value:.4f} |" for name, value in context.items()))
    print("\n| suffix | share of the effect | Spearman with suffix 2,048 |\n| ---: | ---: | ---: |")
    print("\n".join(f"| {s} | {100 * r['share']:.1f} % | {r['spearman']:.3f} |" for s, r in reach.items()))
    if arguments.json:
        result = {
            "model": file.name,
            "sha256": file.sha256,
            "windows": len(windows),
            "context": context,
            "reach": reach,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
