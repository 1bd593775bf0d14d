"""Small made-up assays on disk: a random gene in random flanks, measurements with a known tie to the mutant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dnahnet_cli.evaluation.baselines import blosum62
from dnahnet_cli.genome import decode
from dnahnet_cli.scoring.proteins import AMINO_ACID_OF, Mutation, translate
from tests.conftest import random_codes

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
FLANK, NUM_RESIDUES = 150, 40


def gene_codes(seed: int) -> np.ndarray:
    """Return the codes of a random open reading frame in its flanks, (2 * FLANK + 3 * NUM_RESIDUES,)."""
    random = np.random.default_rng(seed)
    codons = [codon for codon, residue in AMINO_ACID_OF.items() if residue != "*"]
    bases = "ATG" + "".join(random.choice(codons) for _ in range(NUM_RESIDUES - 1))
    codes = random_codes(2 * FLANK + 3 * NUM_RESIDUES, seed)
    codes[FLANK:-FLANK] = np.array(["ACGT".index(base) for base in bases])
    return codes


def protein_of(seed: int) -> str:
    return translate(gene_codes(seed)[FLANK:-FLANK])


def mutants_of(seed: int, number: int) -> list[str]:
    """Return so many single substitutions of the gene of that seed."""
    random, protein = np.random.default_rng(seed + 1000), protein_of(seed)
    everything = [f"{wild}{at + 1}{new}" for at, wild in enumerate(protein) if at for new in RESIDUES if new != wild]
    return [everything[at] for at in random.permutation(len(everything))[:number]]


def measured_of(mutant: str, seed: int) -> float:
    """Return a measurement that follows BLOSUM62, with noise of the mutant's own."""
    noise = np.random.default_rng([seed, *mutant.encode()]).normal()
    return round(blosum62(Mutation.parse(mutant).residues) + noise, 3)


def write_assay(
    folder: Path,
    seed: int = 1,
    number: int = 40,
    *,
    dna: bool = True,
    protein: str | None = None,
    more_rows: Sequence[str] = (),
    noise: int = 0,
) -> Path:
    """Write an assay; `more_rows` are further lines of its table."""
    folder.mkdir(parents=True)
    codes, name = gene_codes(seed), protein or f"P{seed}"
    rows = ["mutant\tdms_score\tdms_score_bin"]
    for mutant in mutants_of(seed, number):
        value = measured_of(mutant, noise)
        rows.append(f"{mutant}\t{value}\t{int(value > -1)}")
    (folder / "variants.tsv").write_text("\n".join([*rows, *more_rows]) + "\n")
    (folder / "protein.faa").write_text(f">{name} made up\n{protein_of(seed)}\n")
    if dna:
        (folder / "cds.fna").write_text(f">cds\n{decode(codes[FLANK:-FLANK])}\n")
        (folder / "region.fna").write_text(f">region\n{decode(codes)}\n")
    return folder


def write_variants(folder: Path, seed: int = 1, number: int = 40, more_rows: Sequence[str] = ()) -> Path:
    """Write an assay of single-base variants of the same region."""
    folder.mkdir(parents=True)
    codes, random = gene_codes(seed), np.random.default_rng(seed)
    rows = ["pos\tref\talt\tscore"]
    for at in random.permutation(len(codes))[:number]:
        alt = (codes[at] + random.integers(1, 4)) % 4
        rows.append(f"{at + 1}\t{decode(codes[[at]])}\t{'ACGT'[alt]}\t{random.normal():.3f}")
    (folder / "variants.tsv").write_text("\n".join([*rows, *more_rows]) + "\n")
    (folder / "region.fna").write_text(f">region\n{decode(codes)}\n")
    return folder
