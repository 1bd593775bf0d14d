"""Which implementation runs: by capability, by force, and with an error that says what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from dnahnet_cli.errors import DeviceError, UsageError
from dnahnet_cli.ops import backend


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    backend.kernels.cache_clear()
    yield
    backend.kernels.cache_clear()


def test_by_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    assert backend.kernels("cpu") == "reference"
    assert backend.kernels("cuda") == "triton"
    backend.kernels.cache_clear()
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    assert backend.kernels("cuda") == "reference"


def test_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "reference")
    assert backend.kernels("cuda") == "reference"
    backend.kernels.cache_clear()
    pytest.importorskip("triton")
    monkeypatch.setenv(backend.VARIABLE, "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert backend.kernels("cpu") == "triton"
    assert backend.use_triton(torch.zeros(1)) and backend.use_triton(torch.zeros(1).bfloat16())
    assert not backend.use_triton(torch.zeros(1).double()) and not backend.use_triton(torch.zeros(0))


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "")
    assert backend.kernels("cpu") == "reference"


@pytest.mark.parametrize("value", ["Triton", "cuda", "0"])
def test_another_value_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, value)
    with pytest.raises(UsageError, match=f"DNAHNET_KERNELS={value}: expected reference or triton"):
        backend.kernels("cpu")


def test_triton_by_force_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr(backend, "find_spec", lambda name: object())
    with pytest.raises(DeviceError, match="the device is cpu"):
        backend.kernels("cpu")
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="not installed"):
        backend.kernels("cuda")


def test_a_run_on_a_cpu_never_imports_triton() -> None:
    code = (
        "import sys, torch; sys.modules['triton'] = None\n"  # an import of it would fail
        "from dnahnet_cli.model.config import PRESETS\n"
        "from dnahnet_cli.model.hnet import HNet\n"
        "from dnahnet_cli.ops.capture import Capture\n"
        "network = HNet(PRESETS['tiny'])\n"
        "tokens = torch.zeros(1, 20, dtype=torch.long)\n"
        "network(tokens, capture=Capture.nowhere())[0].logits_BL4.sum().backward()\n"
        "with torch.no_grad(): network(tokens)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != backend.VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
