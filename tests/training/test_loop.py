"""Losses by hand, steps in parts, learning on a small corpus, and runs that stop and go on exactly."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.genome import reverse_complement
from dnahnet_cli.model.chunking import StageTrace, ratio_loss
from dnahnet_cli.model.flops import flops
from dnahnet_cli.model.hnet import Output
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.training import loop
from dnahnet_cli.training.checkpoint import latest_checkpoint, load_checkpoint
from dnahnet_cli.training.evaluation import evaluate
from dnahnet_cli.training.loop import Trainer, TrainingError
from dnahnet_cli.training.objective import TrainConfig, losses, parameter_groups
from dnahnet_cli.training.packed import Corpus, Genome
from dnahnet_cli.training.parts import PartFolder, write_parts
from dnahnet_cli.training.sampler import to_batch
from dnahnet_cli.training.schedule import Schedule
from tests.conftest import random_codes
from tests.model.networks import CONFIGS, network
from tests.training.runs import (
    CONFIG,
    HELD,
    MOTIF,
    RANDOM,
    TINY,
    Killed,
    N,
    kill_at,
    make_steps,
    pause_before,
    reproducible,
    rows,
    trainer,
    watch,
)


def assert_same_parameters(one: Trainer, other: Trainer) -> None:
    for (name, p), q in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(p, q), name


def copies(run: Trainer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in run.model.parameters()]


# --- losses ---


def output_of(logits_BL4: Tensor, *rates: tuple[float, float]) -> Output:
    """Return an output whose stages have the given (F, G)."""
    length = torch.tensor([100])
    traces = (
        StageTrace(torch.full((1, 100), g), torch.arange(100).unsqueeze(0) < round(100 * f), length) for f, g in rates
    )
    return Output(logits_BL4, tuple(traces))


def test_cross_entropy_is_the_sum_over_acgt_targets() -> None:
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    targets = [[0, 3, N, 1, N], [N, 2, 2, N, N]]
    expected = []
    for row, line in enumerate(targets):
        for t, base in enumerate(line):
            if base != N:
                values = logits[row, t].double().tolist()
                expected.append(math.log(sum(math.exp(v) for v in values)) - values[base])
    cross_entropy, _ = losses(output_of(logits, (0.5, 0.5)), torch.tensor(targets), [3.0])
    assert float(cross_entropy) == pytest.approx(sum(expected), abs=1e-5)


def test_logits_at_n_targets_do_not_matter() -> None:
    logits = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.tensor([[0, N, 3, N, N, 1]])
    cross_entropy, _ = losses(output_of(logits, (0.5, 0.5)), targets, [3.0])
    (gradient,) = torch.autograd.grad(cross_entropy, logits)
    assert (gradient.abs().sum(-1)[0] > 0).tolist() == [True, False, True, False, False, True]


def test_windows_of_n_alone_teach_nothing() -> None:
    """A window within a gap of an assembly: no target, hence no loss, and above all no NaN."""
    logits = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    cross_entropy, _ = losses(output_of(logits, (0.5, 0.5)), torch.full((1, 6), N), [3.0])
    (gradient,) = torch.autograd.grad(cross_entropy, logits)
    assert float(cross_entropy.detach()) == 0
    assert not gradient.any()


def test_ratio_losses_of_all_stages_are_added() -> None:
    rates, ratios = [(0.4, 0.3), (0.2, 0.9)], [3.0, 2.0]
    output = output_of(torch.zeros(1, 2, 4), *rates)
    _, ratio = losses(output, torch.zeros(1, 2, dtype=torch.long), ratios)
    expected = sum(n / (n - 1) * ((n - 1) * f * g + (1 - f) * (1 - g)) for (f, g), n in zip(rates, ratios, strict=True))
    assert float(ratio) == pytest.approx(expected, abs=1e-5)
    assert float(ratio) == pytest.approx(
        sum(float(ratio_loss(t, n)) for t, n in zip(output.traces, ratios, strict=True))
    )


# --- parameter groups ---


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_is_in_exactly_one_group(name: str) -> None:
    model = network(name)
    grouped = [id(p) for group in parameter_groups(model, CONFIG) for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("name", [name for name in CONFIGS if name[0] != "1"])
def test_learning_rates_fall_from_the_outermost_stage_to_the_core(name: str) -> None:
    config = TrainConfig(learning_rate=0.5, stage_rates=(4.0, 2.0, 1.0))
    model = network(name)
    rate_of = {id(p): group["base_lr"] for group in parameter_groups(model, config) for p in group["params"]}
    for key, parameter in model.named_parameters():
        depth = key.count("inner.")
        assert rate_of[id(parameter)] == 0.5 * [4.0, 2.0, 1.0, 1.0][depth], key


def test_matrices_decay_but_vectors_convolutions_and_routers_do_not() -> None:
    model = network("3-mixed")
    groups = parameter_groups(model, TrainConfig(weight_decay=0.25))
    decay_of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    decaying = set()
    for key, parameter in model.named_parameters():
        last = key.split(".")[-2] if key.endswith(".weight") else key.split(".")[-1]
        if decay_of[id(parameter)]:
            assert decay_of[id(parameter)] == 0.25
            decaying.add(last)
    assert decaying == {"in_proj", "out_proj", "residual", "head", "embedding"}


# --- one step ---


def gradients_of_a_step(config: TrainConfig, windows: np.ndarray, folder: Path) -> tuple[Tensor, list[Tensor]]:
    """Return what a step on `windows` reports, and the gradients that it hands to the optimiser."""
    run = trainer(folder, config)
    handed: list[Tensor] = []

    def step() -> None:
        handed.extend(p.grad.clone() for p in run.model.parameters() if p.grad is not None)

    run.optimizer.step = step  # type: ignore[method-assign]
    return run._update(to_batch(windows), 1.0), handed


def some_windows(num_windows: int, length: int = 64) -> np.ndarray:
    """Return windows of which some have few bases, so that a mean of means is not the mean over bases."""
    windows = random_codes(num_windows * length, 7).reshape(num_windows, length)
    windows[1::2, 5:] = N
    return windows


@pytest.mark.parametrize("clip", [1e9, 0.01])
@pytest.mark.parametrize("micro_windows", [1, 2, 3, 4])
def test_a_step_in_parts_is_the_step_at_once(tmp_path: Path, micro_windows: int, clip: float) -> None:
    config = replace(CONFIG, ratio_weight=0.0, clip=clip)
    windows = some_windows(5)
    at_once, expected = gradients_of_a_step(replace(config, micro_tokens=5 * 64), windows, tmp_path)
    values, gradients = gradients_of_a_step(replace(config, micro_tokens=micro_windows * 64 + 63), windows, tmp_path)
    torch.testing.assert_close(values[[0, -1]], at_once[[0, -1]], rtol=1e-4, atol=0)
    assert len(gradients) == len(expected) > 50
    largest = max(float(gradient.abs().max()) for gradient in expected)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0, atol=1e-5 * largest)
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    assert norm == pytest.approx(min(clip, float(at_once[-1])), rel=1e-3)  # reported as it was before clipping


def test_shares_of_cuts_are_means_over_the_windows_of_all_parts(tmp_path: Path) -> None:
    """Three windows in parts of two and one: the parts count by their windows, ratio losses too."""
    windows = some_windows(3)
    values, together = gradients_of_a_step(replace(CONFIG, micro_tokens=128, clip=1e9), windows, tmp_path)
    first, first_gradients = gradients_of_a_step(replace(CONFIG, clip=1e9), windows[:2], tmp_path)
    last, last_gradients = gradients_of_a_step(replace(CONFIG, clip=1e9), windows[2:], tmp_path)
    torch.testing.assert_close(values[1:-1], (2 * first[1:-1] + last[1:-1]) / 3)
    counts = [(windows[:2] < N).sum(), (windows[2:] < N).sum()]
    assert float(values[0]) == pytest.approx(float(counts[0] * first[0] + counts[1] * last[0]) / sum(counts), rel=1e-5)
    weighted = replace(CONFIG, ratio_weight=0.0, clip=1e9)
    _, plain = gradients_of_a_step(replace(weighted, micro_tokens=128), windows, tmp_path)
    _, first_plain = gradients_of_a_step(weighted, windows[:2], tmp_path)
    _, last_plain = gradients_of_a_step(weighted, windows[2:], tmp_path)
    pairs = zip(together, plain, first_gradients, first_plain, last_gradients, last_plain, strict=True)
    for whole, without, a, a_without, b, b_without in pairs:
        expected = (2 * (a - a_without) + (b - b_without)) / 3
        torch.testing.assert_close(whole - without, expected, rtol=0, atol=2e-6)


def test_update_scales_the_base_rates(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    make_steps(run, 1, rate=0.25)
    assert {group["lr"] for group in run.optimizer.param_groups} == {
        CONFIG.learning_rate * multiple * 0.25 for multiple in CONFIG.stage_rates
    }
    before = copies(run)
    make_steps(run, 1, rate=0.0)
    assert all(torch.equal(p, q) for p, q in zip(run.model.parameters(), before, strict=True))


def test_a_step_on_nothing_but_n_leaves_the_network_sane(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    for _ in range(2):
        assert run._update(to_batch(np.full((2, 60), N, dtype=np.uint8)), 1.0)[0] == 0
    assert all(bool(p.isfinite().all()) for p in run.model.parameters())


# --- learning ---


def test_a_repeated_motif_is_learned(tmp_path: Path) -> None:
    """Random DNA costs 2 bits a base; 300 bases that always come in the same order soon cost far less."""
    run = trainer(tmp_path, TrainConfig(learning_rate=3e-3), corpus=Corpus((MOTIF,)))
    first = make_steps(run, 45, num_windows=4, length=256)[0]
    assert first > 1.9
    assert evaluate(run.model, [MOTIF], 2, 500).mean < 1.6
    assert evaluate(run.model, [RANDOM], 2, 500).mean > 1.9  # it has learned the motif, not to cheat


def test_runs_depend_on_their_seed_alone(tmp_path: Path) -> None:
    one, same = trainer(tmp_path), trainer(tmp_path)
    other = trainer(tmp_path, replace(CONFIG, seed=2))
    assert make_steps(one, 2) == make_steps(same, 2) != make_steps(other, 2)
    assert_same_parameters(one, same)


def test_a_heldout_genome_too_short_is_refused_before_training(tmp_path: Path) -> None:
    short = Genome("short", "Short", [random_codes(99, 1)])
    with pytest.raises(InputError, match="short: its longest contig has 99 bases, fewer than 100"):
        trainer(tmp_path / "run", corpus=Corpus((MOTIF,), (HELD, short)))
    assert not (tmp_path / "run").exists()


# --- whole runs, bounded by steps ---


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Return a run that was never stopped."""
    run = trainer(tmp_path_factory.mktemp("undisturbed"))
    run.run()
    return run


