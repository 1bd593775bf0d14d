"""A run that a Ray cluster shares: the bytes of one process, with one of two workers killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Run
from tests.cli.forks import CASES, write_inputs
from tests.cli.test_spread import SCORED, needs_proc, write_input

# Nothing leaves the machine, and nobody else on it gets in.
CLOSED = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of this machine alone, with room for two workers."""
    pytest.importorskip("ray")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # its sockets allow no long path
        command = [Path(sys.executable).parent / "ray", "start", "--head", "--block", "--num-cpus=2", f"--port={port}"]
        command += ["--include-dashboard=false", "--disable-usage-stats", "--node-ip-address=127.0.0.1"]
        command += ["--object-store-memory=100000000", f"--temp-dir={folder}"]
        environment = {**os.environ, **CLOSED, "OMP_NUM_THREADS": "1"}
        cluster = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert cluster.stdout is not None
        for line in cluster.stdout:
            if "--block" in line:  # it has started, and says that it stays
                break
        try:
            yield f"127.0.0.1:{port}"
        finally:
            cluster.terminate()
            cluster.communicate(timeout=60)


def actors() -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if place.read_bytes().startswith(b"ray::_Actor"):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@needs_proc
def test_killed_workers_change_no_byte(address: str, call: Call, tmp_path: Path, tiny_model: Path) -> None:
    write_input(tmp_path, number=2000)
    assert call(*SCORED, "-o", "one.tsv").exit_code == 0
    command = [sys.executable, "-m", "dnahnet_cli", *SCORED, "--model", str(tiny_model)]
    with subprocess.Popen(
        [*command, "--engine", "ray", "--address", address, "-o", "out.tsv"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **CLOSED, "OMP_NUM_THREADS": "1"},
    ) as process:
        journal, killed = tmp_path / "out.tsv.partial", 0
        for pieces in (2, 4, 6):
            workers: list[int] = []
            while process.poll() is None and (len(workers) < 2 or journal.read_bytes().count(b"\n") <= pieces):
                time.sleep(0.01)
                workers = actors() if journal.exists() else []
            if process.poll() is None:
                os.kill(workers[0], signal.SIGKILL)
                killed += 1
        stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0 and stdout == "", stderr
    assert killed >= 1 and stderr.count("was lost") == killed and "up to 2 workers" in stderr, stderr
    print(f"{killed} workers of two killed in a Ray cluster: the bytes of one process")
    assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "one.tsv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["details", "tracks"])
def test_genes_and_chunks_are_those_of_one_process(
    address: str, call: Call, run: Run, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tmp_path)
    for name, value in CLOSED.items():
        monkeypatch.setenv(name, value)
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    command = [*CASES[case].split(), "--no-version"]
    assert call(*[word.replace("FOLDER", "one") for word in command]).exit_code == 0
    result = run(*[word.replace("FOLDER", "two") for word in command], "--engine", "ray", "--address", address)
    assert result.returncode == 0 and result.stdout == "", result.stderr
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / place).iterdir()} for place in ("one", "two"))
    assert len(one) > 1 and one == two


def test_without_ray_it_says_how_to_get_it(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_input(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = call(*SCORED, "--engine", "ray", "--address", "127.0.0.1:1")
    assert refused.exit_code == 2 and "dnahnet[ray]" in refused.stderr


def test_an_address_that_does_not_answer_is_an_error(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    write_input(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for address, code, says in (
        (f"127.0.0.1:{free_port()}", 1, "nobody answers there"),
        ("127.0.0.1:port", 2, "HOST:PORT"),
        ("", 2, "--address HOST:PORT"),
    ):
        refused = call(*SCORED, "--engine", "ray", "--address", address)
        assert refused.exit_code == code and says in refused.stderr, refused.stderr
