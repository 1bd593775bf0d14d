"""Memory that betrays whoever reads it before writing it, and where the kernels are tested."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from dnahnet_cli.ops import backend


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Return where Triton kernels run: in the interpreter on the CPU, or natively."""
    pytest.importorskip("triton")
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if interpreted != (request.param == "cpu"):
        pytest.skip("the interpreter runs on the CPU, and there alone")
    name: str = request.param
    return name


@pytest.fixture
def triton_kernels(device: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Make every operation of the test a Triton kernel; return the device."""
    monkeypatch.setenv(backend.VARIABLE, backend.TRITON)
    backend.kernels.cache_clear()
    yield device
    backend.kernels.cache_clear()


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Fill every tensor that torch makes without values with NaN, as its deterministic mode does."""
    torch.use_deterministic_algorithms(True)
    try:
        assert bool(torch.empty(3).isnan().all())
        yield
    finally:
        torch.use_deterministic_algorithms(False)