def resumed(folder: Path, config: TrainConfig = CONFIG) -> Trainer:
    """Return the run of a folder, ready to go on from where it stopped, or to begin."""
    run = trainer(folder, config)
    if latest := latest_checkpoint(folder):
        run.resume(latest)
    return run


def assert_the_same_run(run: Trainer, undisturbed: Trainer) -> None:
    """Compare all but what depends on the clock."""
    assert_same_parameters(run, undisturbed)
    assert reproducible(run.folder) == reproducible(undisturbed.folder)
    assert (run.step, run.bases_seen) == (undisturbed.step, undisturbed.bases_seen)
    assert run.flops == pytest.approx(undisturbed.flops, rel=1e-12)
    assert [path.name for path in run.folder.iterdir() if path.name.startswith(".")] == []


def test_a_run_warms_up_decays_and_leaves_its_files(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    seen = watch(run)
    result = run.run()
    assert result == evaluate(run.model, [HELD], 4, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-00000012", "curve.csv", "stable"]
    assert [update.step for update in seen] == list(range(12))
    short, long = seen[:9], seen[9:]  # more than 70 % of the budget is spent when 9 of 12 steps are made
    assert {(u.num_windows, u.length) for u in short} == {(2, 64)}
    assert {(u.num_windows, u.length) for u in long} == {(2, 128)}
    peak = CONFIG.learning_rate * 2
    rates = [update.rate for update in seen]
    assert rates[:3] == pytest.approx([peak / 3, peak * 2 / 3, peak])
    assert set(rates[3:9]) == {peak}
    assert rates[9:] == pytest.approx([peak * (1 - math.sqrt((step / 12 - 0.7) / 0.3)) for step in (9, 10, 11)])
    assert load_checkpoint(tmp_path / "stable").facts["step"] == 9
    assert load_checkpoint(tmp_path / "checkpoint-00000012").facts["step"] == run.step == 12
    assert run.bases_seen == 9 * 128 + 3 * 256


def test_rows_of_the_curve_are_means_since_the_last(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(CONFIG, steps=8, checkpoint_minutes=0.0))
    values: list[Tensor] = []
    update = run._update

    def watched(batch: object, rate: float) -> Tensor:
        values.append(update(batch, rate))  # type: ignore[arg-type]
        return values[-1]

    run._update = watched  # type: ignore[method-assign]
    result = run.run()
    assert result is not None
    *trained, last = rows(tmp_path)
    assert [int(row["step"]) for row in trained] == [3, 6, 8]
    for row, group in zip(trained, (values[:3], values[3:6], values[6:]), strict=True):
        nats, ratio, f1, g1, f2, g2, norm = torch.stack(group).double().mean(0).tolist()
        assert float(row["bits"]) == pytest.approx(nats / math.log(2), abs=1e-5)
        assert float(row["ratio_loss"]) == pytest.approx(ratio, abs=1e-5)
        assert [float(row[column]) for column in ("F1", "G1", "F2", "G2")] == pytest.approx([f1, g1, f2, g2], abs=1e-4)
        assert float(row["gradient_norm"]) == pytest.approx(norm, abs=1e-4)
        assert float(row["bases_per_s"]) > 0
    assert [bool(row["heldout_bits"]) for row in trained] == [True, True, False]  # the last is evaluated in full
    assert (last["step"], float(last["heldout_bits"])) == ("8", pytest.approx(result.mean, abs=1e-5))


def test_the_log_says_how_the_run_goes(tmp_path: Path) -> None:
    lines: list[str] = []
    trainer(tmp_path, replace(CONFIG, steps=8, checkpoint_minutes=0.0), log=lines.append).run()
    assert len(lines) == 2
    for line, row in zip(lines, rows(tmp_path), strict=False):
        assert f"step {row['step']}, " in line and f"{row['bits']} bits" in line
        assert f"held out {row['heldout_bits']}" in line and f"F2 {float(row['F2'])}" in line


def test_utilisation_is_the_needed_operations_over_the_ceiling(tmp_path: Path) -> None:
    """At the length of the windows: longer ones cost more in the core."""
    run = trainer(tmp_path, ceiling=1e9)
    run.run()
    total, bases_before = 0.0, 0
    for row, length in zip(rows(tmp_path), (64, 64, 64, 128), strict=False):
        per_base = 3 * flops(TINY, length, [float(row["F1"]), float(row["F2"])]).per_base
        assert float(row["mfu"]) == pytest.approx(per_base * float(row["bases_per_s"]) / 1e9, rel=0.01)
        total += per_base * (int(row["bases"]) - bases_before)
        bases_before = int(row["bases"])
    assert bases_before == run.bases_seen
    assert run.flops == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("steps", [[1], [6], [7], [10], [2, 3, 8, 11]])
def test_a_run_that_pauses_and_goes_on_is_the_same_run(tmp_path: Path, undisturbed: Trainer, steps: list[int]) -> None:
    """Bit by bit: weights, and all of the curve that does not depend on the clock."""
    for step in steps:
        run = resumed(tmp_path)
        pause_before(run, step)
        assert run.run() is None
        assert [path.name for path in tmp_path.glob("checkpoint-*")] == [f"checkpoint-{step:08}"]
        torch.manual_seed(99)
    run = resumed(tmp_path)
    assert run.step == steps[-1]
    assert run.run() == evaluate(undisturbed.model, [HELD], 4, 100)
    assert_the_same_run(run, undisturbed)


@pytest.mark.parametrize("step", [2, 8, 11])
def test_a_run_that_is_killed_and_goes_on_is_the_same_run(tmp_path: Path, undisturbed: Trainer, step: int) -> None:
    """With a checkpoint at every row of the curve: the rows after it are forgotten and made again."""
    config = replace(CONFIG, checkpoint_minutes=0.0)
    run = trainer(tmp_path, config)
    kill_at(run, step)
    with pytest.raises(Killed):
        run.run()
    latest = latest_checkpoint(tmp_path)
    assert (latest is None) == (step < 3)
    run = resumed(tmp_path, config)
    assert step - 3 <= run.step <= step
    run.run()
    assert_the_same_run(run, undisturbed)


@pytest.mark.parametrize("when", ["before its row", "after its row", "after its checkpoint"])
def test_a_run_killed_around_a_checkpoint_loses_no_row(
    tmp_path: Path, undisturbed: Trainer, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, checkpoint_minutes=0.0)
    run = trainer(tmp_path, config)

    def die(*arguments: object) -> None:
        if run.step == 6:
            raise Killed
        return undying(*arguments)

    undying: Callable[..., None]
    where, name = {
        "before its row": (run.curve, "add"),
        "after its row": (run, "_save_latest"),
        "after its checkpoint": (run, "_say"),
    }[when]
    undying = getattr(where, name)
    monkeypatch.setattr(where, name, die)
    with pytest.raises(Killed):
        run.run()
    run = resumed(tmp_path, config)
    assert run.step == (6 if when == "after its checkpoint" else 3)
    run.run()
    assert_the_same_run(run, undisturbed)


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    result = run.run()
    finished = resumed(tmp_path)
    assert watch(finished) == [] and finished.run() == result
    assert finished.step == 12
    assert_same_parameters(finished, run)


def test_resuming_within_the_decay_keeps_the_stable_checkpoint(tmp_path: Path) -> None:
    """`stable` is what a longer run starts from: it must not be replaced by a half-decayed one."""
    run = trainer(tmp_path)
    pause_before(run, 11)
    run.run()
    stable = (tmp_path / "stable" / "part-001.safetensors").read_bytes()
    run = resumed(tmp_path)
    seen = watch(run)
    run.run()
    assert [update.length for update in seen] == [128]
    assert (tmp_path / "stable" / "part-001.safetensors").read_bytes() == stable


def test_a_run_prolonged_from_the_stable_checkpoint_is_the_longer_run(tmp_path: Path, undisturbed: Trainer) -> None:
    config = replace(CONFIG, steps=16)
    longer = trainer(tmp_path / "longer", config)
    longer.resume(undisturbed.folder / "stable")
    seen = watch(longer)
    longer.run()
    assert seen[0] == (9, 2, 64, CONFIG.learning_rate * 2)  # at full rate again
    planned = trainer(tmp_path / "planned", config)
    planned.run()
    assert_same_parameters(longer, planned)
    later = [row for row in reproducible(planned.folder) if int(row[0]) > 9]
    assert reproducible(longer.folder) == later


def test_what_is_in_the_way_is_noticed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "stable").mkdir()
    (tmp_path / "stable" / "horses.txt").write_text("Bucephalus")
    with pytest.raises(OutputError, match=r"stable holds more than a checkpoint \(horses\.txt\)"):
        trainer(tmp_path).run()
    assert (tmp_path / "stable" / "horses.txt").read_text() == "Bucephalus"
    with pytest.raises(OutputError, match=r"horses\.txt cannot be made"):
        trainer(tmp_path / "stable" / "horses.txt").run()


# --- resuming elsewhere ---


def test_a_checkpoint_without_moments_warms_up_again(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=100)
    run = trainer(tmp_path / "here", config)
    pause_before(run, 7)
    run.run()
    run.save(tmp_path / "export", moments=False)
    files = [tmp_path / "export" / "part-001.safetensors", *(tmp_path / "here").glob("checkpoint-*/*")]
    small, large = (file.stat().st_size for file in files)
    assert small < 0.4 * large

    elsewhere = trainer(tmp_path / "elsewhere", config)
    elsewhere.resume(tmp_path / "export")
    assert_same_parameters(elsewhere, run)
    assert (elsewhere.step, elsewhere.bases_seen, elsewhere.minutes) == (7, 7 * 128, run.minutes)
    seen = watch(elsewhere)
    pause_before(elsewhere, 13)
    elsewhere.run()
    peak = CONFIG.learning_rate * 2
    assert [update.rate for update in seen] == pytest.approx([peak * k / 3 for k in (1, 2, 3, 3, 3, 3)])

    again = trainer(tmp_path / "elsewhere", config)  # which knows where warming up began
    again.resume(tmp_path / "elsewhere" / "checkpoint-00000013")
    assert again.cold_step == 7


def test_an_export_of_a_finished_run_is_evaluated_elsewhere(tmp_path: Path, undisturbed: Trainer) -> None:
    undisturbed.save(tmp_path / "export", moments=False)
    finish = trainer(tmp_path / "finish")
    finish.resume(tmp_path / "export")
    assert watch(finish) == []
    assert finish.run() == evaluate(undisturbed.model, [HELD], 4, 100)
    assert [row["step"] for row in rows(tmp_path / "finish")] == ["12"]


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).save(tmp_path / "checkpoint")
    other = trainer(tmp_path, model=CONFIGS["2-mixed"])
    before = copies(other)
    with pytest.raises(InputError, match=r"checkpoint: a checkpoint of another network; give the --preset"):
        other.resume(tmp_path / "checkpoint")
    assert all(torch.equal(p, q) for p, q in zip(other.model.parameters(), before, strict=True))
    assert other.step == 0


