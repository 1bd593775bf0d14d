"""What a caller gives from Python: files by their paths, or the same things in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal, TypeAlias

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Codes, Interval, Variant, encode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import Annotation, call_genes, read_genes
from dnahnet_cli.io.intake import all_snvs, read_names
from dnahnet_cli.io.mutants import MutantList, read_mutants, read_protein
from dnahnet_cli.io.regions import parse_region
from dnahnet_cli.io.variants import Record, read_variants
from dnahnet_cli.scoring.proteins import CodingSequence, find_coding

Genome: TypeAlias = "str | Path | Mapping[str, str]"  # a FASTA or GenBank file, or sequences by name
Circular: TypeAlias = "Literal['auto', 'all', 'none'] | Collection[str]"
Variants: TypeAlias = "str | Path | Iterable[tuple[str, int, str, str]] | None"


class Sequences:
    """A genome in memory."""

    annotated = False
    circular: frozenset[str] = frozenset()

    def __init__(self, sequences: Mapping[str, str]) -> None:
        self._codes = {name: encode(bases) for name, bases in sequences.items()}
        self.lengths = {name: len(codes) for name, codes in self._codes.items()}

    def codes(self, contig: str, start: int, end: int) -> Codes:
        return self._codes[contig][start:end]


def open_genome(genome: Genome) -> AbstractContextManager[Fasta | Sequences]:
    """Open a genome. Raises InputError."""
    return nullcontext(Sequences(genome)) if isinstance(genome, Mapping) else Fasta(Path(genome))


def intervals(genome: Fasta | Sequences, regions: Sequence[str] | None) -> list[Interval]:
    """Return regions as they are written for -r, or all contigs. Raises UsageError."""
    if regions is None:
        return [Interval(name, 0, length) for name, length in genome.lengths.items()]
    return [parse_region(text, genome.lengths) for text in regions]


def contig_names(given: str | Path | Mapping[str, str] | None, genome: Fasta | Sequences) -> Mapping[str, str]:
    """Return the genome's names of contigs by those of other files. Raises InputError for one that it has not."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return read_names(str(given), genome.lengths)
    if unknown := sorted(set(given.values()) - genome.lengths.keys()):
        raise InputError(f"rename_contigs: the genome has no contig named {unknown[0]!r}")
    return given


def genes_of(
    given: Genome,
    genome: Fasta | Sequences,
    genes: str | Path | None,
    id_attr: str | None = None,
    genetic_code: int | None = None,
) -> Annotation:
    """Read genes, or take those of a GenBank genome, or call them. Raises InputError and UsageError.

    `genetic_code` is the NCBI table of genes that are called.
    """
    is_read = genes is not None or (genome.annotated if isinstance(genome, Fasta) else False)
    if is_read and genetic_code is not None:
        raise UsageError("genetic_code is for genes that are called, and there is an annotation")
    if genes is not None:
        return read_genes(str(genes), id_attr)
    if isinstance(genome, Sequences) or isinstance(given, Mapping):
        raise UsageError("genes are called in a file only: write the sequences to one, or give an annotation")
    return read_genes(str(given), id_attr) if is_read else call_genes(genome, genetic_code)


@contextmanager
def open_variants(
    given: Variants, genome: Fasta | Sequences, regions: Sequence[Interval] | None
) -> Iterator[Iterator[Record]]:
    """Give the records of a file, of tuples with 1-based positions, or without either of all SNVs of the regions."""
    if given is None:
        yield all_snvs(genome, regions)
    elif isinstance(given, str | Path):
        with read_variants(str(given)) as reader:
            yield reader.records()
    else:
        yield (Record((Variant(chrom, pos - 1, ref, alt),)) for chrom, pos, ref, alt in given)


def mutants_of(given: str | Path | Iterable[str] | None, measured: str | None = None) -> MutantList | None:
    """Read mutants from a file, with its column of measurements, or take texts such as M69L. Raises InputError."""
    if given is None:
        return None
    return read_mutants(str(given), measured) if isinstance(given, str | Path) else MutantList(tuple(given))


def coding_of(gene: Genome, within: Fasta | Sequences, protein: str | Path | None) -> CodingSequence:
    """Find a gene in a genome. Raises InputError."""
    with open_genome(gene) as own:
        if len(own.lengths) != 1:
            raise InputError(f"{len(own.lengths)} sequences were given as a gene, not one")
        ((name, length),) = own.lengths.items()
        found = find_coding(within, own.codes(name, 0, length), name)
    return CodingSequence.of(within, found, read_protein(Path(protein))[0] if protein is not None else None)
