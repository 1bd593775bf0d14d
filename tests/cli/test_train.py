"""train: genomes in, weights out; what is interrupted goes on; what cannot be done is said before it is begun."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.cli.train import _PausingOnSignals
from dnahnet_cli.errors import OutputError
from dnahnet_cli.genome import decode
from dnahnet_cli.networks.weights import find_model, save_weights
from dnahnet_cli.training import hardware
from dnahnet_cli.training.checkpoint import latest_checkpoint, load_checkpoint
from dnahnet_cli.training.corpus import read_corpus
from dnahnet_cli.training.parts import write_parts
from tests.cli.conftest import Run
from tests.conftest import lively_model, random_codes
from tests.training.genomes import write_fasta
from tests.training.runs import config_of, files_limited_to, reproducible, rows, trainer

GENOMES = ["Bacillus_a.fa", "Listeria_b.fa", "Vibrio_c.fa"]
# Steps of 20 ms, and no measurement that depends on what else the machine does.
SMALL = [
    "--preset", "tiny", "--tokens-per-step", "256", "--length", "128", "--final-length", "256", "-t", "1",
    "--dtype", "float32", "--markov-order", "0",
]  # fmt: skip
HELD = ["--heldout", "Vibrio_c"]


@pytest.fixture
def genomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with three genomes in it, on a machine that need not be measured."""
    monkeypatch.setattr(hardware, "matmul_ceiling", lambda *arguments: 1e11)
    for seed, name in enumerate(GENOMES):
        write_fasta(tmp_path / name, random_codes(9000, seed))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments: str | Path) -> Result:
    """Run the command in this process: no time is spent on starting another one."""
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def refused(result: Result, exit_code: int, *says: str) -> None:
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("dnahnet: ") and len(lines) <= 2 and "internal error" not in result.stderr
    assert all(text in result.stderr for text in says), result.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- from genomes to weights ---


def test_weights_are_trained_evaluated_and_used(genomes: Path, run: Run) -> None:
    result = run(
        "train", *GENOMES, *HELD, "--preset", "tiny", "--steps", "6", "--tokens-per-step", "256", "--length", "128",
        "--final-length", "256", "-t", "1", "--markov-order", "3", "--checkpoint-minutes", "0", "-o", "out/run",
        "--save", "mine.safetensors", "--export", "carry", "--json-summary", "summary.json", model=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)
    assert summary == json.loads((genomes / "summary.json").read_text())
    assert (summary["command"], summary["steps"]) == ("train", 6) and summary["bases_seen"] > 6 * 256
    table = summary["heldout_bits_per_base"]
    assert table["network"].keys() == table["markov3"].keys() == {"mean", "Vibrio_c"}
    assert 1.9 < table["network"]["mean"] < 2.5 and 1.9 < table["markov3"]["mean"] < 2.1
    assert [row["target"] for row in summary["boundaries"]] == [1 / 3, 1 / 2]
    assert summary["promotion"]["done"] and "old" not in summary["promotion"]
    for text in ("168,188 parameters, 2 genomes, 18,000 bases", "Vibrio_c", "weights written to mine.safetensors"):
        assert text in result.stderr
    assert "Warning" not in result.stderr

    folder = genomes / "out" / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint-00000006", "curve.csv", "curve.png", "model.json", "model.safetensors", "stable"
    ]  # fmt: skip
    assert len(rows(folder)) == 3  # before the decay, in it, and the evaluation
    assert load_checkpoint(genomes / "carry").facts["step"] == 6
    card = find_model(str(genomes / "mine.safetensors")).card
    assert [record["name"] for record in card["data"]["manifest"]] == ["Bacillus_a", "Listeria_b", "Vibrio_c"]
    assert card["promotion"]["before"] is None
    assert str(genomes) not in json.dumps(card)

    used = CliRunner().invoke(
        app, ["boundaries", GENOMES[0], "--model", "mine.safetensors", "-t", "1", "-r", "c0:1-900"]
    )
    assert used.exit_code == 0, used.stderr
    assert sum("\tstage2\t" in row for row in used.stdout.splitlines()) > 100


