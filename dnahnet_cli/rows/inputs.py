"""What a caller gives from Python: files by their paths, or the same things in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Codes, Interval, Variant, encode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import Annotation, call_genes, read_genes
from dnahnet_cli.io.intake import all_snvs, read_names
from dnahnet_cli.io.mutants import MutantList, read_mutants, read_protein
from dnahnet_cli.io.regions import parse_region
from dnahnet_cli.io.variants import Record, read_variants
from dnahnet_cli.limits import BASES
from dnahnet_cli.scoring.proteins import CodingSequence, find_coding

Genome: TypeAlias = "str | Path | Mapping[str, str]"  # a FASTA or GenBank file, or sequences by name
Circular: TypeAlias = "Literal['auto', 'all', 'none'] | Collection[str]"
Prompts: TypeAlias = "Mapping[str, str] | Sequence[str] | str"
Variants: TypeAlias = "str | Path | Iterable[tuple[str, int, str, str]] | None"


class Sequences:
    """A genome in memory. Raises InputError for a sequence that is no text."""

    annotated = False
    circular: frozenset[str] = frozenset()

    def __init__(self, sequences: Mapping[str, str]) -> None:
        for name, bases in sequences.items():
            if not isinstance(bases, str):
                raise InputError(f"the sequence of {name} is {bases!r}: expected a text of bases")
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
    return [parse_region(str(text), genome.lengths) for text in ([regions] if isinstance(regions, str) else regions)]


def contig_names(given: str | Path | Mapping[str, str] | None, genome: Fasta | Sequences) -> Mapping[str, str]:
    """Return the genome's names of contigs by those of other files. Raises InputError for one that it has not."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return read_names(str(given), genome.lengths)
    if unknown := sorted(set(given.values()) - genome.lengths.keys()):
        raise InputError(f"rename_contigs: the genome has no contig named {unknown[0]!r}")
    return given


def circles(circular: Circular, genome: Fasta | Sequences) -> dict[str, int]:
    """Return the lengths (bp) of the contigs that are circular whatever an annotation says.

    Raises UsageError, and InputError for a contig that the genome has not.
    """
    names = frozenset(genome.lengths)
    if isinstance(circular, str):
        known = {"auto": genome.circular, "all": names, "none": frozenset[str]()}
        chosen = known.get(circular, frozenset({circular}))
    elif not isinstance(circular, Collection):
        raise UsageError(f"circular {circular!r}: expected auto, all, none or names of contigs")
    else:
        chosen = frozenset(circular)
    if unknown := sorted(chosen - names):
        raise InputError(f"circular: the genome has no contig named {unknown[0]!r}")
    return {name: genome.lengths[name] for name in chosen}


def genes_of(
    given: Genome,
    genome: Fasta | Sequences,
    genes: str | Path | None,
    id_attr: str | None = None,
    genetic_code: int | None = None,
    circles: Mapping[str, int] = MappingProxyType({}),
) -> Annotation:
    """Read genes, or take those of a GenBank genome, or call them. Raises InputError and UsageError.

    `genetic_code` is the NCBI table of genes that are called, `circles` what `circles` returns.
    """
    is_read = genes is not None or (genome.annotated if isinstance(genome, Fasta) else False)
    if is_read and genetic_code is not None:
        raise UsageError("genetic_code is for genes that are called, and there is an annotation")
    if genes is not None:
        return read_genes(str(genes), id_attr, circles)
    if isinstance(genome, Sequences) or isinstance(given, Mapping):
        raise UsageError("genes are called in a file only: write the sequences to one, or give an annotation")
    return read_genes(str(given), id_attr) if is_read else call_genes(genome, genetic_code)


@contextmanager
def open_variants(
    given: Variants, genome: Fasta | Sequences, regions: Sequence[Interval] | None
) -> Iterator[Iterator[Record]]:
    """Give the records of a file, of tuples with 1-based positions, or without either of all SNVs of the regions.

    A tuple that is none of (chrom, pos, ref, alt) raises InputError when its turn comes.
    """
    if given is None:
        yield all_snvs(genome, regions)
    elif isinstance(given, str | Path):
        with read_variants(str(given)) as reader:
            yield reader.records()
    else:
        yield (Record((_variant(item),)) for item in given)


def _variant(given: Sequence[object]) -> Variant:
    match tuple(given) if isinstance(given, Iterable) else ():
        case str(chrom), Integral() as pos, str(ref), str(alt):
            return Variant(chrom, int(pos) - 1, ref, alt)
    raise InputError(f"variant {given!r}: expected contig, position, REF and ALT, the position a whole number")


def mutants_of(given: str | Path | Iterable[str] | None, measured: str | None = None) -> MutantList | None:
    """Read mutants from a file, with its column of measurements, or take texts such as M69L. Raises InputError."""
    if given is None:
        return None
    if isinstance(given, str | Path):
        return read_mutants(str(given), measured)
    mutants = tuple(given)
    if others := [mutant for mutant in mutants if not isinstance(mutant, str)]:
        raise InputError(f"mutant {others[0]!r}: expected a text such as M69L")
    return MutantList(mutants)


def prompts_of(given: Prompts) -> dict[str, Codes]:
    """Return prompts by name, or numbered from 1; a text is one prompt. Raises UsageError for what are no bases."""
    texts = [given] if isinstance(given, str) else given
    named = texts if isinstance(texts, Mapping) else {f"prompt{number}": text for number, text in enumerate(texts, 1)}
    for text in named.values():
        if not isinstance(text, str) or not BASES.fullmatch(text):
            raise UsageError(f"prompt {text!r}: expected bases, such as ATGAAACGC")
    return {name: encode(text) for name, text in named.items()}


def coding_of(gene: Genome, within: Fasta | Sequences, protein: str | Path | None) -> CodingSequence:
    """Find a gene in a genome. Raises InputError."""
    with open_genome(gene) as own:
        if len(own.lengths) != 1:
            raise InputError(f"{len(own.lengths)} sequences were given as a gene, not one")
        ((name, length),) = own.lengths.items()
        found = find_coding(within, own.codes(name, 0, length), name)
    return CodingSequence.of(within, found, read_protein(Path(protein))[0] if protein is not None else None)
