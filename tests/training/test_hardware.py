"""The device in words and figures."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from dnahnet_cli.training import hardware
from dnahnet_cli.training.hardware import describe_device, matmul_ceiling, parse_cpu_info

XEON = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu avx avx2 avx512f avx512_bf16 amx_bf16 amx_tile

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd sve i8mm bf16
CPU part\t: 0xd40
"""


@pytest.fixture
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CPU_SIZE", 192)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ceiling_is_a_speed(small_products: None, dtype: torch.dtype) -> None:
    began = time.monotonic()
    speed = matmul_ceiling("cpu", dtype, seconds=0.05)
    assert time.monotonic() - began >= 0.05
    assert isinstance(speed, float)
    assert 0 < speed < 1e18


def test_ceiling_counts_two_operations_per_multiply_add(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first is a warm-up; the medians of the others are 2 and 3 seconds, of which the faster counts.
    own, onednn = iter([9.0, 1.0, 4.0, 2.0]), iter([9.0, 3.0, 3.0, 1.0])
    monkeypatch.setattr(hardware, "_seconds_on_cpu", lambda a, b: next(own))
    monkeypatch.setattr(hardware, "_seconds_by_onednn", lambda a, b: next(onednn))
    assert matmul_ceiling("cpu", torch.float32, seconds=0) == 2 * hardware.CPU_SIZE**3 / 2


def test_ceiling_leaves_the_random_state_alone(small_products: None) -> None:
    before = torch.get_rng_state()
    matmul_ceiling("cpu", torch.float32, seconds=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_cpu_is_described_in_one_line() -> None:
    threads = torch.get_num_threads()
    name, *rest = describe_device("cpu").split(", ")
    assert name and "\n" not in name
    assert rest[0].split()[1] in ("CPU", "CPUs") and int(rest[0].split()[0]) >= 1
    assert rest[1] == (f"{threads} thread" if threads == 1 else f"{threads} threads")
    assert set(rest[2:]) <= set(hardware.INSTRUCTIONS)


def test_threads_are_those_in_use() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert ", 3 threads" in describe_device("cpu")
    finally:
        torch.set_num_threads(threads)


def test_cpu_info_of_linux() -> None:
    assert parse_cpu_info(XEON) == (
        "Intel(R) Xeon(R) Platinum 8480+",
        ["avx2", "avx512f", "avx512_bf16", "amx_bf16"],
    )
    assert parse_cpu_info(ARM) == ("", ["sve", "bf16"])
    assert parse_cpu_info("") == ("", [])


def test_a_cpu_without_a_name_is_called_by_its_architecture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "absent")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert describe_device("cpu").startswith("aarch64, ")


@pytest.mark.gpu
def test_cuda_device() -> None:
    assert matmul_ceiling("cuda", torch.bfloat16, seconds=0.1) > 0
    assert describe_device("cuda").endswith(" GiB")