def test_without_held_out_genomes_nothing_is_claimed(genomes: Path) -> None:
    result = train(*GENOMES, "--no-heldout", *SMALL, "--steps", "2")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["heldout_bits_per_base"] == {}
    assert "nothing was held out" in result.stderr
    card = find_model("run/model.safetensors").card
    assert card["heldout_bits_per_base"] == {} and card["data"]["split"] == "nothing was held out"


def test_a_run_begins_with_trained_weights(genomes: Path) -> None:
    first = train(*GENOMES, *HELD, *SMALL, "--steps", "5", "-o", "first", "--save", "mine.safetensors")
    assert first.exit_code == 0, first.output
    result = train(
        *GENOMES, "--heldout", "Bacillus_a", *SMALL[2:], "--steps", "1", "--learning-rate", "1e-12",
        "--from", "mine.safetensors", "-o", "second",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    seen = f"{json.loads(first.stdout)['bases_seen']:,} bases"
    assert f"begins with mine, which has seen {seen}; it was trained on Bacillus, which is held out" in result.stderr
    card = json.loads((genomes / "second" / "model.json").read_text())
    assert card["training"]["begun_from"]["sha256"] == find_model("mine.safetensors").sha256
    assert card["data"]["split"].endswith("were trained on Bacillus")
    info = CliRunner().invoke(app, ["models", "second/model.safetensors"])
    assert f"begun from   mine ({seen} seen)" in info.stdout, info.output
    other = train(*GENOMES, *HELD, *SMALL, "--steps", "1", "-o", "third")
    assert json.loads(result.stdout)["heldout_bits_per_base"] != json.loads(other.stdout)["heldout_bits_per_base"]
    # Not among better weights: what is held out here those weights have seen.
    kept = contents(genomes)
    for option in ("--from", "--resume-from"):
        begin = [option, "mine.safetensors" if option == "--from" else "first/stable"]
        refused(
            train(*GENOMES, "--heldout", "Bacillus_a", *SMALL, *begin, "-o", "x", "-q", "--save", "best.safetensors"),
            2, "--save best.safetensors: the run begins with weights trained on Bacillus, which is held out here",
        )  # fmt: skip
    assert contents(genomes) == kept
    resumed = train(*GENOMES, "--heldout", "Bacillus_a", *SMALL, "--steps", "6", *begin, "-o", "fourth")
    assert resumed.exit_code == 0, resumed.output
    assert "first/stable was trained on Bacillus, which is held out here: no test of unseen genera" in resumed.stderr
    assert json.loads((genomes / "fourth" / "model.json").read_text())["data"]["split"].endswith("trained on Bacillus")
    # Gone on with by the same command, as a batch system would repeat it.
    again = train(
        *GENOMES, "--heldout", "Bacillus_a", *SMALL[2:], "--steps", "1", "--learning-rate", "1e-12",
        "--from", "mine.safetensors", "-o", "second", "--resume",
    )  # fmt: skip
    assert again.exit_code == 0 and json.loads(again.stdout)["steps"] == 1, again.output


def test_weights_that_are_better_stay(genomes: Path) -> None:
    """Whatever a run makes, it does not replace weights that are better on the held-out species."""
    guessing = lively_model()
    guessing.head.weight.zero_()
    save_weights(guessing, genomes / "mine.safetensors", {"note": "1/4 of every base"})
    before = contents(genomes)
    result = train(*GENOMES, *HELD, *SMALL, "--steps", "2", "--save", "mine.safetensors")
    assert result.exit_code == 0, result.stderr
    promotion = json.loads(result.stdout)["promotion"]
    assert not promotion["done"] and promotion["new"] > promotion["old"] == pytest.approx(2)
    assert "weights not written, no better than mine.safetensors" in result.stderr
    assert contents(genomes).items() >= before.items()


def test_a_picture_that_cannot_be_drawn_costs_nothing_else(genomes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    result = train(*GENOMES, *HELD, *SMALL, "--steps", "2", "--save", "mine.safetensors", "--json-summary", "s.json")
    assert result.exit_code == 0, result.output
    assert "no picture of the loss curve: run/curve.png: cannot be drawn: No space left on device" in result.stderr
    assert json.loads(result.stdout) == json.loads((genomes / "s.json").read_text())
    assert json.loads(result.stdout)["promotion"]["done"]


def test_what_fails_at_the_end_does_not_cost_the_export(genomes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OutputError("a full disk")

    monkeypatch.setattr("dnahnet_cli.cli.train_end.save_weights", full)
    refused(train(*GENOMES, *HELD, *SMALL, "--steps", "2", "-q", "--export", "carry"), 1, "a full disk")
    assert load_checkpoint(genomes / "carry").facts["step"] == 2


def test_quiet_says_nothing_but_the_summary(genomes: Path) -> None:
    """And lower case and N are read as everywhere."""
    text = decode(random_codes(9000, 8)).lower()
    (genomes / "soft_masked.fa").write_text(f">a\n{text[:4000]}{'n' * 300}{text[4000:]}\n")
    result = train("soft_masked.fa", *HELD, "Vibrio_c.fa", *SMALL, "--steps", "1", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["steps"] == 1
    assert find_model("run/model.safetensors").card["data"]["bases"] == 9300


# --- stopped and resumed ---


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dnahnet_cli", "train", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_that_is_killed_and_stopped_ends_as_if_it_had_not_been(genomes: Path) -> None:
    """kill -9 and SIGINT, at moments that nobody chose: weights to the last bit, and the curve's rows."""
    arguments = [*GENOMES, *HELD, *SMALL, "--steps", "80", "--checkpoint-minutes", "0"]
    folder = genomes / "run"
    process = start(*arguments)
    wait_for(lambda: latest_checkpoint(folder) is not None, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    known = len(rows(folder))
    process = start(*arguments, "--resume")
    wait_for(lambda: len(rows(folder)) > known, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (130, ""), stderr
    latest = latest_checkpoint(folder)
    assert latest is not None
    step = load_checkpoint(latest).facts["step"]
    assert 20 < step < 80 and stderr.splitlines()[-1] == f"paused at step {step}; --resume goes on"

    before = contents(genomes)
    says = f"run holds a run already ({latest.name}): --resume goes on with it, -o chooses another"
    refused(train(*arguments), 2, says)
    assert contents(genomes) == before

    result = train(*arguments, "--resume")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == 80

    corpus = read_corpus([Path(name) for name in GENOMES], ["Vibrio_c"])
    undisturbed = trainer(genomes / "undisturbed", config_of(folder), corpus=corpus)
    undisturbed.run()
    save_weights(undisturbed.model, genomes / "undisturbed.safetensors", {})
    weights = (folder / "model.safetensors").read_bytes()
    assert weights == (genomes / "undisturbed.safetensors").read_bytes()
    assert reproducible(folder) == reproducible(undisturbed.folder)


def test_a_second_signal_does_not_wait_for_the_step() -> None:
    run = SimpleNamespace(stopped_by=0)
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), _PausingOnSignals(run):  # type: ignore[arg-type]
            os.kill(os.getpid(), signal.SIGINT)
            assert run.stopped_by == signal.SIGINT
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        signal.signal(signal.SIGINT, outside)


def test_a_run_is_carried_elsewhere_in_small_files(genomes: Path) -> None:
    """Paused by --stop-after, exported without the optimiser's state, gone on with in another folder."""
    arguments = [*GENOMES, *HELD, *SMALL, "--steps", "40"]
    result = train(*arguments, "--stop-after", "0.005", "--export", "out/export", "--part-size", "1")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert "--resume goes on" in result.stderr
    step = load_checkpoint(genomes / "out" / "export").facts["step"]
    assert 0 < step < 40
    assert all(path.stat().st_size <= 1 << 20 for path in genomes.rglob("part-*"))
    assert len(list((genomes / "run").glob("checkpoint-*/part-*"))) >= 2

    elsewhere = train(*arguments, "-o", "elsewhere", "--resume-from", "out/export")
    assert elsewhere.exit_code == 0, elsewhere.stderr
    assert json.loads(elsewhere.stdout)["steps"] == 40
    curve = rows(genomes / "elsewhere")
    assert [int(row["step"]) for row in curve][-2:] == [40, 40]

    at_home = train(*arguments, "-o", "home", "--resume-from", latest_checkpoint(genomes / "elsewhere") or "none")
    assert at_home.exit_code == 0, at_home.stderr  # trains no further, but evaluates
    assert json.loads(at_home.stdout)["heldout_bits_per_base"] == json.loads(elsewhere.stdout)["heldout_bits_per_base"]
    assert (genomes / "home" / "model.safetensors").read_bytes() == (
        genomes / "elsewhere" / "model.safetensors"
    ).read_bytes()

    kept = contents(genomes)
    refused(train(*arguments, "-o", "home", "--resume-from", "out/export"), 2, "home holds a run already")
    refused(train(*arguments, "-o", "new", "--resume-from", "missing"), 1, "missing: not a checkpoint")
    refused(
        train(*arguments, "--preset", "small", "-o", "new", "--resume-from", "out/export"),
        1, "out/export: a checkpoint of another network; give the --preset that it was begun with",
    )  # fmt: skip
    assert contents(genomes) == kept


def test_a_run_is_finished_elsewhere_with_its_curve_and_its_card(genomes: Path) -> None:
    """Trained further by nobody, whatever options and genomes are given there; the curve is that of the whole run."""
    arguments = [*GENOMES, *HELD, *SMALL]
    first = train(*arguments, "--steps", "50", "-o", "first", "--export", "out/export")
    assert first.exit_code == 0, first.stderr
    finish = train(
        *GENOMES[1:2], "--heldout", GENOMES[2], *SMALL[:2], *SMALL[-6:], "--steps", "50", "-o", "finish",
        "--resume-from", "out/export",
    )  # fmt: skip
    assert finish.exit_code == 0, finish.stderr
    assert "other settings" not in finish.stderr
    assert rows(genomes / "finish") == rows(genomes / "first") and len(rows(genomes / "first")) >= 4
    cards = [find_model(f"{name}/model.safetensors").card for name in ("first", "finish")]
    assert cards[0] == cards[1]
    assert cards[0]["training"]["tokens_per_step"] == 256 and cards[0]["data"]["genomes"] == 2
    # And once more in its place, which adds no row.
    again = train(*GENOMES[1:], *HELD, *SMALL, "--steps", "50", "-o", "finish", "--resume")
    assert again.exit_code == 0, again.stderr
    assert rows(genomes / "finish") == rows(genomes / "first")
    longer = train(*arguments, "--steps", "51", "-o", "finish", "--resume", "--learning-rate", "1e-4")
    assert longer.exit_code == 0, longer.stderr
    assert (
        "from step 50 on with other settings than finish/checkpoint-00000050: steps 51 (was 50), lea" in longer.stderr
    )
    changed = find_model("finish/model.safetensors").card["training"]["changed_settings"]
    assert [(each["from_step"], each["learning_rate"]) for each in changed] == [(0, 0.003), (50, 1e-4)]


def test_parts_that_come_later_are_waited_for_and_trained_on(genomes: Path) -> None:
    corpus = read_corpus([Path(name) for name in GENOMES], ["Vibrio_c"])
    parts = write_parts(corpus, genomes / "packed", 8000)
    assert len(parts) == 2
    (genomes / "parts").mkdir()
    arguments = ["parts", "--watch", *SMALL, "--steps", "200", "--checkpoint-minutes", "0"]
    process = start(*arguments)
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting for a part file in parts\n"
    shutil.copy(parts[0], genomes / "parts")
    wait_for(lambda: (genomes / "run" / "curve.csv").exists() and len(rows(genomes / "run")) > 0, process)
    shutil.copy(parts[1], genomes / "parts")
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("2 genomes, "):
            break
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (143, ""), stderr
    assert "168,188 parameters, 1 genomes, 9,000 bases" in seen[0]
    finished = train(*arguments, "--resume", "--steps", "1")
    assert finished.exit_code == 0, finished.stderr
    card = find_model("run/model.safetensors").card
    assert card["data"]["genomes"] == 2 and card["data"]["bases"] == 18_000


# --- what cannot be done ---


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["--preset", "huge"], 2, "--preset huge: expected one of tiny, small"),
        (["--minutes", "1", "--steps", "5"], 2, "not both"),
        (["--minutes", "0"], 2, "--minutes above 0"),
        (["--minutes", "inf"], 2, "--minutes above 0"),
        (["--learning-rate", "0"], 2, "--learning-rate 0"),
        (["--learning-rate", "nan"], 2, "--learning-rate nan"),
        (["--save", "weights.pt"], 2, "--save weights.pt: expected a .safetensors file in a folder that exists"),
        (["--save", "none/w.safetensors"], 2, "in a folder that exists"),
        (["--save", "broken.safetensors"], 1, "broken.safetensors: its model card broken.json is missing"),
        (["--export", "photos"], 1, "photos holds more than a checkpoint (1.jpg)"),
        (["--export", "."], 1, "holds more than a checkpoint"),
        (["--export", "run"], 2, "--export run: the run itself keeps its files there"),
        (["--export", "run/stable"], 2, "--export run/stable: the run itself keeps its files there"),
        (["--export", "run/checkpoint-00000005"], 2, "the run itself keeps its files there"),
        (["--export", "new", "-o", "new/run"], 2, "--export new: the run itself keeps its files there"),
        (["--export", "Bacillus_a.fa/x"], 1, "Bacillus_a.fa is a file, where a folder is to be"),
        (["--export", "empty", "--save", "empty/w.safetensors"], 2, "--export empty: --save writes there too"),
        (["--export", "empty", "--json-summary", "empty/s.json"], 2, "--export empty: --json-summary writes there too"),
        (["--save", "w.safetensors", "--json-summary", "w.json"], 2, "w.json: --save writes a file of this name too"),
        (["-o", "empty", "--json-summary", "empty/model.json"], 2, "model.json: --output writes a file of this name"),
        (["-o", "empty", "--json-summary", "./empty/curve.csv"], 2, "--output writes a file of this name too"),
        (["--json-summary", "Bacillus_a.fa"], 2, "The output Bacillus_a.fa is also an input"),
        (["--json-summary", "photos"], 1, "photos is a directory"),
        (["--save", "notes.safetensors"], 1, "notes.json is there without notes.safetensors, whose card would replace"),
        (["--part-size", "inf"], 2, "--part-size inf: expected a finite number"),
        (["--stop-after", "-1"], 2, "--stop-after -1: expected a finite number of at least 0"),
        (["--stop-after", "nan"], 2, "--stop-after nan"),
        (["--checkpoint-minutes", "inf"], 2, "--checkpoint-minutes inf"),
        (["-o", "Bacillus_a.fa"], 2, "-o Bacillus_a.fa is a file: expected a folder"),
        (["--heldout", "Vibrio_d"], 1, "no genome or file 'Vibrio_d' to hold out"),
        (["--heldout", "Bacillus_a", "--heldout", "Listeria_b"], 1, "all are held out"),
        (["--watch"], 2, "--watch takes one folder of part files"),
        (["short.fa"], 1, "short: its longest contig has 4000 bases, fewer than 4096"),
        (["--device", "abacus"], 2, "--device abacus"),
        (["--decay", "0.5", "--schedule", "cosine"], 2, "--decay is for --schedule stable"),
        (["--from", "broken.safetensors"], 1, "broken.safetensors: its model card broken.json is missing"),
        (["--from", "photos"], 1, "photos: not a checkpoint"),
        (["--from", "nothing"], 1, "no model named 'nothing'; bundled: dnahnet-small, dnahnet-tiny"),
        (["--from", "dnahnet-tiny", "--arch", "mamba2"], 2, "dnahnet-tiny is a network of architecture dnahnet"),
        (["--from", "dnahnet-small"], 1, "dnahnet-small has widths (64, 128, 192), the preset (32, 48, 64): only"),
        (["--from", "dnahnet-tiny", "--resume-from", "x"], 2, "--resume-from goes on with a run, --from begins one"),
    ],
)
def test_what_cannot_be_done_is_said_before_it_is_begun(
    genomes: Path, arguments: list[str], exit_code: int, says: str
) -> None:
    (genomes / "photos").mkdir()
    (genomes / "photos" / "1.jpg").write_text("x")
    (genomes / "broken.safetensors").write_text("x")
    (genomes / "notes.json").write_text('{"mine": 1}')
    (genomes / "empty").mkdir()
    write_fasta(genomes / "short.fa", random_codes(4000, 9))
    heldout = ["--heldout", "short"] if "short.fa" in arguments else HELD
    before = contents(genomes)
    refused(train(*GENOMES, *heldout, *SMALL, *arguments), exit_code, says)
    assert contents(genomes) == before


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.fa", "", "empty.fa"),
        ("none.fa", ">a\n>b\n", "none.fa holds no bases"),
        ("protein.fa", ">sp|P1\n" + "MKTAYIAKQRQISFVKSHFSRQ" * 300, "protein.fa does not hold nucleotides"),
        ("table.tsv", "chrom\tpos\n1\t2\n", "table.tsv"),
        ("missing.fa", None, "missing.fa does not exist"),
    ],
)
def test_files_that_are_no_genomes_are_named(genomes: Path, name: str, text: str | None, says: str) -> None:
    if text is not None:
        (genomes / name).write_text(text)
    refused(train(*GENOMES, name, *HELD, *SMALL, "--steps", "1"), 1, says)
    assert not (genomes / "run").exists()


