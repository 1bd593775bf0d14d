"""Runs that are killed, stopped or starved and gone on with, and runs in shards: the bytes of one left alone."""

from __future__ import annotations

import glob
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dnahnet_cli.cli.main import app
from dnahnet_cli.cli.merge import merge
from dnahnet_cli.genome import decode
from tests.cli.conftest import Call
from tests.conftest import random_codes

SEQUENCE = decode(random_codes(1500, 7))
FORMATS = ("tsv", "tsv.gz", "parquet", "vcf", "vcf.gz", "bcf")
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c1,length=1500>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def body(number: int = 60, seed: int = 1) -> str:
    """Return records with one to three ALTs, some of which cannot be scored."""
    draw, lines = random.Random(seed), [HEADER]
    for start in sorted(draw.sample(range(100, 1300), number)):
        alts = draw.sample([base for base in "ACGT" if base != SEQUENCE[start]], draw.choice((1, 1, 2, 3)))
        alt = ",".join(alts) if draw.random() < 0.9 else draw.choice(("<DEL>", ".", "*"))
        lines.append(f"c1\t{start + 1}\t.\t{SEQUENCE[start]}\t{alt}\t.\tPASS\t.\n")
    return "".join(lines)


class Runs:
    """Starts the same command over and over in one folder."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        (folder / "genome.fa").write_text(f">c1\n{SEQUENCE}\n")
        (folder / "calls.vcf").write_text(body())
        self._command = [sys.executable, "-m", "dnahnet_cli", "score-variants", "genome.fa", "calls.vcf"]
        self._command += ["--model", str(model), "-t", "1", "--no-version", "--null", "12"]

    def start(self, *options: str, before: Callable[[], object] | None = None) -> subprocess.Popen[str]:
        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background jobs ignore, and their children
            if before is not None:
                before()

        return subprocess.Popen(
            [*self._command, *options],
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=prepare,
        )

    def finish(self, *options: str) -> str:
        process = self.start(*options)
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        return stderr

    def whole(self, format: str) -> bytes:
        self.finish("-o", f"whole.{format}")
        return (self.folder / f"whole.{format}").read_bytes()

    def journalled(self, name: str, lines: int) -> None:
        """Wait until a journal has some lines."""
        place, deadline = self.folder / f"{name}.partial", time.monotonic() + 120
        while time.monotonic() < deadline and (not place.exists() or place.read_bytes().count(b"\n") < lines):
            time.sleep(0.002)

    def left(self, name: str) -> set[str]:
        return {path.name for path in self.folder.iterdir() if name in path.name}


@pytest.fixture
def runs(tmp_path: Path, tiny_model: Path) -> Runs:
    return Runs(tmp_path, tiny_model)


def kill_and_go_on(runs: Runs, name: str, draw: random.Random, seconds: float, most: int) -> int:
    """Kill runs of one output at random moments until one ends by itself; return how many were, at most `most`."""
    for number in range(most):
        process = runs.start("-o", name, "--resume")
        try:
            process.communicate(timeout=draw.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            assert not (runs.folder / name).exists() or process.poll() is not None or _is_complete(runs, name)
            process.kill()
            process.communicate()
            continue
        assert process.returncode == 0
        return number
    runs.finish("-o", name, "--resume")
    return most


def _is_complete(runs: Runs, name: str) -> bool:
    """An output appears under its name when it is complete, shortly before its run ends."""
    return (runs.folder / name).read_bytes() == (runs.folder / f"whole.{name.partition('.')[2]}").read_bytes()


@pytest.mark.parametrize("format", ["tsv", "bcf"])
def test_killed_anywhere_and_gone_on_with_it_writes_the_same_bytes(runs: Runs, format: str) -> None:
    expected, draw, name = runs.whole(format), random.Random(3), f"out.{format}"
    for _ in range(2):
        process = runs.start("-o", name, "--resume")
        runs.journalled(name, draw.randint(1, 5))
        process.kill()
        process.communicate()
    assert kill_and_go_on(runs, name, draw, seconds=1.0, most=1) <= 1
    assert (runs.folder / name).read_bytes() == expected
    assert runs.left("out") <= {name, f"{name}.csi"}


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_two_hundred_kills(runs: Runs, format: str) -> None:
    """34 for each format. Prints what became of them, for docs/reference/reliability.md."""
    began = time.monotonic()
    expected = runs.whole(format)
    seconds, draw, killed, rounds = time.monotonic() - began, random.Random(format), 0, 0
    while killed < 34:
        name = f"out{rounds}.{format}"
        killed += kill_and_go_on(runs, name, draw, 1.1 * seconds, 34 - killed)
        assert (runs.folder / name).read_bytes() == expected
        assert runs.left(f"out{rounds}.") <= {name, f"{name}.tbi", f"{name}.csi"}
        rounds += 1
    print(f"{format}: {killed} kills, {rounds} outputs, all the bytes of an undisturbed run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(runs: Runs, number: signal.Signals, code: int) -> None:
    expected = runs.whole("tsv")
    process = runs.start("-o", "out.tsv")
    runs.journalled("out.tsv", 2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == code
    assert runs.left("out") == {"out.tsv.partial"}
    assert "--resume" in stderr and "out.tsv.partial" in stderr and "Traceback" not in stderr
    stderr = runs.finish("-o", "out.tsv", "--resume")
    assert "going on with out.tsv.partial" in stderr
    assert (runs.folder / "out.tsv").read_bytes() == expected and runs.left("out") == {"out.tsv"}


def test_a_full_disk_keeps_what_is_done(runs: Runs) -> None:
    """A limit on the size of files fails as a full disk does."""
    expected = runs.whole("tsv")
    process = runs.start("-o", "out.tsv", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in stderr and "internal" not in stderr
    assert "File too large" in stderr and "--resume" in stderr
    assert runs.left("out") == {"out.tsv.partial"}
    runs.finish("-o", "out.tsv", "--resume")
    assert (runs.folder / "out.tsv").read_bytes() == expected


def test_a_run_is_gone_on_with_only_as_it_was(runs: Runs, call: Call) -> None:
    process = runs.start("-o", "out.tsv")
    runs.journalled("out.tsv", 4)
    process.kill()
    process.communicate()
    command = ("score-variants", "genome.fa", "calls.vcf", "--no-version", "--null", "12", "-o", "out.tsv")
    refused = call(*command)
    assert refused.exit_code == 2 and "--no-resume" in refused.stderr
    for options, says in (
        (("--suffix", "64"), "another suffix: 128, now 64"),
        (("--null", "13"), "another null"),
        (("--circular", "all"), "another circular"),
        (("--strand", "forward"), "another strand"),
    ):
        refused = call(*command, "--resume", *options)
        assert refused.exit_code == 2 and says in refused.stderr, refused.stderr
    (runs.folder / "genome.fa").write_text(f">c1\n{SEQUENCE}A\n")
    assert "another genome" in call(*command, "--resume").stderr
    (runs.folder / "genome.fa").write_text(f">c1\n{SEQUENCE}\n")
    (runs.folder / "calls.vcf").write_text(body(seed=2))
    refused = call(*command, "--resume")
    assert refused.exit_code == 1 and "does not belong to this input" in refused.stderr
    assert runs.left("out") == {"out.tsv.partial"}
    again = call(*command, "--no-resume")
    assert again.exit_code == 0 and runs.left("out") == {"out.tsv"}


@pytest.mark.parametrize("format", FORMATS)
def test_shards_merged_are_the_whole(runs: Runs, call: Call, format: str) -> None:
    command = ("score-variants", "genome.fa", "calls.vcf", "--no-version")
    names = [f"{index}.{format}" for index in (1, 2, 3)]
    assert call(*command, "-o", f"whole.{format}").exit_code == 0
    for index, name in enumerate(names, 1):
        assert call(*command, "-o", name, "--shard", f"{index}/3").exit_code == 0
    merged = CliRunner().invoke(app, ["merge", *reversed(names), "-o", f"out.{format}"])
    assert merged.exit_code == 0, merged.stderr
    assert (runs.folder / f"out.{format}").read_bytes() == (runs.folder / f"whole.{format}").read_bytes()
    for suffix in (".tbi", ".csi"):
        one, other = (runs.folder / f"{name}.{format}{suffix}" for name in ("whole", "out"))
        assert one.exists() == other.exists() and (not one.exists() or one.read_bytes() == other.read_bytes())
    if format == "tsv":
        _check_that_merge_refuses(runs.folder, names)


@pytest.mark.usefixtures("runs")
def test_the_examples_of_merge_work(call: Call) -> None:
    command = ("score-variants", "genome.fa", "calls.vcf")
    Path("shards").mkdir()
    for index in range(1, 5):
        for name in (f"scores.{index}of4.tsv", f"shards/{index}.vcf.gz"):
            assert call(*command, "--shard", f"{index}/4", "-o", name).exit_code == 0
    examples = [line.split()[1:] for line in (merge.__doc__ or "").splitlines() if line.startswith("      dnahnet")]
    assert len(examples) == 2
    for words in examples:
        given = [path for word in words for path in (sorted(glob.glob(word)) if "*" in word else [word])]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 0, result.stderr
        assert Path(given[-1]).stat().st_size > 0


def _check_that_merge_refuses(folder: Path, names: list[str]) -> None:
    one, two, three = names
    text = (folder / two).read_text().splitlines(keepends=True)
    (folder / "short.tsv").write_text("".join(text[:-1]))
    (folder / "cut.tsv").write_text("".join(text)[:-5])
    (folder / "other.tsv").write_text("".join(text).replace(", run ", ", run 0"))
    for given, says in (
        ((one, three), "1 of 3 shards are missing: 2"),
        ((one, two, two, three), "both shard 2 of 3"),
        ((one, "short.tsv", three), "it is not whole"),
        ((one, "cut.tsv", three), "cut off"),
        ((one, "other.tsv", three), "different runs"),
        ((one, two, "whole.tsv"), "not the output of a run with --shard"),
    ):
        result = CliRunner().invoke(app, ["merge", *given, "-o", "merged.tsv"])
        assert result.exit_code == 1 and says in result.stderr, result.stderr
        assert not list(folder.glob("*merged.tsv*"))


def test_a_shard_is_gone_on_with_too(runs: Runs) -> None:
    options = ("-o", "out.tsv", "--shard", "2/2")
    runs.finish(*options)
    expected = (runs.folder / "out.tsv").read_bytes()
    process = runs.start(*options)
    runs.journalled("out.tsv", 2)
    process.kill()
    process.communicate()
    runs.finish(*options, "--resume")
    assert (runs.folder / "out.tsv").read_bytes() == expected


@pytest.mark.usefixtures("runs")
def test_what_cannot_be_is_said_at_once(call: Call) -> None:
    for variants, options, says in (
        ("calls.vcf", ("--shard", "3/2"), "I/N"),
        ("calls.vcf", ("--resume",), "-o"),
        ("-", ("--shard", "1/2"), "twice"),
    ):
        refused = call("score-variants", "genome.fa", variants, *options)
        assert refused.exit_code == 2 and says in refused.stderr