def test_another_seed_is_said(tmp_path: Path) -> None:
    lines: list[str] = []
    trainer(tmp_path).save(tmp_path / "checkpoint")
    trainer(tmp_path, replace(CONFIG, seed=5), log=lines.append).resume(tmp_path / "checkpoint")
    assert len(lines) == 1 and "--seed 1: the order of windows changes" in lines[0]


def test_hardware_is_remembered_in_order(tmp_path: Path) -> None:
    for step, hardware in ((1, "one"), (2, "two"), (3, "one")):
        run = resumed(tmp_path)
        run.hardware = hardware
        pause_before(run, step)
        run.run()
    assert run.made_on == ["one", "two"]


# --- what goes wrong ---


def poison(run: Trainer, step: int) -> None:
    """Let a parameter become NaN before `step`."""

    def act(at: int) -> None:
        if at == step:
            with torch.no_grad():
                next(run.model.parameters())[0] = math.nan

    watch(run, act)


@pytest.mark.parametrize(("step", "says"), [(5, 8), (8, 9), (11, 12)])
def test_a_loss_that_is_no_number_ends_the_run_and_is_not_saved(tmp_path: Path, step: int, says: int) -> None:
    """Nor does it reach the stable checkpoint, made at step 9, between two rows of the curve."""
    config = replace(CONFIG, checkpoint_minutes=0.0, report_steps=4)
    run = trainer(tmp_path, config)
    poison(run, step)
    with pytest.raises(TrainingError, match=rf"no longer a number at step {says}: .* lower --learning-rate"):
        run.run()
    assert (tmp_path / "stable").exists() == (step > 9)
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert all(bool(tensor.isfinite().all()) for tensor in load_checkpoint(latest).tensors.values())
    good = trainer(tmp_path, config)
    good.resume(latest)
    good.run()
    assert all(math.isfinite(float(row["bits"])) for row in rows(tmp_path) if row["bits"])


