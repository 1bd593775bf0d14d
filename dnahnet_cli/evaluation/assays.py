"""Assays on disk: a folder with what was measured of the mutants of one protein, or of variants of a stretch of DNA.

`variants.tsv` is a tab-separated table with a header line, and comes in three forms.

- Mutants of a protein: `mutant`, such as M69L or A42G:E104K, and `dms_score`, higher is fitter; maybe `dms_score_bin`,
  1 for fit and 0 for unfit. `protein.faa` is what residues are numbered on, `cds.fna` the coding bases in reading
  direction, `region.fna` the same within their flanks. Without coding bases nothing can be scored, which is a status.
- Variants: `pos` (1-based), `ref`, `alt` and `score` on `region.fna`; maybe `score_bin`.
- Variants of several bases at once: `variant`, such as A12G:C30T, in place of `pos`, `ref` and `alt`.

`genome.fna`, if it is there, is what the Markov model beside the scores learns from, instead of the region.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.results import files_sha256
from dnahnet_cli.evaluation.statistics import Floats
from dnahnet_cli.genome import Variant
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.mutants import read_protein
from dnahnet_cli.io.streams import Source, whole_number
from dnahnet_cli.scoring.proteins import CodingSequence, find_coding

VARIANTS, PROTEIN, CODING, REGION, GENOME = "variants.tsv", "protein.faa", "cds.fna", "region.fna", "genome.fna"
_MISSING: Final = frozenset({"", "na", "nan", "none", "null"})
_BASE_CHANGE: Final = re.compile(r"([ACGT])([1-9][0-9]{0,8})([ACGT])")


@dataclass(frozen=True)
class Assay:
    """One assay of N mutants, in the order of its table. What was not measured is NaN.

    `protein` names what is averaged over first: assays of one protein share it. `variants` is None for mutants of a
    protein; otherwise the changes of each row, none for a text that says none. `sha256` is that of all files that are
    read, `dna_sha256` of those but the table: assays that share it have the same score for the same mutant.
    """

    name: str
    protein: str
    folder: Path
    mutants: tuple[str, ...]
    measured: Floats  # (N,)
    positive: Floats  # (N,), 1 or 0
    variants: tuple[tuple[Variant, ...], ...] | None
    residues: str | None
    sha256: str
    dna_sha256: str

    @property
    def dna(self) -> Path | None:
        """Return the FASTA file in which mutants become edits, or None where there is none."""
        files = [self.folder / REGION] + ([self.folder / CODING] if self.variants is None else [])
        if self.variants is None and not (self.folder / CODING).is_file():
            return None
        return next(path for path in files if path.is_file())

    @property
    def files(self) -> list[Path]:
        """Return the files that are read."""
        return list(_files(self.folder))

    @property
    def own_genome(self) -> Path | None:
        """Return the FASTA file that the Markov model learns from when there is more than the region."""
        path = self.folder / GENOME
        return path if path.is_file() else None

    def coding(self, region: Fasta) -> CodingSequence:
        """Lay the protein over its coding bases in `region`, which is the open `dna`. Raises InputError."""
        with Fasta(self.folder / CODING) as cds:
            if len(cds.lengths) != 1:
                raise InputError(f"{cds.path} holds {len(cds.lengths)} sequences, not one.")
            ((name, length),) = cds.lengths.items()
            gene = find_coding(region, cds.codes(name, 0, length), self.protein)
        return CodingSequence.of(region, gene, self.residues)


def find_assays(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of assays: those given, or the ones in them. Raises InputError where there is none."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: give one that holds {VARIANTS}, or folders that do.")
        own = (
            [folder] if (folder / VARIANTS).is_file() else sorted(path.parent for path in folder.glob(f"*/{VARIANTS}"))
        )
        if not own:
            raise InputError(f"{folder} holds no assay: neither it nor a folder in it has a {VARIANTS}.")
        found += own
    names = [path.resolve().name for path in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"two assays are named {twice!r}: assays are called after their folders, so rename one.")
    return found


def read_assay(folder: Path) -> Assay:
    """Read an assay, and check that protein, coding bases and region fit each other. Raises InputError."""
    path = folder / VARIANTS
    columns, rows = _read_table(path)
    name = folder.resolve().name
    if {"mutant", "dms_score"} <= columns:
        mutants = tuple(row["mutant"].strip() for _, row in rows)
        variants: tuple[tuple[Variant, ...], ...] | None = None
        score, label = "dms_score", "dms_score_bin"
    elif {"pos", "ref", "alt", "score"} <= columns:
        contig = _only_contig(folder / REGION)
        variants = tuple((_variant(path, line, contig, row),) for line, row in rows)
        mutants = tuple(f"{v.start + 1}:{v.ref}>{v.alt}" for (v, *_) in variants)
        score, label = "score", "score_bin"
    elif {"variant", "score"} <= columns:
        contig = _only_contig(folder / REGION)
        mutants = tuple(row["variant"].strip().upper() for _, row in rows)
        variants = tuple(_base_changes(contig, text) for text in mutants)
        score, label = "score", "score_bin"
    else:
        raise InputError(
            f"{path} has neither the columns mutant and dms_score, nor variant and score, nor pos, ref, alt and "
            f"score; it has {', '.join(sorted(columns))}."
        )
    if not rows:
        raise InputError(f"{path} has a header and no rows.")
    measured = np.array([_number(path, line, row, score) for line, row in rows])
    positive = np.array([_number(path, line, row, label) if label in columns else math.nan for line, row in rows])
    if not np.isin(positive[~np.isnan(positive)], (0, 1)).all():
        raise InputError(f"{path}: {label} holds values other than 0 and 1.")
    residues, header = read_protein(folder / PROTEIN) if (folder / PROTEIN).is_file() else (None, "")
    protein = next((text for _, row in rows if (text := row.get("protein", "").strip())), header or name)
    digests = files_sha256(_files(folder)), files_sha256(path for path in _files(folder) if path.name != VARIANTS)
    assay = Assay(name, protein, folder, mutants, measured, positive, variants, residues, *digests)
    if variants is None and assay.dna is not None:
        with Fasta(assay.dna) as region:
            assay.coding(region)
    return assay


def read_peers(path: Path) -> tuple[str, dict[str, dict[str, float]]]:
    """Read published values: the statistic's name, and for each assay the value of each model. Raises InputError.

    The columns are `dms_id`, `model`, and one of spearman, auc and ndcg, in any order and among others.
    """
    columns, rows = _read_table(path)
    statistic = next((name for name in ("spearman", "auc", "ndcg") if name in columns), None)
    if statistic is None or not {"dms_id", "model"} <= columns:
        raise InputError(f"{path} lacks columns: dms_id, model, and one of spearman, auc, ndcg are needed.")
    peers: dict[str, dict[str, float]] = {}
    for line, row in rows:
        value = _number(path, line, row, statistic)
        if not math.isnan(value):
            peers.setdefault(row["dms_id"], {})[row["model"]] = value
    return statistic, peers


def _read_table(path: Path) -> tuple[set[str], Sequence[tuple[int, Mapping[str, str]]]]:
    """Return the columns, in lower case, and the rows with their line numbers; lines with ## in front are not read."""
    with Source(path) as source:
        lines = [(number, line.decode("utf-8", "replace").rstrip("\r\n")) for number, line in source.lines()]
    lines = [(number, line) for number, line in lines if line.strip() and not line.startswith("##")]
    if not lines:
        raise InputError(f"{path} is empty.")
    names = [name.strip().strip('"').lstrip("#").lower() for name in lines[0][1].split("\t")]
    rows = []
    for number, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(names):
            raise InputError(f"{path}:{number} has {len(cells)} columns, the header {len(names)}.")
        rows.append((number, dict(zip(names, cells, strict=True))))
    return set(names), rows


