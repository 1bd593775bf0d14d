"""Make an assay for `dnahnet evaluate fitness` of sort-seq measurements of a promoter: many changes in each variant.

    python benchmarks/make_lacz_assay.py VARIANTS WILD_TYPE GENOME FOLDER [--flank 1000]

VARIANTS is a table, plain or compressed, of sequences as long as WILD_TYPE (a FASTA file of one sequence): columns
sequence_75bp and mean_bin_1to9_by_counts, the mean of the sorted bins in which the variant was found, higher for more
expression. FOLDER gets `variants.tsv` with all of them, `region.fna`, the wild type with flanks from the one place in
GENOME where it stands on either strand, in its own direction, and `genome.fna` for the Markov model beside the scores.

Measured by Kinney et al., PNAS 107:9158 (2010), on plasmids: there the flanks are others than in the genome. Most
variants were seen once, so a single measurement is coarse. What cannot be used is counted on standard error.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from dnahnet_cli.errors import DnahnetError, InputError
from dnahnet_cli.genome import decode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.streams import Source

SEQUENCE, SCORE = "sequence_75bp", "mean_bin_1to9_by_counts"


def region_of(genome: Fasta, wild: str, flank: int) -> tuple[str, int]:
    """Return the wild type within its flanks, in its own direction, and how many bases lie before it.

    Raises InputError unless it stands in one place.
    """
    found = []
    for contig, length in genome.lengths.items():
        codes = genome.codes(contig, 0, length)
        for bases in (decode(codes), decode(reverse_complement(codes))):
            at = bases.find(wild)
            while at >= 0:
                before = min(flank, at)
                found.append((bases[at - before : at + len(wild) + flank], before))
                at = bases.find(wild, at + 1)
    if len(found) != 1:
        raise InputError(f"the wild type stands {len(found)} times in {genome.path}, not once.")
    return found[0]


def changes(wild: str, sequence: str, before: int) -> str | None:
    """Return a variant's changes, such as A1012G:C1030T; None where the two cannot be compared base by base."""
    if len(sequence) != len(wild) or not set(sequence) <= set("ACGT"):
        return None
    pairs = enumerate(zip(wild, sequence, strict=True), start=before + 1)
    return ":".join(f"{ref}{at}{alt}" for at, (ref, alt) in pairs if ref != alt)


def write_assay(variants: Path, wild_type: Path, genome_path: Path, folder: Path, flank: int) -> Counter[str]:
    """Write the folder; return how many variants there are of each kind."""
    counts: Counter[str] = Counter()
    folder.mkdir(parents=True, exist_ok=True)
    with Fasta(wild_type) as fasta, Fasta(genome_path) as genome:
        ((name, length),) = fasta.lengths.items()
        wild = decode(fasta.codes(name, 0, length))
        region, before = region_of(genome, wild, flank)
        with (folder / "genome.fna").open("w") as file:
            for contig, size in genome.lengths.items():
                file.write(f">{contig}\n{decode(genome.codes(contig, 0, size))}\n")
    (folder / "region.fna").write_text(f">{name}\n{region}\n")
    with Source(variants) as source, (folder / "variants.tsv").open("w") as out:
        out.write("variant\tscore\n")
        lines = (line.decode() for _, line in source.lines())
        for row in csv.DictReader(lines, delimiter="\t"):
            variant = changes(wild, row[SEQUENCE].upper(), before)
            kind = "another length or letters" if variant is None else "written" if variant else "the wild type"
            kind = kind if row[SCORE] else "not measured"
            counts[kind] += 1
            if kind == "written":
                out.write(f"{variant}\t{row[SCORE]}\n")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("variants", "wild_type", "genome", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--flank", type=int, default=1000, metavar="BP", help="on either side [1000]")
    arguments = parser.parse_args()
    try:
        counts = write_assay(
            *(getattr(arguments, name) for name in ("variants", "wild_type", "genome", "folder", "flank"))
        )
    except (DnahnetError, OSError, KeyError) as error:
        sys.exit(str(error))
    print(", ".join(f"{number:,} {kind}" for kind, number in counts.items()), file=sys.stderr)


if __name__ == "__main__":
    main()
