"""Random variants of a genome as a VCF, for timing: uniform SNVs, and insertions and deletions of 1 to 20 bases.

python benchmarks/random_variants.py GENOME [--snvs 800] [--indels 200] [--seed 1] > variants.vcf
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from dnahnet_cli.genome import N_CODE, decode
from dnahnet_cli.io.fasta import Fasta

LONGEST_INDEL = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("--snvs", type=int, default=800)
    parser.add_argument("--indels", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    records: list[tuple[int, int, str, str]] = []
    with Fasta(arguments.genome) as fasta:
        names = [name for name, length in fasta.lengths.items() if length > 2 * LONGEST_INDEL]
        lengths = np.array([fasta.lengths[name] for name in names], dtype=np.float64)
        while len(records) < arguments.snvs + arguments.indels:
            contig = int(random.choice(len(names), p=lengths / lengths.sum()))
            start = int(random.integers(0, int(lengths[contig]) - LONGEST_INDEL - 1))
            codes = fasta.codes(names[contig], start, start + LONGEST_INDEL + 1)
            if (codes == N_CODE).any():
                continue
            size = int(random.integers(1, LONGEST_INDEL + 1))
            other = (codes[:1] + random.integers(1, 4)) % 4
            ref, alt = decode(codes[:1]), decode(other.astype(np.uint8))
            if len(records) >= arguments.snvs:
                inserted = decode(random.integers(0, 4, size).astype(np.uint8))
                ref, alt = (ref, ref + inserted) if random.random() < 0.5 else (decode(codes[: size + 1]), ref)
            records.append((contig, start, ref, alt))
    print("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for contig, start, ref, alt in sorted(records):
        print(f"{names[contig]}\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t.")


if __name__ == "__main__":
    main()
