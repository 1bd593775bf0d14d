"""Runs that are really trained: what they keep, that they are the same again, and what a kill or damage does."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dnahnet_cli.benchmarking.ladder import Spec, per_base
from dnahnet_cli.benchmarking.runs import Run, RunFolder, check_heldout, window_bits
from dnahnet_cli.benchmarking.sizes import SIZES
from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.training.evaluation import evaluate
from dnahnet_cli.training.packed import Corpus, Genome
from tests.benchmarking.ladders import BUDGET, CORPUS, HELD, MOTIF, OTHER, SETUP, small_folder
from tests.conftest import random_codes
from tests.training.runs import Killed

SPEC = Spec("dnahnet", "150k", BUDGET, 1, 2e-3)


@pytest.mark.parametrize("arch", ["dnahnet", "random-chunks", "striped-hyena2"])
def test_a_run_spends_its_budget_and_is_kept(tmp_path: Path, arch: str) -> None:
    folder, spec = small_folder(tmp_path), replace(SPEC, arch=arch)
    run = folder.make(spec)
    assert run.status == "ok" and run.spec == spec
    a_step = 3 * 128 * per_base(spec.config, 64)
    assert BUDGET <= run.flops <= BUDGET + 3 * a_step  # it looks after every step, and dnaHNet's steps vary
    assert run.bases == 128 * run.steps
    assert {name: len(bits) for name, bits in run.bits.items()} == {"held": 3, "other": 3}
    assert 0 < run.mean < 5 and len(run.cuts) == (0 if arch == "striped-hyena2" else 2)
    assert run.parameters == build(spec.config).num_parameters()
    assert small_folder(tmp_path).find(spec) == replace(run, cuts=list(run.cuts))
    assert [path.name for path in tmp_path.iterdir()] == [folder.path(spec).name]


def test_a_run_is_the_same_again_and_another_with_another_seed(tmp_path: Path) -> None:
    one, other = small_folder(tmp_path / "1").make(SPEC), small_folder(tmp_path / "2").make(SPEC)
    assert (one.bits, one.flops, one.steps) == (other.bits, other.flops, other.steps)
    assert small_folder(tmp_path / "2").make(replace(SPEC, seed=2)).bits != one.bits


def test_all_architectures_of_a_seed_read_the_same_windows(tmp_path: Path) -> None:
    folder = small_folder(tmp_path)
    batches = []
    for arch in ("dnahnet", "mamba2"):
        trainer = folder._trainer(replace(SPEC, arch=arch), tmp_path / arch, print)
        batches.append([trainer.sampler.batch(step, 2, 64).tokens.tolist() for step in range(5)])
    assert batches[0] == batches[1]


def test_what_a_run_depends_on_is_in_its_name(tmp_path: Path) -> None:
    folder = small_folder(tmp_path)
    others = [
        small_folder(tmp_path, setup=replace(SETUP, tokens_per_step=256)),
        small_folder(tmp_path, setup=replace(SETUP, heldout_windows=2)),
        small_folder(tmp_path, setup=replace(SETUP, dtype="bfloat16")),
        small_folder(tmp_path, corpus=Corpus((MOTIF,), (HELD,))),
    ]
    paths = {other.path(SPEC) for other in others} | {folder.path(replace(SPEC, learning_rate=1e-3))}
    assert len(paths | {folder.path(SPEC)}) == 6
    assert small_folder(tmp_path, setup=replace(SETUP, device="cuda")).path(SPEC) == folder.path(SPEC)


def test_a_killed_run_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_folder(tmp_path)

    def die(*arguments: object) -> None:
        raise Killed

    monkeypatch.setattr("dnahnet_cli.training.loop.Trainer.evaluate", die)
    with pytest.raises(Killed):
        folder.make(SPEC)
    assert list(tmp_path.iterdir()) == [] and folder.find(SPEC) is None
    # Killed by the system it leaves its folder, which the next attempt takes away.
    monkeypatch.undo()
    left = folder.path(SPEC).with_suffix(".partial")
    left.mkdir()
    (left / "curve.csv").write_text("no curve at all")
    assert folder.make(SPEC).status == "ok" and not left.exists()


def test_a_run_that_diverges_is_a_result(tmp_path: Path) -> None:
    folder, spec = small_folder(tmp_path), replace(SPEC, learning_rate=1e30)
    run = folder.make(spec)
    assert (run.status, run.bits, run.cuts) == ("diverged", {}, ()) and math.isnan(run.mean)
    assert small_folder(tmp_path).find(spec) == replace(run, cuts=[])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "dnahnet ladder run 1"}', "\xff"])
def test_a_file_that_is_no_run_is_named(tmp_path: Path, text: str) -> None:
    folder = small_folder(tmp_path)
    folder.path(SPEC).write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"seed1-.*not a run of a ladder"):
        folder.find(SPEC)


def test_a_run_belongs_to_one_process_until_it_ends(tmp_path: Path) -> None:
    folder = small_folder(tmp_path)
    hold = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    lock = folder.path(SPEC).with_suffix(".lock")
    with subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with folder.claim(SPEC) as mine:
            assert not mine
        other.kill()
        other.wait()
        with folder.claim(SPEC) as mine:
            assert mine
    assert not lock.exists()


def test_bits_by_window_average_to_those_of_the_trainer() -> None:
    model = build(SIZES["150k"]["dnahnet"])
    bits, cuts = window_bits(model, CORPUS.heldout, 5, 100, at_once=200)
    found = evaluate(model, CORPUS.heldout, 5, 100)
    for name, windows in bits.items():  # no N: windows of like weight
        assert sum(b for b in windows if b is not None) / 5 == pytest.approx(found.bits[name], abs=1e-5)
    assert cuts == pytest.approx(found.cuts, abs=0.02)  # means over groups of windows, which differ in chunks


def test_a_window_of_n_has_no_bits() -> None:
    codes = random_codes(300, 1)
    codes[:100] = 4
    bits, _ = window_bits(build(SIZES["150k"]["transformer"]), [Genome("n", "N", [codes])], 2, 100)
    assert bits["n"][0] is None and bits["n"][1] is not None
    spec = Spec("transformer", "150k", 1.0, 1, 1.0)
    assert Run(spec, "ok", 1, 1, 1, 1.0, 1.0, {"n": [None, 1.5], "m": [2.5]}, (), {}).mean == 2.0


def test_nothing_held_out_is_refused_before_any_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is held out"):
        check_heldout(Corpus((MOTIF,)), SETUP)
    with pytest.raises(InputError, match="held: its longest contig"):
        check_heldout(CORPUS, replace(SETUP, heldout_length=650))
    check_heldout(Corpus((MOTIF,), (OTHER,)), replace(SETUP, heldout_length=650))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        RunFolder(tmp_path / "file", SETUP, CORPUS)