def test_a_run_without_held_out_genomes_must_be_meant(genomes: Path) -> None:
    refused(train(*GENOMES, *SMALL), 1, "no genome is held out", "--heldout", "--no-heldout")
    refused(
        train(*GENOMES, "--no-heldout", "--save", "w.safetensors", *SMALL),
        2, "--save w.safetensors: only weights that were evaluated go there, and nothing is held out",
    )  # fmt: skip
    assert not (genomes / "run").exists()


def test_options_out_of_range_are_usage_errors(genomes: Path) -> None:
    for arguments in (
        ["--steps", "0"], ["--length", "0"], ["--schedule", "step"], ["--markov-order", "12"], ["--seed", "-1"],
        ["--seed", "99999999999999999999"], ["--part-size", "nan"],
        ["--checkpoint-minutes", "nan"], ["--decay", "nan"],
    ):  # fmt: skip
        result = train(*GENOMES, *HELD, *SMALL, *arguments)
        assert (result.exit_code, result.stdout) == (2, "") and arguments[0] in result.stderr


def test_a_run_that_diverges_says_so(genomes: Path) -> None:
    result = train(*GENOMES, *HELD, *SMALL, "--steps", "40", "--learning-rate", "1e30", "-q")
    refused(result, 1, "the loss is no longer a number at step 20", "lower --learning-rate")
    assert latest_checkpoint(genomes / "run") is None


