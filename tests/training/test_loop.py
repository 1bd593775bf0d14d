"""Losses by hand, learning on a small corpus, and runs that resume exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dnahnet_cli.errors import InputError
from dnahnet_cli.model.chunking import StageTrace, ratio_loss
from dnahnet_cli.model.config import PRESETS, ModelConfig
from dnahnet_cli.model.hnet import Output
from dnahnet_cli.training import loop
from dnahnet_cli.training.card import make_card
from dnahnet_cli.training.corpus import Genome, to_batch
from dnahnet_cli.training.loop import TrainConfig, Trainer, heldout_bits, losses, parameter_groups
from dnahnet_cli.training.schedule import Schedule
from tests.conftest import lively_model, random_codes
from tests.model.networks import CONFIGS, network

N = 4
TINY = PRESETS["tiny"]
MOTIF = Genome("motif", "Motif", (np.tile(random_codes(300, 0), 20),))
RANDOM = Genome("random", "Random", (random_codes(3000, 1), random_codes(500, 2)))
CONFIG = TrainConfig(
    minutes=1,
    tokens_per_step=128,
    length=64,
    final_length=128,
    final_tokens_per_step=256,
    schedule=Schedule(warmup_steps=4, decay_fraction=0.3),
    checkpoint_minutes=0.2,
    heldout_windows=2,
    heldout_length=100,
)


def trainer(folder: Path, config: TrainConfig = CONFIG, model: ModelConfig = TINY, **options: Any) -> Trainer:
    return Trainer(model, config, [MOTIF, RANDOM], [RANDOM], folder, log=lambda line: None, **options)


def make_steps(run: Trainer, count: int, num_windows: int = 2, length: int = 64, rate: float = 1.0) -> list[float]:
    """Make training steps as `run` does; return the cross-entropies in bits."""
    bits = []
    for _ in range(count):
        _, values = run._update(run.sampler.batch(run.step, num_windows, length), rate)
        bits.append(float(values[0]) / math.log(2))
    return bits


def assert_same_parameters(one: Trainer, other: Trainer) -> None:
    for (name, p), q in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(p, q), name


# --- losses ---


def output_of(logits_BL4: torch.Tensor, *rates: tuple[float, float]) -> Output:
    """Return an output whose stages have the given (F, G)."""
    length = torch.tensor([100])
    traces = (
        StageTrace(torch.full((1, 100), g), torch.arange(100).unsqueeze(0) < round(100 * f), length) for f, g in rates
    )
    return Output(logits_BL4, tuple(traces))


def test_cross_entropy_is_the_mean_over_acgt_targets() -> None:
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    targets = [[0, 3, N, 1, N], [N, 2, 2, N, N]]
    expected = []
    for row, line in enumerate(targets):
        for t, base in enumerate(line):
            if base != N:
                values = logits[row, t].double().tolist()
                expected.append(math.log(sum(math.exp(v) for v in values)) - values[base])
    cross_entropy, _ = losses(output_of(logits, (0.5, 0.5)), torch.tensor(targets), [3.0])
    assert float(cross_entropy) == pytest.approx(sum(expected) / 5, abs=1e-6)


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


def test_heldout_bits_are_those_of_each_window_by_itself() -> None:
    model = lively_model()
    codes = random_codes(400, 5)
    codes[130:150] = N
    genome = Genome("with gaps", "g", (random_codes(50, 6), codes))
    total, count = 0.0, 0
    for start in (0, 150, 300):
        batch = to_batch(codes[None, start : start + 100])
        with torch.no_grad():
            log_probs = model(torch.from_numpy(batch.tokens))[0].logits_BL4.double().log_softmax(-1)[0].numpy()
        known = batch.targets[0] < N
        total -= log_probs[known, batch.targets[0][known]].sum()
        count += int(known.sum())
    bits = heldout_bits(model, [genome, MOTIF], 3, 100)
    assert list(bits) == ["with gaps", "motif"]
    assert bits["with gaps"] == pytest.approx(total / count / math.log(2), abs=1e-5)


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


def test_matrices_decay_and_vectors_do_not() -> None:
    model = network("3-mixed")
    groups = parameter_groups(model, TrainConfig(weight_decay=0.25))
    decay_of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for key, parameter in model.named_parameters():
        last = key.split(".")[-2] if key.endswith(".weight") else key.split(".")[-1]
        if last in ("in_proj", "out_proj", "query", "key", "residual", "head"):
            assert decay_of[id(parameter)] == 0.25, key
        elif last != "embedding":
            assert decay_of[id(parameter)] == 0.0, key


def test_update_scales_the_base_rates(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    make_steps(run, 1, rate=0.25)
    assert {group["lr"] for group in run.optimizer.param_groups} == {
        CONFIG.learning_rate * multiple * 0.25 for multiple in CONFIG.stage_rates
    }
    before = [p.detach().clone() for p in run.model.parameters()]
    make_steps(run, 1, rate=0.0)
    assert all(torch.equal(p, q) for p, q in zip(run.model.parameters(), before, strict=True))


# --- learning ---


def test_a_repeated_motif_is_learned(tmp_path: Path) -> None:
    """Random DNA costs 2 bits a base; 300 bases that always come in the same order soon cost far less."""
    config = TrainConfig(learning_rate=3e-3)
    run = Trainer(TINY, config, [MOTIF], [MOTIF], tmp_path, log=lambda line: None)
    first = make_steps(run, 45, num_windows=4, length=256)[0]
    assert first > 1.9
    assert heldout_bits(run.model, [MOTIF], 2, 500)["motif"] < 1.6
    assert heldout_bits(run.model, [RANDOM], 2, 500)["random"] > 1.9  # it has learned the motif, not to cheat
    assert run.step == 45 and run.bases_seen == 45 * 4 * 256


def test_a_step_on_nothing_but_n_leaves_the_network_sane(tmp_path: Path) -> None:
    gap = Genome("gap", "Gap", (np.full(500, N, dtype=np.uint8),))
    run = Trainer(TINY, CONFIG, [gap], [RANDOM], tmp_path, log=lambda line: None)
    make_steps(run, 2)
    assert all(bool(p.isfinite().all()) for p in run.model.parameters())


def test_runs_depend_on_their_seed_alone(tmp_path: Path) -> None:
    one, same = trainer(tmp_path), trainer(tmp_path)
    other = trainer(tmp_path, replace(CONFIG, seed=2))
    assert make_steps(one, 2) == make_steps(same, 2) != make_steps(other, 2)
    assert_same_parameters(one, same)


def test_a_heldout_genome_too_short_is_refused_before_training(tmp_path: Path) -> None:
    short = Genome("short", "Short", (random_codes(99, 1),))
    with pytest.raises(InputError, match="short: its longest contig has 99 bases, fewer than 100"):
        Trainer(TINY, CONFIG, [MOTIF], [RANDOM, short], tmp_path / "run", log=lambda line: None)


# --- checkpoints ---


def test_resuming_continues_exactly(tmp_path: Path) -> None:
    straight = trainer(tmp_path / "straight")
    bits = make_steps(straight, 6)

    begun = trainer(tmp_path / "begun")
    assert make_steps(begun, 3) == bits[:3]
    begun.save("checkpoint", 0.4)
    torch.manual_seed(99)
    resumed = trainer(tmp_path / "resumed")
    resumed.resume(tmp_path / "begun" / "checkpoint.safetensors")
    assert (resumed.step, resumed.bases_seen, resumed.minutes_before) == (3, 3 * 128, 0.4)
    assert_same_parameters(resumed, begun)
    assert make_steps(resumed, 3) == bits[3:]
    assert_same_parameters(resumed, straight)
    assert (resumed.step, resumed.bases_seen) == (straight.step, straight.bases_seen)


def test_a_checkpoint_before_the_first_step_can_be_resumed(tmp_path: Path) -> None:
    begun = trainer(tmp_path)
    begun.save("checkpoint", 0.0)
    resumed = trainer(tmp_path)
    resumed.resume(tmp_path / "checkpoint.safetensors")
    assert make_steps(resumed, 2) == make_steps(begun, 2)


def test_saving_leaves_nothing_half_written_and_changes_nothing(tmp_path: Path) -> None:
    run, twin = trainer(tmp_path / "run"), trainer(tmp_path / "twin")
    make_steps(run, 1)
    make_steps(twin, 1)
    for _ in range(2):
        run.save("checkpoint", 0.1)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.safetensors"]
    assert make_steps(run, 1) == make_steps(twin, 1)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).save("checkpoint", 0.0)
    other = trainer(tmp_path, model=CONFIGS["2-mixed"])
    before = [p.detach().clone() for p in other.model.parameters()]
    with pytest.raises(InputError, match="another model configuration") as caught:
        other.resume(tmp_path / "checkpoint.safetensors")
    assert "checkpoint.safetensors" in str(caught.value)
    assert all(torch.equal(p, q) for p, q in zip(other.model.parameters(), before, strict=True))
    assert other.step == 0


@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "foreign"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, kind: str) -> None:
    run = trainer(tmp_path)
    run.save("checkpoint", 0.0)
    path = tmp_path / "odd.safetensors"
    if kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "truncated":
        path.write_bytes((tmp_path / "checkpoint.safetensors").read_bytes()[:-10])
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"odd\.safetensors"):
        run.resume(path)


# --- whole runs, on a clock that ticks a second each time it is read ---


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**9))
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


class Update(NamedTuple):
    """One step of a run, with the learning rate of the outermost stage."""

    step: int
    num_windows: int
    length: int
    rate: float


def watch(run: Trainer, stop: Callable[[list[Update]], bool] = lambda seen: False) -> list[Update]:
    """Record every update; interrupt as Ctrl-C would once `stop` says so."""
    seen: list[Update] = []
    update = run._update

    def watched(batch: Any, rate: float) -> Any:
        if stop(seen):
            raise KeyboardInterrupt
        step = run.step
        result = update(batch, rate)
        seen.append(Update(step, *batch.tokens.shape, max(group["lr"] for group in run.optimizer.param_groups)))
        return result

    run._update = watched  # type: ignore[method-assign]
    return seen


def step_of(path: Path) -> int:
    with safe_open(path, "pt") as file:
        return int(json.loads(file.metadata()["progress"])["step"])


def records(folder: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, (folder / "log.jsonl").read_text().splitlines())


@pytest.mark.usefixtures("clock")
def test_a_run_warms_up_decays_and_leaves_its_files(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    seen = watch(run)
    bits = run.run()
    assert bits == heldout_bits(run.model, [RANDOM], 2, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.safetensors", "log.jsonl", "stable.safetensors"
    ]  # fmt: skip
    first_long = next(update.step for update in seen if update.length == 128)
    assert 0.6 * len(seen) < first_long < 0.8 * len(seen)
    assert {(u.num_windows, u.length) for u in seen[:first_long]} == {(2, 64)}
    assert {(u.num_windows, u.length) for u in seen[first_long:]} == {(2, 128)}
    peak = CONFIG.learning_rate * 2
    rates = [update.rate for update in seen]
    assert rates[:4] == pytest.approx([peak / 4, peak / 2, peak * 3 / 4, peak])
    assert set(rates[4:first_long]) == {peak}
    assert rates[first_long:] == sorted(rates[first_long:], reverse=True)
    assert 0 < rates[-1] < 0.1 * peak
    assert step_of(tmp_path / "stable.safetensors") == first_long
    assert step_of(tmp_path / "checkpoint.safetensors") == run.step == len(seen)
    assert run.bases_seen == sum(update.num_windows * update.length for update in seen)


@pytest.mark.usefixtures("clock")
def test_the_log_tells_how_the_run_goes(tmp_path: Path) -> None:
    lines: list[str] = []
    run = Trainer(TINY, CONFIG, [MOTIF], [RANDOM, MOTIF], tmp_path, log=lines.append)
    bits = run.run()
    logged = list(records(tmp_path))
    assert [json.loads(line) for line in lines] == logged
    assert logged[-1] == {"step": run.step, "bases_seen": run.bases_seen, "heldout_bits": bits}
    assert any("heldout_quick_bits" in record for record in logged)
    steps = [record["step"] for record in logged]
    assert steps == sorted(steps)


@pytest.mark.usefixtures("clock")
def test_reports_are_means_since_the_last(tmp_path: Path) -> None:
    config = replace(CONFIG, minutes=1.5, checkpoint_minutes=60.0)
    run = trainer(tmp_path, config)
    values: list[float] = []
    update = run._update

    def watched(batch: Any, rate: float) -> Any:
        output, pair = update(batch, rate)
        values.append(float(pair[0]) / math.log(2))
        return output, pair

    run._update = watched  # type: ignore[method-assign]
    run.run()
    reports = [record for record in records(tmp_path) if "bits" in record]
    assert len(reports) >= 2
    before = 0
    for report in reports:
        assert report["bits"] == pytest.approx(np.mean(values[before : report["step"]]), abs=1e-4)
        assert 0 < report["minutes"] < 1.5 and report["bases_per_s"] > 0
        assert len(report["rates"]) == 2
        before = report["step"]


@pytest.mark.usefixtures("clock")
def test_an_interrupted_run_goes_on_and_then_is_finished(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    watch(run, stop=lambda seen: len(seen) == 12)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    resumed = trainer(tmp_path)
    resumed.resume(tmp_path / "checkpoint.safetensors")
    assert 0 < resumed.step < 12
    seen = watch(resumed)
    bits = resumed.run()
    assert [update.step for update in seen] == list(range(seen[0].step, resumed.step))
    assert next(update.step for update in seen if update.length == 128) == step_of(tmp_path / "stable.safetensors")
    finished = trainer(tmp_path)
    finished.resume(tmp_path / "checkpoint.safetensors")
    assert watch(finished) == [] and finished.run() == bits  # its budget is spent
    assert finished.step == resumed.step


@pytest.mark.usefixtures("clock")
def test_resuming_within_the_decay_keeps_the_stable_checkpoint(tmp_path: Path) -> None:
    """`stable` is what a longer run starts from: it must not be replaced by a half-decayed one."""
    config = replace(CONFIG, checkpoint_minutes=0.05)
    run = trainer(tmp_path, config)
    watch(run, stop=lambda seen: sum(update.length == 128 for update in seen) == 3)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    stable = (tmp_path / "stable.safetensors").read_bytes()
    resumed = trainer(tmp_path, config)
    resumed.resume(tmp_path / "checkpoint.safetensors")
    assert resumed.step > step_of(tmp_path / "stable.safetensors")
    seen = watch(resumed)
    resumed.run()
    assert {update.length for update in seen} == {128}
    assert (tmp_path / "stable.safetensors").read_bytes() == stable


@pytest.mark.usefixtures("clock")
def test_a_longer_run_starts_from_the_stable_checkpoint(tmp_path: Path) -> None:
    trainer(tmp_path / "short").run()
    longer = trainer(tmp_path / "long", replace(CONFIG, minutes=2))
    longer.resume(tmp_path / "short" / "stable.safetensors")
    seen = watch(longer)
    longer.run()
    assert seen[0].rate == CONFIG.learning_rate * 2  # at full rate again
    assert seen[0].length == 64 and seen[-1].length == 128
    assert seen[-1].rate < 0.1 * seen[0].rate


# --- the card ---


def test_the_card_tells_where_the_weights_come_from(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    make_steps(run, 1)
    card = make_card(run, [MOTIF, RANDOM], {"one": 1.5, "two": 2.0})
    assert json.loads(json.dumps(card)).keys() == card.keys()
    assert ModelConfig.from_json(json.dumps(card["config"])) == TINY
    assert card["training"]["steps"] == 1 and card["training"]["bases_seen"] == 128
    assert card["data"]["genomes"] == 2 and card["data"]["genera"] == 2 and card["data"]["bases"] == 9500
    assert card["heldout_bits_per_base"]["mean"] == 1.75 and card["heldout_bits_per_base"]["two"] == 2.0
    assert str(tmp_path) not in json.dumps(card)
    reordered = make_card(run, [RANDOM, MOTIF], {"one": 1.5, "two": 2.0})
    assert reordered["data"] == card["data"]