def _number(path: Path, line: int, row: Mapping[str, str], column: str) -> float:
    text = row[column].strip()
    if text.lower() in _MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(f"{path}:{line} has the {column} {text!r}, which is not a number.")
    return value


def _variant(path: Path, line: int, contig: str, row: Mapping[str, str]) -> Variant:
    position = row["pos"].strip()
    number = whole_number(position)
    if number is None:
        raise InputError(f"{path}:{line} has the position {position!r}, which is not a whole number from 1 up.")
    return Variant(contig, number - 1, row["ref"].strip().upper(), row["alt"].strip().upper())


def _base_changes(contig: str, text: str) -> tuple[Variant, ...]:
    """Return the single-base changes of a text such as A12G:C30T; none if it is no such text, or repeats a place."""
    found = [_BASE_CHANGE.fullmatch(part) for part in text.split(":")]
    changes = {int(m[2]): Variant(contig, int(m[2]) - 1, m[1], m[3]) for m in found if m and m[1] != m[3]}
    return tuple(changes[place] for place in sorted(changes)) if len(changes) == len(found) else ()


def _only_contig(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path} does not exist: variants with pos, ref and alt need the DNA that they are in.")
    with Fasta(path) as region:
        if len(region.lengths) != 1:
            raise InputError(f"{path} holds {len(region.lengths)} sequences, not one.")
        return next(iter(region.lengths))


def _files(folder: Path) -> Iterator[Path]:
    return (folder / name for name in (VARIANTS, PROTEIN, CODING, REGION, GENOME) if (folder / name).is_file())
