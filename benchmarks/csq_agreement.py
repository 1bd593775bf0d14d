"""How often do the consequences of --genes agree with those of bcftools csq, on random variants of a genome?

    python benchmarks/csq_agreement.py GENOME.fa GENES.gff [--snvs 10000] [--indels 2000] [--seed 1] [--examples 3]

bcftools must be on the PATH. csq reads Ensembl's GFF only, so one is written of the same genes: those of several parts
and pseudogenes are left out of it, and with them the variants that hit them. csq is run with --local-csq, each variant
by itself. It prints short names, which are set against the terms here by SAME; it gives a term for every gene hit, of
which the most severe is taken, as here. Prints a table of the pairs of terms, and examples of those that differ.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dnahnet_cli.consequences.annotator import Annotator
from dnahnet_cli.consequences.effects import Effect, Term
from dnahnet_cli.genome import Gene, Variant, decode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import read_genes
from dnahnet_cli.io.rnas import RnaGene, read_noncoding

SAME = {
    "synonymous": {Term.SYNONYMOUS},
    "missense": {Term.MISSENSE},
    "stop_gained": {Term.STOP_GAINED},
    "stop_lost": {Term.STOP_LOST},
    "start_lost": {Term.START_LOST},
    "start_retained": {Term.START_RETAINED},
    "stop_retained": {Term.STOP_RETAINED},
    "frameshift": {Term.FRAMESHIFT},
    "inframe_insertion": {Term.INFRAME_INSERTION},
    "inframe_deletion": {Term.INFRAME_DELETION},
    "inframe_altering": {Term.PROTEIN_ALTERING},
    "non_coding": {Term.NON_CODING},
    "coding_sequence": {Term.CODING},
    "none": {Term.INTERGENIC, Term.UPSTREAM},
}
ORDER = tuple(SAME)
SEVERITY = {name: min(term.severity for term in terms) for name, terms in SAME.items()}


def random_variants(fasta: Fasta, snvs: int, indels: int, seed: int) -> list[Variant]:
    """Draw SNVs, and insertions and deletions of 1 to 12 bases in equal shares, in the order of the genome."""
    random = np.random.default_rng(seed)
    names = list(fasta.lengths)
    share = np.array([fasta.lengths[name] for name in names], dtype=np.float64)
    found: set[Variant] = set()
    while len(found) < snvs + indels:
        contig = names[int(random.choice(len(names), p=share / share.sum()))]
        start = int(random.integers(1, fasta.lengths[contig] - 20))
        size = 0 if len(found) < snvs else int(random.integers(1, 13))
        ref = decode(fasta.codes(contig, start, start + 1))
        if not size:
            alt = "ACGT"[(("ACGT".find(ref)) + int(random.integers(1, 4))) % 4]
        elif random.random() < 0.5:
            alt = ref + "".join(random.choice(list("ACGT"), size))
        else:
            ref, alt = decode(fasta.codes(contig, start, start + 1 + size)), ref
        if "N" not in ref:
            found.add(Variant(contig, start, ref, alt))
    order = {name: place for place, name in enumerate(names)}
    return sorted(found, key=lambda v: (order[v.contig], v.start, v.ref, v.alt))


def write_ensembl_gff(path: Path, genes: Sequence[Gene], rnas: Iterable[RnaGene]) -> None:
    """Write genes as Ensembl does: gene, transcript and CDS lines, found by the prefixes of their names."""
    lines = ["##gff-version 3"]
    for number, gene in enumerate(genes):
        strand, place = gene.strand.value, f"{gene.start + 1}\t{gene.end}"
        name = f"g{number}"
        lines += [
            f"{gene.contig}\t.\tgene\t{place}\t.\t{strand}\t.\tID=gene:{name};Name={gene.locus_tag};biotype=protein_coding",
            f"{gene.contig}\t.\tmRNA\t{place}\t.\t{strand}\t.\tID=transcript:{name};Parent=gene:{name};biotype=protein_coding",
            f"{gene.contig}\t.\texon\t{place}\t.\t{strand}\t.\tParent=transcript:{name}",
            f"{gene.contig}\t.\tCDS\t{place}\t.\t{strand}\t0\tID=CDS:{name};Parent=transcript:{name}",
        ]
    for number, rna in enumerate(rnas):
        strand, place = rna.strand.value if rna.strand else "+", f"{rna.start + 1}\t{rna.end}"
        name = f"r{number}"
        lines += [
            f"{rna.contig}\t.\tgene\t{place}\t.\t{strand}\t.\tID=gene:{name};Name={rna.locus_tag};biotype=rRNA",
            f"{rna.contig}\t.\trRNA\t{place}\t.\t{strand}\t.\tID=transcript:{name};Parent=gene:{name};biotype=rRNA",
            f"{rna.contig}\t.\texon\t{place}\t.\t{strand}\t.\tParent=transcript:{name}",
        ]
    path.write_text("\n".join(lines) + "\n")


def run_csq(
    fasta: Path, gff: Path, variants: Sequence[Variant], lengths: dict[str, int], folder: Path
) -> list[list[str]]:
    """Return what csq says of each variant: an entry such as missense|gene|...|12A>12V for each gene hit."""
    vcf, out = folder / "in.vcf", folder / "out.vcf"
    header = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name},length={size}>" for name, size in lengths.items())]
    header.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    rows = [f"{v.contig}\t{v.start + 1}\t{i}\t{v.ref}\t{v.alt}\t.\t.\t." for i, v in enumerate(variants)]
    vcf.write_text("\n".join([*header, *rows]) + "\n")
    command = ["bcftools", "csq", "--local-csq", "-s", "-", "-f", str(fasta), "-g", str(gff), "-o", str(out), str(vcf)]
    subprocess.run(command, check=True, capture_output=True)
    said: dict[int, list[str]] = defaultdict(list)
    for line in out.read_text().splitlines():
        if not line.startswith("#"):
            fields = line.split("\t")
            entries = [item[5:] for item in fields[7].split(";") if item.startswith("BCSQ=")]
            said[int(fields[2])] = entries[0].split(",") if entries else []
    return [said[i] for i in range(len(variants))]


def worst(entries: Sequence[str]) -> tuple[str, str]:
    """Return csq's most severe short name, and its whole entry."""
    named = [(part, entry) for entry in entries for part in entry.split("|")[0].lstrip("*").split("&") if part in SAME]
    return min(named, key=lambda pair: SEVERITY[pair[0]], default=("none", ",".join(entries)))