def test_a_full_disk_is_said_and_the_run_goes_on_later(genomes: Path) -> None:
    arguments = [*GENOMES, *HELD, *SMALL, "--checkpoint-minutes", "0"]
    assert train(*arguments, "--steps", "30", "--stop-after", "0.003", "-q").exit_code == 0
    earlier = latest_checkpoint(genomes / "run")
    assert earlier is not None
    with files_limited_to(1_000_000):
        result = train(*arguments, "--steps", "60", "--resume", "-q")
    refused(result, 1, "the checkpoint cannot be written", "earlier ones are unharmed")
    assert latest_checkpoint(genomes / "run") == earlier
    assert train(*arguments, "--steps", "30", "--resume", "-q").exit_code == 0


def test_a_damaged_checkpoint_is_named(genomes: Path) -> None:
    arguments = [*GENOMES, *HELD, *SMALL, "--steps", "30", "-q"]
    assert train(*arguments, "--stop-after", "0.001", "--part-size", "1").exit_code == 0
    (folder,) = (genomes / "run").glob("checkpoint-*")
    (folder / "part-002.safetensors").unlink()
    refused(train(*arguments, "--resume"), 1, folder.name, "2 of the checkpoint's 3 parts are there")
    shutil.rmtree(folder)
    assert train(*arguments, "--resume").exit_code == 0  # there is nothing to go on from, so it begins
