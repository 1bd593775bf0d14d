"""Made-up organisms on disk: a random genome with genes on both strands, and labels of them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dnahnet_cli.genome import decode
from tests.conftest import random_codes

HEADER = "locus_tag\tgene\taccession\tstart\tend\tstrand\tessential"


def places_of(number: int) -> list[tuple[int, int, str]]:
    """Return 1-based places of genes, 60 to 180 bases long, 20 bases apart, on alternating strands."""
    places, at = [], 101
    for index in range(number):
        length = 60 + 30 * (index % 5)
        places.append((at, at + length - 1, "+-"[index % 2]))
        at += length + 20
    return places


def label_of(index: int, seed: int) -> int:
    return int(np.random.default_rng([seed, index]).random() < 0.4)


def label_rows(number: int, seed: int, contig: str = "chr") -> list[str]:
    return [
        f"g{at:03}\trps{'ABCDEFGHIJKLMNOPQRST'[at]}\t{contig}\t{start}\t{end}\t{strand}\t{label_of(at, seed)}"
        if at < 12
        else f"g{at:03}\tabc{at}\t{contig}\t{start}\t{end}\t{strand}\t{label_of(at, seed)}"
        for at, (start, end, strand) in enumerate(places_of(number))
    ]


def write_organism(
    folder: Path,
    seed: int = 1,
    number: int = 30,
    *,
    sets: Sequence[str] = ("labels.tsv",),
    more_rows: Sequence[str] = (),
    rows: Sequence[str] | None = None,
    header: str = HEADER,
    compressed: bool = False,
    title: str = "chr made up",
) -> Path:
    """Write an organism; `more_rows` are further lines of each table of labels, `rows` all of them."""
    folder.mkdir(parents=True)
    fasta = f">{title}\n{decode(random_codes(places_of(number)[-1][1] + 200, seed))}\n".encode()
    if compressed:
        (folder / "genome.fna.gz").write_bytes(gzip.compress(fasta))
    else:
        (folder / "genome.fna").write_bytes(fasta)
    for at, name in enumerate(sets):
        lines = label_rows(number, seed + at) if rows is None else list(rows)
        (folder / name).write_text("\n".join([header, *lines, *more_rows]) + "\n")
    return folder


def write_annotation(folder: Path, number: int) -> None:
    """Write the genes of an organism as GFF3."""
    lines = [
        f"chr\tmade\tCDS\t{start}\t{end}\t.\t{strand}\t0\tID=cds{at};locus_tag=g{at:03};product=made up {at}"
        for at, (start, end, strand) in enumerate(places_of(number))
    ]
    (folder / "annotation.gff").write_text("\n".join(["##gff-version 3", *lines]) + "\n")
