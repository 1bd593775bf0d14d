"""Inputs of a page, made up: a genome, genes and results, with names that would like to be markup."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from dnahnet_cli.genome import decode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.report.build import Inputs, build
from dnahnet_cli.report.page import render
from tests.conftest import random_codes

EVIL = "<script>alert(1)</script>"
QUOTED = "x\"'><img/src=x:1/onerror=alert(2)>"
LENGTHS = {"first": 6_000, EVIL: 3_000}
MODEL = {"model": "made-up", "model_sha256": "ab" * 32}

VARIANT_COLUMNS = [
    *(Column(name, "str") for name in ("chrom", "id", "ref", "alt", "status", "gene", "consequence")),
    *(Column(name, "int") for name in ("pos", "alt_index")),
    *(Column(name, "float") for name in ("llr", "damage")),
]
GENE_COLUMNS = [
    *(Column(name, "str") for name in ("chrom", "strand", "gene", "locus_tag", "product", "status")),
    *(Column(name, "int") for name in ("start", "end", "rank", "length_bp")),
    Column("score", "float"),
]
FITNESS_COLUMNS = [*(Column(name, "str") for name in ("mutant", "status", "effect")), Column("llr", "float")]


@dataclass(frozen=True)
class MadeUp:
    """The files of a run."""

    genome: Path
    genes: Path
    variants: Path
    essentiality: Path
    chunks: Path
    track: Path
    fitness: Path

    def inputs(self, **more: Any) -> Inputs:
        return Inputs(
            genes=str(self.genes),
            variants=str(self.variants),
            essentiality=str(self.essentiality),
            chunks=str(self.chunks),
            tracks=[str(self.track)],
            fitness=[str(self.fitness)],
            **more,
        )

    def html(self, **more: Any) -> str:
        with Fasta(self.genome) as fasta:
            return render(build(fasta, self.inputs(**more)).page)


def variant_rows(number: int = 80) -> list[dict[str, Any]]:
    """Return variants all over both contigs; every tenth has no score."""
    random = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for index in range(number):
        contig = "first" if index % 3 else EVIL
        damage = float(random.normal())
        row: dict[str, Any] = {
            "chrom": contig,
            "pos": 1 + int(random.integers(LENGTHS[contig])),
            "id": ".",
            "ref": "A",
            "alt": "C",
            "alt_index": 1,
            "gene": EVIL if index % 2 else QUOTED,
            "consequence": ("missense_variant", "synonymous_variant", EVIL)[index % 3],
        }
        rows.append(
            row
            | ({"status": "ref_mismatch"} if index % 10 == 9 else {"status": "ok", "llr": -damage, "damage": damage})
        )
    return rows


def gene_rows() -> list[dict[str, Any]]:
    return [
        {
            "chrom": "first",
            "start": 1 + 600 * number,
            "end": 600 * number + 450,
            "strand": "+-"[number % 2],
            "gene": f"gen{number}{EVIL}",
            "locus_tag": f"LOC_{number}",
            "product": QUOTED,
            "status": "ok",
            "rank": number + 1,
            "length_bp": 450,
            "score": 5.0 - number,
        }
        for number in range(10)
    ]


def make_run(folder: Path) -> MadeUp:
    """Write the files of a run."""
    made = MadeUp(
        *(
            folder / name
            for name in ("genome.fa", "genes.gff", "v.tsv", "e.parquet", "chunks.bed", "t.bedgraph", "f.tsv")
        )
    )
    codes = {name: random_codes(length, seed) for seed, (name, length) in enumerate(LENGTHS.items())}
    made.genome.write_text("".join(f">{name}\n{decode(own)}\n" for name, own in codes.items()))
    lines = [
        f"first\t.\tCDS\t{row['start']}\t{row['end']}\t.\t{row['strand']}\t0\t"
        f"ID=cds{row['rank']};locus_tag={row['locus_tag']};gene=gen%3Cscript%3Ealert(3)%3C/script%3E;product=%3Cb%3E"
        for row in gene_rows()
    ]
    made.genes.write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    for path, columns, rows in (
        (made.variants, VARIANT_COLUMNS, variant_rows()),
        (made.essentiality, GENE_COLUMNS, gene_rows()),
        (made.fitness, FITNESS_COLUMNS, fitness_rows()),
    ):
        with open_table(path, columns, provenance={**MODEL, "command": f"dnahnet {EVIL}"}) as table:
            table.write(rows)
    made.chunks.write_text("".join(chunk_lines()))
    made.track.write_text(
        "#dnahnet_model=made-up\n" + "".join(f"first\t{at}\t{at + 1}\t{at % 7}\n" for at in range(6000))
    )
    return made


def fitness_rows() -> list[dict[str, Any]]:
    protein = "MKLVAS"
    return [
        {"mutant": f"{wild}{at}{new}", "effect": f"{wild}{at}{new}", "status": "ok", "llr": 0.1 * at - 0.01 * ord(new)}
        for at, wild in enumerate(protein, 1)
        for new in "ACDEFGHIKLMNPQRSTVWY"
        if new != wild
    ]


def chunk_lines() -> list[str]:
    """Return chunks of 3 bases (stage 1) and 6 bases (stage 2) on both strands."""
    lines = [f"##dnahnet_{key}={value}\n" for key, value in MODEL.items()]
    for contig, length in LENGTHS.items():
        for stage, size in ((1, 3), (2, 6)):
            lines += [
                f"{contig}\t{at}\t{at + size}\tstage{stage}\t{500 + at % 500}\t{strand}\n"
                for strand in "+-"
                for at in range(0, length, size)
            ]
    return lines


class Read(HTMLParser):
    """A page as a browser's parser sees it: the elements, and the text of scripts by their id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._open: dict[str, str | None] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._open = dict(attrs)
            self.scripts.append((self._open, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data

    def data(self) -> dict[str, Any]:
        (text,) = [text for attributes, text in self.scripts if attributes.get("id") == "data"]
        found: dict[str, Any] = json.loads(text)
        return found
