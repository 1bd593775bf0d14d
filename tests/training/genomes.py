"""Small genomes, and files of them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from dnahnet_cli.genome import Codes, decode
from dnahnet_cli.training.packed import Genome
from tests.conftest import random_codes

N = 4


def genome(genus: str, *lengths: int, seed: int = 0, name: str = "") -> Genome:
    """Return a genome of random contigs."""
    contigs = [random_codes(length, seed + 100 * index) for index, length in enumerate(lengths)]
    return Genome(name or f"{genus} sp.", genus, contigs)


def write_fasta(path: Path, *contigs: Codes) -> Path:
    """Write a FASTA of the contigs c0, c1, and so on."""
    path.write_text("".join(f">c{index}\n{decode(codes)}\n" for index, codes in enumerate(contigs)))
    return path


def write_2bit(path: Path, name: str, codes: Codes) -> Path:
    """Write one sequence in UCSC's 2bit format: T C A G are 0 1 2 3, N is A within a block of Ns."""
    unknown = np.flatnonzero(np.diff(np.concatenate([[0], codes == N, [0]])))
    starts, ends = unknown[::2], unknown[1::2]
    bits = np.array([2, 1, 3, 0, 0])[codes]
    bits = np.concatenate([bits, np.zeros(-len(bits) % 4, dtype=int)]).reshape(-1, 4)
    packed = (bits * [64, 16, 4, 1]).sum(1).astype(np.uint8).tobytes()
    head = struct.pack("<4I", 0x1A412743, 0, 1, 0) + bytes([len(name)]) + name.encode()
    record = struct.pack("<2I", len(codes), len(starts))
    record += np.concatenate([starts, ends - starts]).astype("<u4").tobytes() + struct.pack("<2I", 0, 0) + packed
    path.write_bytes(head + struct.pack("<I", len(head) + 4) + record)
    return path
