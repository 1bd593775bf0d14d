"""Knock-outs: what is written into the gene, on either strand, and that it scores the same on both."""

from __future__ import annotations

import numpy as np
import pytest

from dnahnet_cli.genome import Codes, Gene, Strand, decode, reverse_complement
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.essentiality import STOP_CASSETTE, GeneStatus, Protocol, knock_out, score_genes
from dnahnet_cli.scoring.inserts import stop_places
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, lively_model, random_codes

OPTIONS = EngineOptions(grid=TileGrid(tile=300, context=100, max_scored=200), suffix=40)
CODES = random_codes(900, 21)
GENE = Gene("c", Strand.FORWARD, ((210, 270),), "g")
MIRRORED = Gene("c", Strand.REVERSE, ((900 - 270, 900 - 210),), "g")


def knocked(gene: Gene, codes: Codes, protocol: Protocol) -> str:
    """Return the gene's sequence in reading direction after the edit."""
    result = knock_out(gene, codes[gene.start : gene.end], protocol)
    assert result is not None
    edit = result[0]
    edited = np.concatenate([codes[gene.start : edit.start], edit.replacement, codes[edit.end : gene.end]])
    return decode(edited if gene.strand is Strand.FORWARD else reverse_complement(edited))


def test_single_overwrites_15_bases_12_behind_the_start_codon() -> None:
    wild = decode(CODES[210:270])
    for gene, codes in ((GENE, CODES), (MIRRORED, reverse_complement(CODES))):
        assert knocked(gene, codes, Protocol.SINGLE) == wild[:15] + STOP_CASSETTE + wild[30:]


def test_multi_inserts_15_bases_every_12() -> None:
    wild = decode(CODES[210:270])
    pieces = [STOP_CASSETTE + wild[at : at + 12] for at in (15, 27, 39, 51)]
    for gene, codes in ((GENE, CODES), (MIRRORED, reverse_complement(CODES))):
        assert knocked(gene, codes, Protocol.MULTI) == wild[:15] + "".join(pieces)


def test_the_cassette_is_stop_codons_in_frame() -> None:
    edited = knocked(GENE, CODES, Protocol.SINGLE)
    codons = [edited[at : at + 3] for at in range(0, len(edited), 3)]
    assert codons[5:10] == ["TAA", "TAA", "TAA", "TAG", "TGA"]


@pytest.mark.parametrize("phase", [1, 2])
def test_the_stops_are_in_frame_where_a_gene_is_cut_off(phase: int) -> None:
    whole = Gene("c", Strand.FORWARD, ((210 + phase, 270 + phase),), "whole")
    cut = [
        (Gene("c", Strand.FORWARD, ((210, 270 + phase),), "cut", phase=phase), CODES),
        (Gene("c", Strand.REVERSE, ((630 - phase, 690),), "cut", phase=phase), reverse_complement(CODES)),
    ]
    for gene, codes in cut:
        for protocol in Protocol:
            assert knocked(gene, codes, protocol)[phase:] == knocked(whole, CODES, protocol)
        places = stop_places(gene, 2)
        assert [codon for codon, _ in places] == [codon for codon, _ in stop_places(whole, 2)]
        sequence = codes[gene.start : gene.end]
        single = knock_out(gene, sequence, Protocol.SINGLE)
        assert single is not None and single[0] == places[0][1]
        assert knock_out(gene, sequence[: 29 + phase], Protocol.SINGLE) is None


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_gene_scores_the_same_on_either_strand(protocol: Protocol) -> None:
    model = lively_model()
    (one,) = score_genes(Engine(model, MemoryGenome({"c": CODES}), OPTIONS), [GENE], protocol)
    turned = MemoryGenome({"c": reverse_complement(CODES)})
    (other,) = score_genes(Engine(model, turned, OPTIONS), [MIRRORED], protocol)
    assert one.score == pytest.approx(other.score, abs=1e-5)
    assert one.score_sense == pytest.approx(other.score_sense, abs=1e-5)
    assert one.gc == other.gc == pytest.approx(float(np.isin(CODES[210:270], (1, 2)).mean()))


def test_genes_that_cannot_be_scored_keep_their_rows() -> None:
    codes = CODES.copy()
    codes[500:600] = 4
    genes = [
        Gene("c", Strand.FORWARD, ((0, 29),), "short"),
        Gene("elsewhere", Strand.FORWARD, ((0, 90),), "lost"),
        Gene("c", Strand.FORWARD, ((850, 950),), "beyond"),
        Gene("c", Strand.FORWARD, ((490, 580),), "unknown bases"),
        GENE,
    ]
    rows = score_genes(Engine(lively_model(), MemoryGenome({"c": codes}), OPTIONS), genes, Protocol.SINGLE)
    assert [row.gene.name for row in rows] == [gene.name for gene in genes]
    assert [row.status.value for row in rows] == [
        "too_short",
        "contig_not_found",
        "out_of_range",
        "ambiguous_context",
        "ok",
    ]
    assert [row.score is None for row in rows] == [True, True, True, True, False]


def test_a_gene_over_the_origin_of_a_circle() -> None:
    model = lively_model()
    over = Gene("c", Strand.FORWARD, ((870, 930),), "over")
    whole = Gene("c", Strand.FORWARD, ((370, 430),), "whole")
    circular = frozenset({"c"})
    (one,) = score_genes(Engine(model, MemoryGenome({"c": CODES}), OPTIONS, circular), [over], Protocol.SINGLE)
    rolled = MemoryGenome({"c": np.roll(CODES, -500)})
    (other,) = score_genes(Engine(model, rolled, OPTIONS, circular), [whole], Protocol.SINGLE)
    assert one.status is GeneStatus.OK
    assert one.score == pytest.approx(other.score, abs=1e-5)
