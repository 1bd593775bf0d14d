"""Embeddings: the network's own vectors, pooled; the same whatever else is asked for, and from whichever origin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from dnahnet_cli.genome import Codes, Gene, Interval, Strand, reverse_complement
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.scoring.embed import Embedding, EmbedStatus, Pool, Stretch, embed
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.hidden import level_widths, scan_hidden
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, random_codes

GRID = TileGrid(tile=64, context=32, max_scored=32)
LENGTH = 300
CODES = random_codes(LENGTH, 5)


def engine_of(model: HNet, codes: Codes = CODES, *, circular: bool = False) -> Engine:
    names = frozenset({"c"}) if circular else frozenset()
    return Engine(model, MemoryGenome({"c": codes, "empty": codes[:0]}), EngineOptions(GRID), names)


def embed_one(engine: Engine, *pieces: tuple[int, int], pool: Pool = Pool.BASES) -> Embedding:
    (found,) = embed(engine, [Stretch("c", pieces)], pool)
    return found


def test_vectors_are_those_of_the_network_run_by_hand(model: HNet) -> None:
    """The stages are run one after the other on the tile's own tokens, and chunks laid out by hand."""
    engine = engine_of(model)
    reading = engine.reading("c", Strand.FORWARD)
    (hidden,) = scan_hidden(engine, reading, [2])
    tokens = torch.tensor([[BOS, *CODES[96:192].tolist()]])
    length_B = torch.tensor([tokens.shape[1]])
    with torch.inference_mode():
        x_BLD = model.embedding(tokens).float()
        if model.clock is not None:
            x_BLD = x_BLD + model.clock(torch.arange(tokens.shape[1]) % model.config.period)
        y_BLD, _, (outer, inner) = model.stage(x_BLD, length_B, None, Capture.at_ends(length_B))
        logits_BL4 = model.head(y_BLD)
        encoded, _ = model.stage.encoder(x_BLD, None, Capture.at_ends(length_B))
        opens = outer.mask_BL[0].nonzero().flatten()
        chunks = torch.cat([encoded[:, opens], model.stage.widening.expand(1, len(opens), -1)], dim=-1)
        chunk_vectors, _, _ = model.stage.inner(
            chunks, torch.tensor([len(opens)]), None, Capture.at_ends(inner.length_B)
        )
    own = slice(33, 97)
    assert np.allclose(hidden.levels[0], y_BLD[0, own].numpy(), atol=1e-5)
    for at in range(64):
        chunk = int((opens <= at + 33).sum()) - 1  # the last that opened at or before this base's token
        assert np.allclose(hidden.levels[1][at], chunk_vectors[0, chunk].numpy(), atol=1e-5)
    assert np.allclose(hidden.scan.log_probs_L4, logits_BL4.log_softmax(-1)[0, 32:96].numpy(), atol=1e-5)
    assert [level.shape[1] for level in hidden.levels] == list(level_widths(model)) == list(model.config.widths)
    same = hidden.scan.mask_SL[1] | (np.arange(64) == 0)  # between cuts of stage 2, its vector stays
    steps = np.abs(np.diff(hidden.levels[2], axis=0)).max(axis=1)
    assert (steps[~same[1:]] == 0).all() and steps[same[1:]].min() > 0


@pytest.mark.parametrize("pool", [Pool.BASES, Pool.CHUNKS])
def test_parts_add_up_to_the_whole(model: HNet, pool: Pool) -> None:
    engine = engine_of(model)
    whole = embed_one(engine, (0, LENGTH), pool=pool)
    edges = [0, 7, 64, 150, 255, LENGTH]
    parts = [embed_one(engine, piece, pool=pool) for piece in pairwise(edges)]
    together = embed_one(engine, *pairwise(edges), pool=pool)
    reading = engine.reading("c", Strand.FORWARD)
    masks = np.concatenate([scan.mask_SL for scan in engine.scan(reading, range(reading.num_tiles))], axis=1)
    for level in range(3):
        weights = [
            end - start if level == 0 or pool is Pool.BASES else int(masks[level - 1, start:end].sum())
            for start, end in pairwise(edges)
        ]
        vectors = [part.vector(level, Strand.FORWARD) for part in parts]
        known = [(weight, vector) for weight, vector in zip(weights, vectors, strict=True) if vector is not None]
        assert sum(weight for weight, _ in known) == sum(weights)
        mean = sum(weight * vector.astype(float) for weight, vector in known) / sum(weights)
        for other in (whole, together):
            assert np.allclose(other.vector(level, Strand.FORWARD), mean, atol=1e-5)


