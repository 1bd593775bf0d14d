"""The benchmark of the kernels: its gate, run in the interpreter, and what it says where there is no device."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.kernels import Sizes, cases, wrong

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
SMALL = Sizes(batch=1, length=20, width=16, head=16, states=16)

no_device = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@no_device
def test_without_a_device_it_says_so_and_times_nothing() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no CUDA device") and done.stderr.count("\n") == 1


@no_device
def test_the_gate_lets_the_kernels_pass_and_nothing_that_is_wrong() -> None:
    pytest.importorskip("triton")
    torch.manual_seed(0)
    every = cases(SMALL, "cpu")
    assert len(every) == 8 and all("triton" in case.functions for case in every)
    assert [mistake for case in every for mistake in wrong(case)] == []

    case = every[-2]
    plain = case.functions["reference"]
    broken = {
        "scaled": lambda q, k: plain(q, k) * 1.001,
        "undefined": lambda q, k: plain(q, k) * torch.nan,
        "shifted": lambda q, k: plain(q, k.roll(1, dims=1)),
    }
    for name, function in broken.items():
        mistakes = wrong(replace(case, functions={"reference": plain, name: function}))
        assert mistakes and all(name in mistake for mistake in mistakes)


def test_bytes_and_operations_are_counted_by_hand() -> None:
    """One sequence of 20, two heads of 16 channels, 16 states."""
    pytest.importorskip("triton")
    ssd = cases(SMALL, "cpu")[0]
    x, log_decay, b, c = ssd.make()
    written = x.nbytes
    assert ssd.forward_bytes == sum(value.nbytes for value in (x, log_decay, b, c)) + written
    assert ssd.backward_bytes == 2 * sum(value.nbytes for value in (x, log_decay, b, c)) + written  # and dy
    scores, heads = 2 * 64 * 16, 2 * (2 * 64 * 16 + 2 * 2 * 16 * 16)
    assert ssd.forward_flops == 20 * (scores + heads)
