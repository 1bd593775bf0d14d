"""Every kernel compiles for a device that is not there, with its own compiler, and spills next to no registers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_kernels_compile_for_hopper(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len({(operation, kernel) for operation, kernel, *_ in rows}) == 18, done.stdout
    for operation, kernel, dtype, shared, spilled in rows:
        assert int(shared) <= 99 * 1024, (operation, kernel, dtype)  # what the smallest current devices have
        assert int(spilled) <= 256, (operation, kernel, dtype)  # bytes a thread
