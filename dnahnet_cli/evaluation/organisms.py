"""Organisms on disk: a folder with a genome, and labels that say which of its genes are essential.

`genome.fna` is FASTA, plain or compressed. Each `labels*.tsv` is a set of labels of its own, called after what follows
`labels_`: a tab-separated table with a header line and the columns `locus_tag` and `essential` (1, 0 or empty); maybe
`accession` (the contig), `start`, `end` (1-based, inclusive) and `strand`, `biotype`, and `gene`, `product` or
`gene_or_description` in words. A gene without coordinates of its own takes those that `annotation.*` (GFF3, GTF or BED)
has for its locus tag. What cannot be used is kept with a reason.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.results import files_sha256
from dnahnet_cli.evaluation.statistics import Floats
from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import Annotation, read_genes
from dnahnet_cli.io.streams import Source, whole_number

GENOMES: Final = ("genome.fna", "genome.fna.gz")
PREFERRED: Final = "consensus"
_MISSING: Final = frozenset({"", ".", "na", "nan", "none", "null"})
_LABELS: Final = re.compile(r"labels(?:_(.+))?\.tsv")
_ACCESSION: Final = re.compile(r"(?:NZ_)?(.+?)(?:\.[0-9]+)?")


class Skip(Enum):
    """Why a labelled gene is or is not compared, in the order in which it is looked at."""

    OK = "ok"
    NO_LABEL = "no_label"
    NOT_CODING = "not_coding"
    NO_COORDINATES = "no_coordinates"
    CONTIG_NOT_FOUND = "contig_not_found"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE = "duplicate"
    TOO_SHORT = "too_short"
    NOT_DRAWN = "not_drawn"
    AMBIGUOUS_CONTEXT = "ambiguous_context"


EXPLANATION: Final = {
    Skip.NO_LABEL: "the table does not say whether the gene is essential",
    Skip.NOT_CODING: "the biotype is not protein_coding",
    Skip.NO_COORDINATES: "the table has no coordinates, and no annotation has the locus tag",
    Skip.CONTIG_NOT_FOUND: "the genome has no contig of that name",
    Skip.OUT_OF_RANGE: "the gene lies outside its contig",
    Skip.DUPLICATE: "the same gene stands further up in the table",
    Skip.TOO_SHORT: "shorter than 30 bases, no room for the stop codons",
    Skip.NOT_DRAWN: "not among those drawn by --genes",
    Skip.AMBIGUOUS_CONTEXT: "bases that are not ACGT, or the contig's end, leave nothing to compare",
}


@dataclass(frozen=True)
class LabelSet:
    """One table of labels: 1 or 0 for each of the organism's N genes, NaN for one that it does not label.

    `skipped` are rows that stand for no gene: reason, locus tag, and whether the row calls it essential.
    """

    name: str
    essential: Floats  # (N,)
    skipped: tuple[tuple[Skip, str, bool], ...]


@dataclass(frozen=True)
class Organism:
    """An organism whose N genes are those that any of its label sets has a place on the genome for.

    `sha256` is that of all files that are read, `sequence_sha256` that of the bases alone, as model cards have it.
    """

    name: str
    genome: Path
    genes: tuple[Gene, ...]
    label_sets: tuple[LabelSet, ...]
    circular: frozenset[str]
    header: str
    contigs: tuple[str, ...]
    files: tuple[Path, ...]
    sha256: str
    sequence_sha256: str

    def chosen(self, wanted: str | None = None) -> str:
        """Return the label set that stands for the organism: the one wanted, else `consensus`, else the first."""
        names = [labels.name for labels in self.label_sets]
        return next((name for name in (wanted, PREFERRED) if name in names), names[0])


def find_organisms(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of organisms: those given, or the ones in them. Raises InputError where there is none."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: give one that holds labels*.tsv, or folders that do.")
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and _label_files(path)]
        own = [folder] if _label_files(folder) else inside
        if not own:
            raise InputError(f"{folder} holds no organism: neither it nor a folder in it has a labels*.tsv.")
        found += own
    names = [path.resolve().name for path in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"two organisms are named {twice!r}: they are called after their folders, so rename one.")
    return found


def read_organism(folder: Path) -> Organism:
    """Read an organism's labels and place its genes on its genome. Raises InputError."""
    path = next((folder / name for name in GENOMES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder} has labels but no {GENOMES[0]}, plain or as .gz.")
    annotations = sorted(file for file in folder.glob("annotation.*") if file.is_file())
    if len(annotations) > 1:
        raise InputError(f"{folder} has two annotations, {annotations[0].name} and {annotations[1].name}: keep one.")
    tables = _label_files(folder)
    with Fasta(path) as genome:
        annotation = read_genes(str(annotations[0]), circles=genome.circles) if annotations else Annotation([])
        places = _Places(genome.lengths, genome.circular | annotation.circular, annotation.genes)
        read = {name: places.read(table) for name, table in tables.items()}
        digest = hashlib.sha256()
        for contig, length in genome.lengths.items():
            digest.update(genome.codes(contig, 0, length).data)
        contigs = tuple(genome.lengths)
    genes = tuple(places.genes)
    label_sets = []
    for name, (labels, skipped) in read.items():
        essential = np.full(len(genes), math.nan)
        essential[list(labels)] = list(labels.values())
        label_sets.append(LabelSet(name, essential, tuple(skipped)))
    files = (path, *annotations, *tables.values())
    with Source(path) as source:
        header = next(line for _, line in source.lines()).decode("utf-8", "replace").strip()
    return Organism(
        folder.resolve().name,
        path,
        genes,
        tuple(label_sets),
        places.circular & genome.lengths.keys(),
        header,
        contigs,
        files,
        files_sha256(files),
        digest.hexdigest(),
    )


def training_match(organism: Organism, card: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return how a model's training met an organism, and the genome it was: `genome`, `genus`, or None.

    `genome` is a training genome of the same bases, or under the same accession; `genus` one whose genus is named in
    the folder's name or in the first FASTA header. None says that the card lists nothing of the kind: no proof.
    """
    data = card.get("data")
    records = [record for record in (data or {}).get("manifest", []) if record.get("split") == "train"]
    own = {_bare(contig) for contig in organism.contigs}
    for record in records:
        accessions = {_bare(name) for name in str(record.get("accession") or "").split(";") if name}
        if record.get("sha256") == organism.sequence_sha256 or own & accessions:
            return "genome", str(record["name"])
    words = set(re.split(r"[\W_]+", f"{organism.name} {organism.header}".lower()))
    for record in records:
        if str(record.get("genus")).lower() in words:
            return "genus", str(record["name"])
    return None


def _bare(accession: str) -> str:
    """Return an accession without RefSeq's prefix for INSDC records and without its version."""
    found = _ACCESSION.fullmatch(accession)
    return found[1] if found else accession


class _Places:
    """The genes that label sets name, each once, as they are met."""

    def __init__(self, lengths: Mapping[str, int], circular: frozenset[str], annotated: Sequence[Gene]) -> None:
        self.lengths, self.circular = lengths, circular
        self.annotated = {gene.locus_tag: gene for gene in annotated}
        self.genes: list[Gene] = []
        self._index: dict[tuple[str, str, Strand, int, int], int] = {}

    def read(self, path: Path) -> tuple[dict[int, float], list[tuple[Skip, str, bool]]]:
        """Return the labels of a table by the gene's number, and what was skipped."""
        labels: dict[int, float] = {}
        skipped = []
        for line, row in _read_table(path):
            where = f"{path}:{line}"
            locus = row["locus_tag"].strip() or f"line {line}"
            text = row["essential"].strip().lower()
            if text not in _MISSING and text not in ("0", "1"):
                raise InputError(f"{where} calls {locus} {text!r}: essential must be 1, 0 or empty.")
            found = Skip.NO_LABEL if text in _MISSING else self._place(where, locus, row)
            if isinstance(found, int) and found in labels:
                found = Skip.DUPLICATE
            if isinstance(found, Skip):
                skipped.append((found, locus, text == "1"))
            else:
                labels[found] = float(text)
        return labels, skipped

    def _place(self, where: str, locus: str, row: Mapping[str, str]) -> int | Skip:
        if row.get("biotype", "").strip().lower() not in {"protein_coding", "cds", *_MISSING}:
            return Skip.NOT_CODING
        gene = self._from_table(where, locus, row) or self.annotated.get(locus)
        if gene is None:
            return Skip.NO_COORDINATES
        length = self.lengths.get(gene.contig)
        if length is None:
            return Skip.CONTIG_NOT_FOUND
        if gene.start >= length or gene.end > length * (2 if gene.contig in self.circular else 1):
            return Skip.OUT_OF_RANGE
        key = (locus, gene.contig, gene.strand, gene.start, gene.end)
        if key not in self._index:
            self._index[key] = len(self.genes)
            self.genes.append(gene)
        return self._index[key]

    def _from_table(self, where: str, locus: str, row: Mapping[str, str]) -> Gene | None:
        cells = [row.get(name, "").strip() for name in ("start", "end", "strand")]
        if any(cell.lower() in _MISSING for cell in cells):
            return None
        first, last, strand = cells
        start, end = whole_number(first), whole_number(last)
        if start is None or end is None or not 1 <= start <= end or strand not in ("+", "-"):
            raise InputError(
                f"{where} places {locus} at {first!r} to {last!r}, strand {strand!r}: start and end are whole numbers "
                "from 1 up, in order, and the strand + or -."
            )
        contig = row.get("accession", "").strip()
        if contig.lower() in _MISSING:
            if len(self.lengths) > 1:
                raise InputError(f"{where} gives {locus} no accession, and the genome has {len(self.lengths)} contigs.")
            contig = next(iter(self.lengths))
        known = self.annotated.get(locus)
        name = row.get("gene", "").strip() or (known.name if known else "") or locus
        words = [row.get("gene_or_description", ""), row.get("product", ""), known.product if known else ""]
        product = next((text.strip() for text in words if text.strip()), "")
        return Gene(contig, Strand(strand), ((start - 1, end),), name, locus, product)


def _label_files(folder: Path) -> dict[str, Path]:
    """Return the tables of labels by the name of their set, in alphabetical order."""
    found = {path: _LABELS.fullmatch(path.name) for path in sorted(folder.glob("labels*.tsv"))}
    return {match[1] or "labels": path for path, match in found.items() if match}


def _read_table(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """Return the rows with their line numbers; empty lines and those with ## in front are none."""
    with Source(path) as source:
        lines = [(number, line.decode("utf-8", "replace").rstrip("\r\n")) for number, line in source.lines()]
    lines = [(number, line) for number, line in lines if line.strip() and not line.startswith("##")]
    if len(lines) < 2:
        raise InputError(f"{path} has no rows.")
    names = [name.strip().lower() for name in lines[0][1].split("\t")]
    missing = [name for name in ("locus_tag", "essential") if name not in names]
    if missing:
        raise InputError(f"{path} has no column {' and no '.join(missing)}; it has {', '.join(names)}.")
    rows: list[tuple[int, Mapping[str, str]]] = []
    for number, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(names):
            raise InputError(f"{path}:{number} has {len(cells)} columns, the header {len(names)}.")
        rows.append((number, dict(zip(names, cells, strict=True))))
    return rows
