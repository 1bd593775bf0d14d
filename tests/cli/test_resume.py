"""Runs that are killed, stopped or starved and gone on with: the bytes of one left alone, of every command."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.forks import CASES, CONTIGS, Runs, write_inputs

TRACKS = [f"p.stage{stage}.{strand}.bw" for stage in (1, 2) for strand in ("fwd", "rev")]
PRIVATE = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), tiny_model)


def check_what_is_left(runs: Runs, place: str, whole: dict[str, bytes]) -> None:
    """After a kill: nothing under the name of an output that is not whole, and nothing that is not known."""
    for name, content in runs.files(place).items():
        assert content == whole[name] if name in whole else name.endswith(".partial") or PRIVATE.fullmatch(name), name


@pytest.mark.parametrize("case", ["variants.vcf.gz", "details", "tracks"])
def test_killed_anywhere_and_gone_on_with_it_writes_the_same_bytes(runs: Runs, case: str) -> None:
    whole, draw, place = runs.whole(case), random.Random(case), f"killed {case}"
    for lines in (2, draw.randint(3, 5)):  # the first of them says what the run is
        started = runs.start(case, place, "--resume")
        runs.wait(place, lines)
        started.kill()
        check_what_is_left(runs, place, whole)
    assert "going on with" in runs.finish(case, place, "--resume")
    assert runs.files(place) == whole


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_hundred_kills(runs: Runs, case: str) -> None:
    """18 for each of twelve. Prints what became of them, for docs/reference/reliability.md."""
    whole, draw, began = runs.whole(case), random.Random(case), time.monotonic()
    runs.finish(case, f"again {case}")
    seconds = time.monotonic() - began
    assert runs.files(f"again {case}") == whole
    kills = gone_on = outputs = 0
    while kills < 18:
        place = f"run{outputs} {case}"
        while True:
            started = runs.start(case, place, "--resume")
            if kills == 18 or started.ends(draw.uniform(0, 1.1 * seconds)):
                assert started.code() == 0, started.stderr
                break
            started.kill()
            kills += 1
            gone_on += any(name.endswith(".partial") for name in runs.files(place))
            check_what_is_left(runs, place, whole)
        assert runs.files(place) == whole
        outputs += 1
    print(f"{case}: {kills} kills, {gone_on} left a journal, {outputs} outputs, all as of an undisturbed run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(runs: Runs, number: signal.Signals, code: int) -> None:
    place = f"ended by {number}"
    started = runs.start("tracks", place)
    runs.wait(place, 3)
    assert started.kill(number) == code
    assert set(runs.files(place)) == {"out.bed.gz.partial"}
    assert "--resume" in started.stderr and "out.bed.gz.partial" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_full_disk_keeps_what_is_done(runs: Runs) -> None:
    """A limit on the size of files fails as a full disk does."""
    started = runs.start("details", "full", largest_file=10_000)
    assert started.code() == 1
    assert "File too large" in started.stderr and "--resume" in started.stderr
    assert "Traceback" not in started.stderr and "internal" not in started.stderr
    assert set(runs.files("full")) == {"out.tsv.partial"}
    runs.finish("details", "full", "--resume")
    assert runs.files("full") == runs.whole("details")


OTHERWISE = {
    "variants.tsv": ("--null", "13"),
    "details": ("--protocol", "multi"),
    "tracks": ("--stage", "1"),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "details" else pytest.mark.slow) for case in OTHERWISE]
)
def test_a_run_is_gone_on_with_only_as_it_was(tmp_path: Path, tiny_model: Path, call: Call, case: str) -> None:
    runs = Runs(tmp_path, tiny_model)
    started = runs.start(case, "out")
    runs.wait("out", 3)
    started.kill()
    left = runs.files("out")
    command = (*runs.command(case, "out"), "--no-version")
    refused = call(*command)
    assert refused.exit_code == 2 and "--no-resume" in refused.stderr
    refused = call(*command, "--resume", *OTHERWISE[case])
    assert refused.exit_code == 2 and f"another {OTHERWISE[case][0][2:]}: " in refused.stderr, refused.stderr
    Path("genome.fa").write_text("".join(f">{name}\n{bases}A\n" for name, bases in CONTIGS.items()))
    assert "another genome" in call(*command, "--resume").stderr
    write_inputs(tmp_path, seed=2)  # other variants and genes, which chunks do not depend on
    refused = call(*command, "--resume")
    if case == "tracks":
        assert refused.exit_code == 0 and set(runs.files("out")) == {"out.bed.gz", "out.bed.gz.tbi", *TRACKS}
        return
    says = "does not belong to this input" if case == "variants.tsv" else "another genes"
    assert refused.exit_code and says in refused.stderr
    assert runs.files("out")["out.tsv.partial"] == left["out.tsv.partial"]
    again = call(*command, "--no-resume")
    assert again.exit_code == 0 and not any("partial" in name for name in runs.files("out"))


@pytest.mark.slow
def test_a_shard_is_gone_on_with_too(runs: Runs) -> None:
    shard = ("--shard", "2/2")
    runs.finish("tracks", "second", *shard)
    started = runs.start("tracks", "killed", *shard)
    runs.wait("killed", 3)
    started.kill()
    runs.finish("tracks", "killed", *shard, "--resume")
    theirs, ours = runs.files("second"), runs.files("killed")
    assert theirs.keys() == ours.keys()
    for name, content in theirs.items():  # the header names the bigWigs
        assert ours[name] == content or name.startswith("out.bed.gz")


def test_what_cannot_be_is_said_at_once(call: Call) -> None:
    write_inputs(Path())
    for command, says in (
        ("score-variants genome.fa calls.vcf --shard 3/2", "I/N"),
        ("score-variants genome.fa - --shard 1/2", "twice"),
        ("essentiality genome.fa genes.bed --shard 1/2 --plot top.png", "a shard does not know"),
        ("boundaries genome.fa --shard 1/2 --features genes.bed --features-output f.tsv", "evaluate boundaries"),
        ("score-variants genome.fa calls.vcf --resume", "-o"),
        ("essentiality genome.fa --resume", "-o"),
        ("boundaries genome.fa --resume", "-o"),
    ):
        refused = call(*command.split())
        assert refused.exit_code == 2 and says in refused.stderr, refused.stderr
