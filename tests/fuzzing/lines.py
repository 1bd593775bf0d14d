"""Lines made up for a format: well formed in the main, with values that nobody expects."""

from __future__ import annotations

from random import Random

_CONTIGS = (b"c1", b"c2", b"c1", b"chr1", b"", b"c%201", b"<c1>", "ä".encode())
_INTEGERS = (b"0", b"1", b"2", b"5", b"9", b"10", b"11", b"30", b"60", b"61", b"-1", b"99999999999", b"9" * 25, b"x")
_ALLELES = (
    *(
        b"A",
        b"C",
        b"g",
        b"T",
        b"N",
        b"R",
        b"AC",
        b"ACGTAC",
        b"A" * 600,
        b".",
        b"*",
        b"",
        b"<DEL>",
        b"<*>",
        b"<NON_REF>",
    ),
    *(b"A[c1:5[", b"]c2:1]T", b".A", b"A.", b"<", b">", b"a,c", b"A,C,G", b"A,,C", b",", b"U", b"\xff"),
)
_INFO = (b".", b"", b"DP=5", b"DP=5;DP=5", b"DNAHNET_LLR=1", b"END=5", b"SVTYPE=DEL;END=99999", b"X;Y;Z=1,2,3", b"=;=;")
_STRANDS = (b"+", b"-", b"+", b"-", b".", b"?", b"", b"*")
_NAMES = (b"g1", b"g2", b"t1", b"cds1", b"", b"g1,g2", b"%09", b"g1%3Bx")


def vcf_record(random: Random) -> bytes:
    """Return a record, with or without samples."""
    pick = random.choice
    fields = [pick(_CONTIGS), pick(_INTEGERS), pick((b".", b"rs1", b"rs1;rs2")), pick(_ALLELES), pick(_ALLELES)]
    fields += [pick((b".", b"50", b"nan")), pick((b".", b"PASS", b"q10;s50")), pick(_INFO)]
    fields += pick(([], [b"GT:DP", b"0/1:5", b"./.:."], [b"GT", b"1|1|1"], [b""]))
    return b"\t".join(fields) + pick((b"\n", b"\r\n", b"", b"\n"))


def table_row(random: Random) -> bytes:
    """Return a line of tab-separated values."""
    values = (*_CONTIGS, *_INTEGERS, *_ALLELES[:20], *_STRANDS, b"0.5", b"TSS", b"M69L", b"A1C", b"p1")
    return b"\t".join(random.choices(values, k=random.randrange(1, 9))) + b"\n"


def gff_line(random: Random) -> bytes:
    """Return a feature of GFF3 or GTF, whose parent may be itself, or a directive."""
    pick = random.choice
    if random.random() < 0.1:
        return pick((b"##sequence-region c1 1 %s\n" % pick(_INTEGERS), b"##FASTA\n", b"###\n", b"##gff-version 3\n"))
    kind = pick((b"CDS", b"CDS", b"gene", b"mRNA", b"region", b"stop_codon", b"tRNA", b"pseudogene", b"", b"exon"))
    keys = (b"ID", b"Parent", b"Name", b"locus_tag", b"gene", b"Is_circular", b"pseudo", b"partial", b"transl_table")
    if random.random() < 0.3:
        words = (b"gene_id", b"transcript_id", b"gene_name")
        attributes = b" ".join(b'%s "%s";' % (pick(words), pick(_NAMES)) for _ in range(random.randrange(4)))
    else:
        values = (*_NAMES, b"true", b"11", b"10")
        attributes = b";".join(b"%s=%s" % (pick(keys), pick(values)) for _ in range(random.randrange(5)))
    fields = [pick(_CONTIGS), b".", kind, pick(_INTEGERS), pick(_INTEGERS), b"."]
    return b"\t".join([*fields, pick(_STRANDS), pick((b"0", b"1", b"2", b".", b"7")), attributes]) + b"\n"


def bed_line(random: Random) -> bytes:
    """Return a line of three to twelve columns, or of a track."""
    if random.random() < 0.05:
        return random.choice((b"track name=x\n", b"browser position c1\n", b"#\n"))
    pick = random.choice
    fields = [pick(_CONTIGS), pick(_INTEGERS), pick(_INTEGERS), pick(_NAMES), b"0", pick(_STRANDS)]
    fields += [pick(_INTEGERS), pick(_INTEGERS), b"0", pick(_INTEGERS)]
    fields += [pick((b"5", b"5,5", b"5,5,", b"", b",", b"-5,9")), pick((b"0", b"0,10", b"0,10,", b"", b"x"))]
    return b"\t".join(fields[: pick((3, 4, 6, 12, 12))]) + b"\n"


def genbank_line(random: Random) -> bytes:
    """Return a line of a record: a head, a feature with its location, a qualifier, or bases."""
    pick = random.choice
    if random.random() < 0.3:
        heads = (
            b"LOCUS       c1  60 bp DNA circular",
            b"LOCUS",
            b"VERSION     c1",
            b"ACCESSION",
            b"FEATURES",
            b"ORIGIN",
            b"//",
        )
        return pick(heads) + b"\n"
    if random.random() < 0.3:
        return b"%s/%s%s\n" % (
            b" " * 21,
            pick((b"locus_tag", b"gene", b"pseudo", b"codon_start", b"transl_table")),
            _value(random),
        )
    if random.random() < 0.1:
        return b"%9d %s\n" % (random.randrange(99), pick((b"acgtn", b">acgt", b"acgt acgt", b"12 34", b"MKVL")))
    kind = pick((b"CDS", b"CDS", b"gene", b"tRNA", b"source"))
    return b"     %-16s%s\n" % (kind, _location(random))


def _value(random: Random) -> bytes:
    return random.choice((b"", b'="x"', b'="', b"=2", b"=11", b'="a ""b"" c"', b"=" + random.choice(_INTEGERS)))


def _location(random: Random, depth: int = 0) -> bytes:
    if depth < 4 and random.random() < 0.4:
        parts = (_location(random, depth + 1) for _ in range(random.randrange(4)))
        return random.choice((b"join", b"order", b"complement")) + b"(" + b",".join(parts) + b")"
    pick = random.choice
    return pick((b"%s..%s", b"<%s..>%s", b"%s^%s", b"x:%s..%s", b"%s.%s")) % (pick(_INTEGERS), pick(_INTEGERS))
