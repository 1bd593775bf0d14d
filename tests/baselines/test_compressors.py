"""Compressors: two bits a base can be read back, and figures are what the compressed bytes say."""

from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.baselines.compressors import compressed_bits, pack
from dnahnet_cli.genome import decode, encode
from tests.conftest import random_codes


@given(st.text(alphabet="ACGTN", max_size=40))
def test_what_is_packed_can_be_read_back(text: str) -> None:
    packed = np.frombuffer(pack(encode(text)), dtype=np.uint8)
    bases = (packed[:, None] >> np.arange(0, 8, 2) & 3).ravel()
    known = text.replace("N", "")
    assert len(packed) == -(-len(known) // 4)
    assert decode(bases[: len(known)].astype(np.uint8)) == known


def test_bits_are_those_of_the_compressed_bytes() -> None:
    one, two = random_codes(3000, 1), random_codes(2001, 2)
    two[5:8] = 4
    found = compressed_bits([one, two], threads=2)
    text, num_bases = (decode(one) + decode(two)).encode(), 5001 - 3
    assert found["bz2 text"] == 8 * len(bz2.compress(text)) / num_bases
    assert found["gzip text"] == 8 * len(gzip.compress(text)) / num_bases
    packed = pack(np.concatenate([one, two]))
    assert found["xz packed"] == 8 * len(lzma.compress(packed, preset=9)) / num_bases
    assert {"zstd packed", "brotli packed", "xz text", "bz2 packed"} <= set(found)
    assert min(found.values()) > 1.99  # random bases have two bits each


def test_repeats_are_found() -> None:
    assert min(compressed_bits([np.tile(random_codes(1000, 3), 20)]).values()) < 0.3


@pytest.mark.parametrize("contigs", [[], [encode("NNNN")], [encode("")]])
def test_nothing_to_compress(contigs: list[np.ndarray]) -> None:
    assert compressed_bits(contigs) == {}