def test_a_network_of_no_numbers_is_not_saved_by_a_pause(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    poison(run, 1)
    pause_before(run, 2)
    with pytest.raises(TrainingError, match="step 2"):
        run.run()
    assert latest_checkpoint(tmp_path) is None


def test_an_absurd_learning_rate_ends_the_run(tmp_path: Path) -> None:
    schedule = Schedule(warmup_steps=0)
    with pytest.raises(TrainingError, match="learning-rate"):
        trainer(tmp_path, replace(CONFIG, learning_rate=1e30, schedule=schedule)).run()


# --- data that come later ---


def test_genomes_that_come_later_are_trained_on(tmp_path: Path) -> None:
    """The second part comes between two rows of the curve, and counts from the first batch after the next row."""
    lines: list[str] = []
    one, other = (Genome(name, name, [random_codes(8000, seed)]) for seed, name in enumerate(("one", "other")))
    parts = write_parts(Corpus((one, other), (HELD,)), tmp_path / "packed", 5000)
    assert len(parts) == 2
    watched = tmp_path / "parts"
    watched.mkdir()
    shutil.copy(parts[0], watched)
    folder = PartFolder(watched)
    corpus = folder.new_parts()
    assert len(corpus.train) == len(corpus.heldout) == 1
    run = trainer(tmp_path / "run", corpus=corpus, more=folder, log=lines.append)
    known: list[int] = []

    def arrive(step: int) -> None:
        known.append(len(run.corpus.train))
        if step == 4:
            shutil.copy(parts[1], watched)

    watch(run, arrive)
    run.run()
    assert known == [1] * 6 + [2] * 6
    assert {genome.name for genome in run.corpus.train} == {"one", "other"} and run.corpus.heldout == corpus.heldout
    assert lines == ["2 genomes, 0 million bases by now"]
    drawn = {bytes(row) for row in run.sampler.batch(0, 40, 64).targets.astype(np.uint8)}
    both_strands = [codes.tobytes() for contig in (one, other) for codes in both(contig)]
    assert all(sum(row in strand for row in drawn) > 2 for strand in both_strands)


def both(genome: Genome) -> tuple[np.ndarray, np.ndarray]:
    """Return a genome's contig and its reverse complement."""
    return genome.contigs[0], reverse_complement(genome.contigs[0])


# --- whole runs, bounded by time: on a clock that ticks a second each time it is read ---


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**9))
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


