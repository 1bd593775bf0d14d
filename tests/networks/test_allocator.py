"""Memory that is freed and taken again is not cleared anew by the kernel."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from dnahnet_cli.networks import allocator

COUNT_FAULTS = """
import resource, sys
from dnahnet_cli.networks.allocator import keep_freed_pieces
if sys.argv[1] == "keep":
    assert keep_freed_pieces()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(40 << 20)
before = faults()
for _ in range(5):
    bytearray(40 << 20)
print(faults() - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", COUNT_FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_blocks_are_kept() -> None:
    """In a process of its own, which stays as it was told."""
    kept, given_back = faults("keep"), faults("give back")
    assert kept < 1000
    if given_back > 10_000:  # huge pages would make few faults of either
        assert kept < given_back / 20


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_GLIBC", "libc.so.of.another.kind")
    assert not allocator.keep_freed_pieces()
