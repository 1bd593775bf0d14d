"""Helpers shared by the tests of the border."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared data folder is not beside this checkout")
    return SHARED / "data"


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put bytes on standard input."""

    def put(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))

    return put


def bgzip(data: bytes) -> bytes:
    """Compress as bgzip does, in blocks of 40 bytes so that short texts span several."""
    end = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    blocks = []
    for start in range(0, len(data), 40):
        member = gzip.compress(data[start : start + 40], mtime=0)
        size = len(member) + 8 - 1
        extra = b"\x06\x00BC\x02\x00" + size.to_bytes(2, "little")
        blocks.append(member[:3] + b"\x04" + member[4:10] + extra + member[10:])
    return b"".join(blocks) + end


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": partial(gzip.compress, mtime=0),
    "bgzip": bgzip,
}
