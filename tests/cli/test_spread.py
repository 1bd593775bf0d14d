"""Runs that several processes share: the bytes of one process, whatever becomes of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnahnet_cli.genome import decode
from tests.cli.conftest import Call
from tests.cli.forks import CASES, write_inputs
from tests.conftest import random_codes

SEQUENCE = decode(random_codes(3000, 7))
SCORED = ("score-variants", "genome.fa", "calls.tsv", "--null", "5", "--suffix", "16", "--no-version")

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")


def write_input(folder: Path, number: int = 500) -> None:
    """Write a genome, and variants: 500 make five units, 2000 make eight."""
    (folder / "genome.fa").write_text(f">c1\n{SEQUENCE}\n")
    draw = random.Random(1)
    lines = [
        f"c1\t{start + 1}\t{SEQUENCE[start]}\t{draw.choice([base for base in 'ACGT' if base != SEQUENCE[start]])}\n"
        for start in sorted(draw.sample(range(100, 2900), number))
    ]
    (folder / "calls.tsv").write_text("chrom\tpos\tref\talt\n" + "".join(lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_input(tmp_path)
    return tmp_path


class Shared:
    """A run with two CPU workers."""

    def __init__(self, folder: Path, model: Path, *options: str) -> None:
        command = [sys.executable, "-m", "dnahnet_cli", *SCORED, "-o", "out.tsv", "--device", "cpu,cpu", "-t", "2"]
        self.output, self.journal = folder / "out.tsv", folder / "out.tsv.partial"
        self.process = subprocess.Popen(
            [*command, "--model", str(model), "--tmpdir", str(folder), *options],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            # A shell's background jobs ignore it, and so do their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def workers(self) -> list[int]:
        """Return the processes that compute."""
        found = []
        for place in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for child in place.read_text().split():
                command = Path(f"/proc/{child}/cmdline")
                if command.exists() and b"spawn_main" in command.read_bytes():
                    found.append(int(child))
        return found

    def wait_for(self, pieces: int) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.journal.exists() and self.journal.read_bytes().count(b"\n") > pieces:
                return
            time.sleep(0.01)
        raise AssertionError("it ended too early" if self.process.poll() is not None else "it takes too long")

    def end(self) -> tuple[int, str]:
        _, stderr = self.process.communicate(timeout=300)
        return self.process.returncode, stderr


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def expected(folder: Path, call: Call) -> bytes:
    assert call(*SCORED, "-o", "one.tsv").exit_code == 0
    return (folder / "one.tsv").read_bytes()


@needs_proc
def test_a_killed_worker_changes_no_byte(folder: Path, tiny_model: Path, expected: bytes) -> None:
    run = Shared(folder, tiny_model)
    run.wait_for(pieces=2)
    victim, other = run.workers()
    os.kill(victim, signal.SIGKILL)
    code, stderr = run.end()
    assert code == 0, stderr
    assert f"(process {victim}) was ended by SIGKILL" in stderr and "started again" in stderr
    assert run.output.read_bytes() == expected
    assert not alive(other) and not list(folder.glob("dnahnet-*")) and not run.journal.exists()


@pytest.mark.slow
@needs_proc
def test_without_workers_what_is_done_is_kept(folder: Path, tiny_model: Path, expected: bytes) -> None:
    run = Shared(folder, tiny_model)
    run.wait_for(pieces=2)
    while run.process.poll() is None:
        for worker in run.workers():
            os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    code, stderr = run.end()
    assert code == 1 and "no worker is left" in stderr and "--resume" in stderr and "Traceback" not in stderr
    assert run.journal.exists() and not run.output.exists() and not list(folder.glob("dnahnet-*"))
    run = Shared(folder, tiny_model, "--resume")
    assert run.end()[0] == 0
    assert run.output.read_bytes() == expected


@pytest.mark.slow
@needs_proc
def test_thirty_kills_of_workers(folder: Path, tiny_model: Path, call: Call) -> None:
    """A worker at any moment, a little after each new piece. Prints figures for docs/reference/reliability.md."""
    write_input(folder, number=2000)
    assert call(*SCORED, "-o", "one.tsv").exit_code == 0
    draw, killed, outputs, ends = random.Random(2), 0, 0, 0
    while killed < 30 or not outputs:
        run, seen = Shared(folder, tiny_model, "--resume"), 0
        while run.process.poll() is None:
            pieces = run.journal.read_bytes().count(b"\n") if run.journal.exists() else 0
            workers = run.workers()
            if pieces <= seen or not workers or killed >= 30:
                time.sleep(0.01)
                continue
            seen = pieces
            time.sleep(draw.uniform(0, 3))
            victim = draw.choice(workers)
            if alive(victim):
                os.kill(victim, signal.SIGKILL)
                killed += 1
        code, stderr = run.end()
        if code == 0:
            assert run.output.read_bytes() == (folder / "one.tsv").read_bytes() and not run.journal.exists()
            run.output.unlink()
            outputs += 1
        else:
            assert code == 1 and "no worker is left" in stderr and "Traceback" not in stderr
            ends += 1
    print(f"{killed} workers killed, {outputs} outputs, all the bytes of one process; {ends} times none was left")


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_run(folder: Path, tiny_model: Path, number: signal.Signals) -> None:
    """A terminal and a batch system signal all processes of a run; after -9 to the first, the others notice."""
    run = Shared(folder, tiny_model)
    run.wait_for(pieces=1)
    workers = run.workers()
    if number is signal.SIGKILL:
        run.process.kill()
    else:
        os.killpg(run.process.pid, number)
    code, stderr = run.end()
    assert code == (-9 if number is signal.SIGKILL else 128 + number) and "Traceback" not in stderr
    assert number is signal.SIGKILL or ("--resume" in stderr and "ended by" not in stderr)
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers)) and run.journal.exists()


@pytest.mark.parametrize("case", ["details", "tracks"])
def test_genes_and_chunks_are_those_of_one_process(tmp_path: Path, call: Call, case: str) -> None:
    write_inputs(tmp_path)
    written = []
    for place, device in (("one", "cpu"), ("two", "cpu,cpu")):
        (tmp_path / place).mkdir()
        result = call(*CASES[case].replace("FOLDER", place).split(), "--no-version", "--device", device)
        assert result.exit_code == 0, result.stderr
        written.append({path.name: path.read_bytes() for path in (tmp_path / place).iterdir()})
    assert len(written[0]) > 1 and written[0] == written[1]


def test_what_cannot_be_is_said(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, code, says in (
        (("--device", "cpu,cuda"), (2, 1), "cuda"),
        (("--device", "cpu,1"), (2,), "--device cpu:1"),
        (("--device", "cpu,"), (2,), "--device"),
        (("--workers", "2"), (2,), "--engine ray"),
        (("--address", "auto"), (2,), "--engine ray"),
    ):
        refused = call(*SCORED, *options)
        assert refused.exit_code in code and says in refused.stderr, refused.stderr