TIMED = replace(CONFIG, steps=None, minutes=0.5)


@pytest.mark.usefixtures("clock")
def test_a_run_of_minutes_decays_at_their_end(tmp_path: Path) -> None:
    run = trainer(tmp_path, TIMED)
    seen = watch(run)
    run.run()
    assert 0.5 <= run.minutes < 0.6
    first_long = next(update.step for update in seen if update.length == 128)
    assert 0.6 * len(seen) < first_long < 0.8 * len(seen)
    rates = [update.rate for update in seen]
    assert rates[first_long:] == sorted(rates[first_long:], reverse=True)
    assert 0 < rates[-1] < 0.4 * rates[first_long - 1]
    assert load_checkpoint(tmp_path / "stable").facts["step"] == first_long


@pytest.mark.usefixtures("clock")
def test_checkpoints_do_not_count_as_minutes(tmp_path: Path) -> None:
    few, many = (trainer(tmp_path / name, replace(TIMED, checkpoint_minutes=m)) for name, m in (("a", 60), ("b", 0)))
    evaluated = []
    for run in (few, many):
        watch(run)
        run.run()
        evaluated.append(sum(bool(row["heldout_bits"]) for row in rows(run.folder)))
    assert evaluated[1] > 3 * evaluated[0]
    assert abs(many.step - few.step) <= 3


