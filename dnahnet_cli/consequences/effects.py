"""What a variant does to one gene, in terms of the Sequence Ontology (http://www.sequenceontology.org)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from dnahnet_cli.genome import Strand


class Term(Enum):
    """Consequences, the most severe first, in the order of Ensembl's VEP; the values stand in the output."""

    TRANSCRIPT_ABLATION = "transcript_ablation"
    STOP_GAINED = "stop_gained"
    FRAMESHIFT = "frameshift_variant"
    STOP_LOST = "stop_lost"
    START_LOST = "start_lost"
    INFRAME_INSERTION = "inframe_insertion"
    INFRAME_DELETION = "inframe_deletion"
    MISSENSE = "missense_variant"
    PROTEIN_ALTERING = "protein_altering_variant"
    INCOMPLETE_CODON = "incomplete_terminal_codon_variant"
    START_RETAINED = "start_retained_variant"
    STOP_RETAINED = "stop_retained_variant"
    SYNONYMOUS = "synonymous_variant"
    CODING = "coding_sequence_variant"
    NON_CODING = "non_coding_transcript_exon_variant"
    INTRON = "intron_variant"
    UPSTREAM = "upstream_gene_variant"
    INTERGENIC = "intergenic_variant"

    @property
    def severity(self) -> int:
        """Return its place: 0 is the most severe."""
        return _SEVERITY[self]


_SEVERITY = {term: place for place, term in enumerate(Term)}
_ENCODED: Final = str.maketrans({letter: f"%{ord(letter):02X}" for letter in "%|&"})


@dataclass(frozen=True)
class Effect:
    """A variant's consequence for one gene, or for none where the term is intergenic.

    `codon_change` is such as `gCc/gTc`, changed bases in capitals, in reading direction, `-` for none; `aa_change`
    such as `A12V`, `A12V:L13Q`, `A12A`, `Q5*`, `*90Q`, `M1?`, `K9fs`, `K9_L11del`, `K9_L10insQS`, residues counted
    from 1. Both are empty where no codon is changed. The text form leaves the product out, and has %, | and & within a
    name percent-encoded, so that it can be split at | and several of them at &.
    """

    term: Term
    gene: str = ""
    locus_tag: str = ""
    strand: Strand | None = None
    codon_change: str = ""
    aa_change: str = ""
    product: str = ""

    def __str__(self) -> str:
        strand = "" if self.strand is None else self.strand.value
        fields = (self.gene, self.locus_tag, strand, self.term.value, self.codon_change, self.aa_change)
        return "|".join(field.translate(_ENCODED) for field in fields)
