"""Read what to train on: manifests, FASTA and 2bit files, part files, and folders of them."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, encode
from dnahnet_cli.io.streams import Source, describe, name_some
from dnahnet_cli.training.packed import Corpus, Genome, Packed, check_held_out, check_names
from dnahnet_cli.training.parts import ABOUT, PART_FILES, PartFolder, read_part
from dnahnet_cli.training.sampler import Batch, Sampler, heldout_windows, to_batch

__all__ = [
    "Batch",
    "Corpus",
    "Genome",
    "PartFolder",
    "Sampler",
    "check_held_out",
    "heldout_windows",
    "read_corpus",
    "read_genome",
    "read_manifest",
    "to_batch",
]

MANIFEST: Final = "manifest.tsv"
SPLITS: Final = ("train", "val")

_GENOME_SUFFIX: Final = re.compile(r"\.(2bit|(fa|fasta|fna|fas|fsa)(\.b?gz)?)$", re.IGNORECASE)
_GENUS: Final = re.compile(r"([A-Z][a-z]+)[_\s.-]")
_TWOBIT_SIGNATURE: Final = bytes.fromhex("4327411a")


@dataclass(frozen=True)
class _Entry:
    """A genome that is going to be read."""

    name: str
    genus: str
    split: str
    path: Path
    read: Callable[[], Genome]

    @property
    def origin(self) -> str:
        return str(self.path)


def read_corpus(
    sources: Sequence[Path],
    heldout: Sequence[str] = (),
    *,
    need_heldout: bool = True,
    advance: Callable[[int], None] = lambda num_bases: None,
) -> Corpus:
    """Read genomes from manifests, FASTA, 2bit and part files, and folders; `advance` hears of bases as they come.

    `heldout` names genomes or files to hold out, beside those that manifests and parts say; files that are not among
    the sources are read as well. Without a manifest a genome is named after its file, and its genus is the first
    word of that name, if it looks like one (`Escherichia_coli_K12.fa`); otherwise it is its own genus.

    Raises InputError for what cannot be read, a name given twice, a genus on both sides, nothing to train on, or
    nothing held out when `need_heldout`. All but what is inside a file is checked before any sequence is read.
    """
    entries = [entry for source in sources for entry in _entries(source)]
    for wanted in heldout:
        entries = _hold_out(entries, wanted)
    check_names(entries)
    train, val = ([entry for entry in entries if entry.split == split] for split in SPLITS)
    check_held_out(train, val)
    if not train:
        raise InputError(f"no genome to train on in {_list(sources)}" + (": all are held out" if val else ""))
    if need_heldout and not val:
        raise InputError(
            f"no genome is held out in {_list(sources)}, so nothing would tell what the model has learned.\n"
            "Name some with --heldout, or give them the split val in a manifest; --no-heldout goes without."
        )

    def read(entry: _Entry) -> Genome:
        genome = entry.read()
        advance(genome.length)
        return genome

    return Corpus(tuple(map(read, train)), tuple(map(read, val)))


def read_manifest(path: Path, split: str) -> list[Genome]:
    """Read the genomes that a manifest (TSV with columns name, genus, split, file) lists under `split`."""
    genomes = [entry.read() for entry in _manifest(path) if entry.split == split]
    if not genomes:
        raise InputError(f"{path}: no genome in split {split!r}")
    return genomes


def read_genome(path: Path, name: str, genus: str, about: Mapping[str, str] | None = None) -> Genome:
    """Read a 2bit file or a FASTA (plain or compressed) whole; contigs without bases are left out.

    Raises InputError, also for a file that holds no bases, or other letters than those of nucleotides.
    """
    kind = _kind(path)
    if kind not in ("2bit", "FASTA"):
        raise InputError(f"{path} is a {kind} file where a genome is expected, FASTA or 2bit")
    read = _twobit_contigs if kind == "2bit" else _fasta_contigs
    with closing(read(path)) as found:
        contigs = [Packed.pack([_checked(codes, path, contig)]) for contig, codes in found if len(codes)]
    if not contigs:
        raise InputError(f"{path} holds no bases: its records are empty")
    return Genome(name, genus, Packed.joined(contigs), about, str(path))


# --- which genomes there are ---


def _entries(source: Path) -> list[_Entry]:
    """Return the genomes of a source given by the user."""
    if source.is_dir():
        if (source / MANIFEST).is_file():
            return _manifest(source / MANIFEST)
        files = sorted(path for path in source.iterdir() if _is_genome_file(path))
        if not files:
            raise InputError(
                f"{source} holds no genomes: expected {MANIFEST}, {PART_FILES}, or files named .fa, .fna, .fasta or "
                ".2bit (.gz)"
            )
        return [entry for path in files for entry in _entries(path)]
    kind = _kind(source)
    if kind == "part":
        corpus = read_part(source).corpus
        return [_read_already(g, "train") for g in corpus.train] + [_read_already(g, "val") for g in corpus.heldout]
    if kind == "manifest":
        return _manifest(source)
    name = _GENOME_SUFFIX.sub("", source.name)
    word = _GENUS.match(name)
    genus = word[1] if word else name
    return [_Entry(name, genus, "train", source, lambda: read_genome(source, name, genus))]


def _read_already(genome: Genome, split: str) -> _Entry:
    return _Entry(genome.name, genome.genus, split, Path(genome.origin), lambda: genome)


def _is_genome_file(path: Path) -> bool:
    is_named_so = bool(_GENOME_SUFFIX.search(path.name)) or path.match(PART_FILES)
    return is_named_so and not path.name.startswith(".") and path.is_file()


def _kind(path: Path) -> str:
    """Tell by content what a file is: FASTA, 2bit, part or manifest. Raises InputError for anything else."""
    with Source(path) as source:
        head = source.head
    if head.startswith(_TWOBIT_SIGNATURE):
        return "2bit"
    if head[4:9] == b"\0\0\0\0{":  # safetensors: the length of a JSON header in 8 bytes, and the header
        return "part"
    found = describe(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b">", b";")):
        return "FASTA"
    if found.startswith("a text file"):
        return "manifest"
    raise InputError(f"{path} is {found}: genomes are read from FASTA, 2bit or part files, or through a manifest")


def _manifest(path: Path) -> list[_Entry]:
    """Return the genomes that a manifest lists. Raises InputError for a row that cannot be used."""
    try:
        with Source(path) as source:
            lines = [(number, line.decode().rstrip("\r\n").split("\t")) for number, line in source.lines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a readable manifest") from error
    (_, header), *rows = lines
    missing = {"name", "genus", "split", "file"} - set(header)
    if missing:
        raise InputError(f"{path}: the manifest lacks the columns {', '.join(sorted(missing))}")
    entries = [_row(path, number, header, row) for number, row in rows if row != [""]]
    check_names(entries)
    return entries


def _row(manifest: Path, number: int, header: list[str], row: list[str]) -> _Entry:
    where = f"{manifest}:{number}"
    if len(row) != len(header):
        raise InputError(f"{where} has {len(row)} columns, the header {len(header)}")
    record = dict(zip(header, row, strict=True))
    name, genus, split = record["name"], record["genus"], record["split"]
    for column in ("name", "genus", "file"):
        if not record[column].strip():
            raise InputError(f"{where} has no {column}")
    if split not in SPLITS:
        raise InputError(f"{where} has the split {split!r}: expected train, or val for a genome that is held out")
    path = manifest.parent / record["file"]
    try:
        exists = path.is_file()
    except OSError:  # a name too long for the system
        exists = False
    if not exists:
        raise InputError(f"{where}: {path} does not exist; files are looked for beside the manifest")
    about = {key: record[key] for key in ABOUT if record.get(key)}
    return _Entry(name, genus, split, path, lambda: read_genome(path, name, genus, about))


def _hold_out(entries: list[_Entry], wanted: str) -> list[_Entry]:
    """Return the entries with those held out that `wanted` means: a genome's name, a file, or a file's name."""
    path = Path(wanted)
    chosen = [
        entry.name == wanted or entry.path.name == wanted or (path.exists() and entry.path.samefile(path))
        for entry in entries
    ]
    if any(chosen):
        return [replace(e, split="val") if is_chosen else e for e, is_chosen in zip(entries, chosen, strict=True)]
    if path.exists():
        return [*entries, *(replace(entry, split="val") for entry in _entries(path))]
    raise InputError(
        f"no genome or file {wanted!r} to hold out; there are {name_some(entry.name for entry in entries)}"
    )


def _list(paths: Sequence[Path]) -> str:
    return name_some(map(str, paths))


# --- what is in a file ---


def _fasta_contigs(path: Path) -> Generator[tuple[str, Codes]]:
    from dnahnet_cli.io.fasta import Fasta

    with Fasta(path) as fasta:
        for contig, length in fasta.lengths.items():
            yield contig, fasta.codes(contig, 0, length)


def _twobit_contigs(path: Path) -> Generator[tuple[str, Codes]]:
    try:
        import py2bit
    except ImportError as error:
        raise InputError(f"{path}: 2bit files need py2bit; install it with: pip install 'dnahnet[train]'") from error
    try:
        _check_whole(path.read_bytes())
        with closing(py2bit.open(str(path))) as file:
            for name in file.chroms():
                yield name, encode(file.sequence(name))
    except (RuntimeError, LookupError, ValueError, struct.error) as error:
        raise InputError(f"{path}: not a readable 2bit file; it is cut off or damaged") from error


def _check_whole(data: bytes) -> None:
    """Follow a 2bit file to the end of each record; raise ValueError, LookupError or struct.error if it ends before.

    py2bit does not: bases that are missing it reads as T, or the process dies, as it does of stretches that leave their
    record. Only what the format calls version 0 is read, in the byte order of nearly all machines.
    """

    def number(position: int) -> int:
        (value,) = struct.unpack_from("<I", data, position)
        return int(value)

    def check_stretches(position: int, length: int) -> None:
        count = number(position)
        starts, sizes = np.frombuffer(data, "<u4", 2 * count, position + 4).reshape(2, count).astype(np.int64)
        if np.any(starts + sizes > length):
            raise ValueError("a stretch of N, or of lower case, leaves its record")

    index = 16
    if number(4) or not number(8):
        raise ValueError("of another version, or without a record")
    for _ in range(number(8)):
        index += 1 + data[index]  # the name
        record = number(index)
        index += 4
        blocks = record + 4 + 4 + 8 * number(record + 4)  # past the stretches of N
        bases = blocks + 4 + 8 * number(blocks) + 4  # past those in lower case, and a reserved number
        if bases + -(-number(record) // 4) > len(data):
            raise ValueError("cut off")
        check_stretches(record + 4, number(record))
        check_stretches(blocks, number(record))


def _checked(codes: Codes, path: Path, contig: str) -> Codes:
    """Refuse what is not a nucleotide sequence: ambiguous bases come in few places, or few long stretches."""
    is_unknown = codes == 4
    num_stretches = int((is_unknown[1:] & ~is_unknown[:-1]).sum())
    if num_stretches > 10 + 0.05 * len(codes):
        raise InputError(
            f"{path} does not hold nucleotides: {int(is_unknown.sum())} of the {len(codes)} letters of {contig}, "
            f"in {num_stretches} places, are not A, C, G or T. Is it a protein file?"
        )
    return codes