@pytest.mark.usefixtures("clock")
def test_pausing_after_minutes_and_going_on_adds_up_to_the_budget(tmp_path: Path) -> None:
    steps: list[int] = []
    result, minutes = None, 0.0
    while result is None:
        run = resumed(tmp_path, TIMED)
        seen = watch(run)
        result = run.run(stop_after=0.2)
        steps += [update.step for update in seen]
        assert seen and (result is not None or 0.2 <= run.minutes - minutes < 0.3)
        minutes = run.minutes
    assert 0.5 <= run.minutes < 0.6
    assert steps == list(range(run.step))
    decay = load_checkpoint(tmp_path / "stable").facts["step"]  # a row ends there, too
    assert [int(row["step"]) for row in rows(tmp_path)] == [
        *range(3, decay, 3), *range(decay, run.step, 3), run.step, run.step
    ]  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 100), st.floats(0.1, 100), st.integers(0, 200))
def test_the_budget_is_steps_if_given_and_minutes_otherwise(steps: int, minutes: float, made: int) -> None:
    assert TrainConfig(steps=steps, minutes=minutes).budget_spent(made, 1e9) == made / steps
    assert TrainConfig(minutes=minutes).budget_spent(10**9, made) == made / minutes


def test_operations_are_counted_by_the_length_of_their_windows(tmp_path: Path) -> None:
    """The row in which the decay begins has no windows of the length after it."""
    run = trainer(tmp_path, replace(CONFIG, steps=20, report_steps=8), PRESETS["transformer"]["tiny-flops"])
    seen = watch(run)
    run.run()
    assert {update.length for update in seen} == {64, 128}
    expected = sum(3 * run.model.flops(u.length, []).per_base * u.length * u.num_windows for u in seen)
    assert run.flops == pytest.approx(expected, rel=1e-9)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no longer a number"):
        trainer(tmp_path, replace(CONFIG, steps=1, learning_rate=1e38)).run()
    assert not list(tmp_path.glob("checkpoint-*"))