def test_what_else_is_asked_for_does_not_matter_and_order_is_kept(model: HNet) -> None:
    engine = engine_of(model)
    stretches = [Stretch("c", ((100, 130),)), Stretch("nowhere", ((0, 1),)), Stretch("c", ((5, 6), (250, 299)))]
    stretches += [Stretch("c", ((290, 301),)), Stretch("empty", ((0, 0),))]
    seen: list[int] = []
    found = list(embed(engine, stretches, progress=seen.append))
    assert [embedding.stretch for embedding in found] == stretches
    assert [embedding.status.value for embedding in found] == [
        *("ok", "contig_not_found", "ok", "out_of_range", "no_bases")
    ]
    assert sum(seen) == 2 * (30 + 50)
    for at in (0, 2):
        alone = embed_one(engine, *stretches[at].pieces)
        for level in range(3):
            assert np.array_equal(alone.vector(level), found[at].vector(level))
    assert found[1].vector(0) is None


def test_the_reverse_complement_swaps_the_strands(model: HNet) -> None:
    one, other = engine_of(model), engine_of(model, reverse_complement(CODES))
    for pool in Pool:
        here, there = embed_one(one, (40, 170), pool=pool), embed_one(other, (130, 260), pool=pool)
        for level in range(3):
            assert np.allclose(here.vector(level, Strand.FORWARD), there.vector(level, Strand.REVERSE), atol=1e-5)
            assert np.allclose(here.vector(level), there.vector(level), atol=1e-5)
            both = [here.vector(level, strand) for strand in Strand]
            assert np.allclose(np.mean(both, axis=0), here.vector(level), atol=1e-6)


def test_rotating_a_circle_changes_nothing(model: HNet) -> None:
    one, other = engine_of(model, circular=True), engine_of(model, np.roll(CODES, 100), circular=True)
    for pool in Pool:  # a gene over the origin of the first
        here, there = embed_one(one, (280, 340), pool=pool), embed_one(other, (80, 140), pool=pool)
        for level in range(3):
            assert np.allclose(here.vector(level), there.vector(level), atol=1e-5)


def test_last_is_the_base_that_is_read_last(model: HNet) -> None:
    engine = engine_of(model)
    found = embed_one(engine, (40, 100), (120, 171), pool=Pool.LAST)
    for strand, base in ((Strand.FORWARD, 170), (Strand.REVERSE, 40)):
        single = embed_one(engine, (base, base + 1))
        for level in range(3):
            assert np.array_equal(found.vector(level, strand), single.vector(level, strand))


def test_no_chunk_opens_in_a_base_that_opens_none(model: HNet) -> None:
    engine = engine_of(model)
    reading = engine.reading("c", Strand.FORWARD)
    (scan,) = engine.scan(reading, [1])
    base = 64 + int(np.flatnonzero(~scan.mask_SL[0])[0])
    found = embed_one(engine, (base, base + 1), pool=Pool.CHUNKS)
    assert found.vector(0) is not None and found.vector(1) is None and found.status is EmbedStatus.OK


def test_a_gene_stands_for_its_coding_bases() -> None:
    gene = Gene("c", Strand.REVERSE, ((3, 9), (20, 26)), "g")
    assert Stretch.of(gene).pieces == gene.parts and Stretch.of(gene).num_bases == 12
    assert Stretch.of(Interval("c", 3, 9)) == Stretch("c", ((3, 9),))


@pytest.mark.parametrize("arch", ["transformer", "mamba2", "striped-hyena2", "fixed-stride"])
def test_the_rivals_have_vectors_too(arch: str) -> None:
    torch.manual_seed(0)
    rival = build(PRESETS[arch]["tiny"])
    (found,) = embed(Engine(rival, MemoryGenome({"c": CODES}), EngineOptions(GRID)), [Stretch("c", ((0, 100),))])
    assert [len(found.vector(level)) for level in range(rival.config.num_stages + 1)] == list(level_widths(rival))