def residues(entry: str) -> str:
    """Return csq's change of residues, such as 12A>12V, in the form A12V; empty where there is none."""
    fields = entry.split("|")
    if len(fields) < 6:
        return ""
    old, arrow, new = fields[5].partition(">")
    number = old.rstrip("ACDEFGHIKLMNPQRSTVWYX*")
    letters = old[len(number) :]
    return f"{letters}{number}{new.lstrip('0123456789') if arrow else letters}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("genes")
    parser.add_argument("--snvs", type=int, default=10_000)
    parser.add_argument("--indels", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=3)
    options = parser.parse_args()
    with Fasta(options.genome) as fasta, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        annotation, noncoding = read_genes(options.genes), read_noncoding(options.genes)
        usable = [g for g in annotation.genes if not (g.pseudo or len(g.parts) > 1 or g.length % 3)]
        usable = [gene for gene in usable if gene.end <= fasta.lengths[gene.contig]]
        num_left_out = len(annotation.genes) - len(usable)
        rnas = [rna for rna in noncoding if rna.kind != "pseudogene"]
        plain = folder / "genome.fa"
        plain.write_text("".join(f">{c}\n{decode(fasta.codes(c, 0, n))}\n" for c, n in fasta.lengths.items()))
        write_ensembl_gff(folder / "ensembl.gff", usable, rnas)
        variants = random_variants(fasta, options.snvs, options.indels, options.seed)
        annotator = Annotator(fasta, usable, rnas, annotation.circular)
        ours = [annotator.effects(variant) for variant in variants]
        theirs = run_csq(plain, folder / "ensembl.gff", variants, dict(fasta.lengths), folder)
    print(f"{len(usable):,} coding genes ({num_left_out} left out), {len(rnas):,} RNA genes")
    for kind in ("SNVs", "indels"):
        chosen = [i for i, v in enumerate(variants) if (len(v.ref) == len(v.alt)) == (kind == "SNVs")]
        own = [variants[i] for i in chosen], [ours[i] for i in chosen], [theirs[i] for i in chosen]
        report(kind, *own, options.examples)


def report(
    kind: str, variants: Sequence[Variant], ours: Sequence[list[Effect]], theirs: Sequence[list[str]], examples: int
) -> None:
    """Print how often the two agree, and where they do not."""
    pairs: Counter[tuple[str, str]] = Counter()
    shown: dict[tuple[str, str], list[str]] = defaultdict(list)
    same = same_residues = num_residues = 0
    for variant, effects, entries in zip(variants, ours, theirs, strict=True):
        name, entry = worst(entries)
        first = effects[0]
        pair = (first.term.value, name)
        agree = first.term in SAME[name]
        same += agree
        pairs[pair] += 1
        if not agree:
            shown[pair].append(f"{variant.contig}:{variant.start + 1} {variant.ref}>{variant.alt} {first} | {entry}")
        if agree and name in ("missense", "synonymous", "stop_gained", "stop_lost") and kind == "SNVs":
            num_residues += 1
            if residues(entry) == first.aa_change:
                same_residues += 1
            else:
                shown["residues", ""].append(f"{variant.start + 1} {variant.ref}>{variant.alt} {first} | {entry}")
    print(f"\n{kind}: {same:,} of {len(variants):,} consequences agree ({100 * same / max(1, len(variants)):.2f} %)")
    if num_residues:
        print(f"residues agree in {same_residues:,} of {num_residues:,}")
    for (mine, name), count in pairs.most_common():
        print(f"{count:8,}  {mine:36} {name}")
    for pair, lines in shown.items():
        for line in lines[:examples]:
            print(f"  {' / '.join(pair)}: {line}")


if __name__ == "__main__":
    main()
