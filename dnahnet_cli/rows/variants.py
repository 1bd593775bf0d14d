"""The columns of `dnahnet score-variants`: which there are, what they mean, and what a scored variant has in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnahnet_cli.consequences.annotator import Annotator
    from dnahnet_cli.consequences.effects import Effect
    from dnahnet_cli.genome import Variant
    from dnahnet_cli.io.table import Column
    from dnahnet_cli.io.vcf import InfoField
    from dnahnet_cli.scoring.calibration import Null
    from dnahnet_cli.scoring.variants import Status, VariantScore

_SCORES = (
    ("status", "str", "ok, or why this ALT has no score"),
    ("llr", "float", "log p(ALT) - log p(REF), natural log, mean of the strands read; negative: ALT is less likely"),
    ("llr_fwd", "float", "log p(ALT) - log p(REF), natural log, on the forward strand; negative: ALT is less likely"),
    ("llr_rev", "float", "log p(ALT) - log p(REF), natural log, on the reverse strand; negative: ALT is less likely"),
    ("ref_logp", "float", "Log-probability of the bases compared with REF, natural log, mean of the strands read"),
    ("alt_logp", "float", "Log-probability of the bases compared with ALT, natural log, mean of the strands read"),
    ("damage", "float", "log p(REF) - log p(ALT), natural log: llr with its sign turned; higher: ALT is less likely"),
    ("num_changes", "int", "Bases substituted, inserted or deleted"),
    ("scored_bp", "int", "Bases compared, on the strand with fewer"),
    (
        "phred",
        "float",
        "-10 log10 of the share of random SNVs of this genome that score like this or lower; higher: more unusual",
    ),
)
_GENES = (
    (
        "gene",
        "str",
        "Gene hit, or the nearest that begins behind it; of several, that with the most severe consequence",
    ),
    ("locus_tag", "str", "Identifier of that gene"),
    ("strand", "str", "Strand of that gene"),
    ("consequence", "str", "Most severe consequence, a term of the Sequence Ontology"),
    ("codon_change", "str", "Codons of REF and ALT in reading direction, changed bases in capitals"),
    ("aa_change", "str", "Change of the protein, residues counted from 1"),
    ("product", "str", "Product of that gene"),
    (
        "other_genes",
        "str",
        "Other genes, joined by &: gene|locus_tag|strand|consequence|codon_change|aa_change, names percent-encoded",
    ),
)


def key_columns() -> list[Column]:
    """Return the columns that say which ALT a row is of; a VCF has them already."""
    from dnahnet_cli.io.table import Column

    names = ("chrom", "pos", "id", "ref", "alt", "alt_index")
    return [Column(name, "int" if name in ("pos", "alt_index") else "str") for name in names]


def fields(*, genes: bool, phred: bool = True) -> list[InfoField]:
    """Return all other columns, with those of genes if there are any."""
    from dnahnet_cli.io.table import Column
    from dnahnet_cli.io.vcf import InfoField

    chosen = [row for row in (*_SCORES, *(_GENES if genes else ())) if phred or row[0] != "phred"]
    return [InfoField(Column(name, kind), text) for name, kind, text in chosen]


def effects_of(score: VariantScore, annotator: Annotator | None) -> list[Effect]:
    """Return what an ALT does to the genes; nothing unless REF is the genome's and ALT is letters."""
    from dnahnet_cli.scoring.variants import Status

    if annotator is None or score.status not in (Status.OK, Status.TOO_LONG, Status.AMBIGUOUS_CONTEXT):
        return []
    return annotator.effects(score.variant)


def row_of(
    written: Variant, score: VariantScore, null: Null | None, effects: Sequence[Effect] | None
) -> dict[str, Any]:
    """Return the row of an ALT as it was written; `effects` are None without genes, empty where nothing is known."""
    from dnahnet_cli.genome import Strand

    llr = score.llr
    row = {
        "chrom": written.contig,
        "pos": written.start + 1,
        "id": written.id,
        "ref": written.ref,
        "alt": written.alt,
        "alt_index": written.alt_index,
        "status": score.status.value,
        "llr": llr,
        "llr_fwd": score.llr_on(Strand.FORWARD),
        "llr_rev": score.llr_on(Strand.REVERSE),
        "ref_logp": score.ref_logp,
        "alt_logp": score.alt_logp,
        "damage": None if llr is None else -llr,
        "num_changes": score.num_changes,
        "scored_bp": score.scored_bp,
    }
    if null is not None and llr is not None:
        row["phred"] = float(null.phred(llr))
    if effects:
        first, *others = effects
        row |= {
            "gene": first.gene or None,
            "locus_tag": first.locus_tag or None,
            "strand": first.strand.value if first.strand else None,
            "consequence": first.term.value,
            "codon_change": first.codon_change or None,
            "aa_change": first.aa_change or None,
            "product": first.product or None,
            "other_genes": "&".join(map(str, others)) or None,
        }
    return row


def reasons(counts: Counter[Status], first: Mapping[Status, Variant]) -> dict[str, str]:
    """Return why rows are not scored, the commonest status first, each with its first example."""
    from dnahnet_cli.io.streams import shortened
    from dnahnet_cli.scoring.variants import EXPLANATION, Status

    found = {}
    for status, _ in counts.most_common():
        if status is not Status.OK:
            v = first[status]
            example = f"(first: {v.contig}:{v.start + 1} {shortened(v.ref)}>{shortened(v.alt)})"
            found[status.value] = f"{EXPLANATION[status]} {example}"
    return found
