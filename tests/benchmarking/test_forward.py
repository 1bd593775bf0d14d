"""Timing, memory and operations of passes: what is counted, what is left out and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dnahnet_cli.benchmarking import forward, passes
from dnahnet_cli.benchmarking.forward import COLUMNS, ceilings, lengths, measure
from dnahnet_cli.benchmarking.networks import build_for_timing, known_rates, least_bytes, random_tokens, shapes
from dnahnet_cli.benchmarking.passes import Machine, Probe, copy_ceiling, make_pass, probe, timed
from dnahnet_cli.benchmarking.sizes import ARCHITECTURES
from dnahnet_cli.errors import UsageError
from dnahnet_cli.model.chunking import boundary_rates
from dnahnet_cli.networks.presets import PRESETS

MACHINE = Machine("cpu", "float32", 1, 4 << 30, 1000.0)
LIMITS = {"matmul_flops": 1e11, "copy_bytes": 1e10}
TINY = PRESETS["dnahnet"]["tiny"]


def test_lengths_are_powers_of_two() -> None:
    assert lengths(1024, 8192) == [1024, 2048, 4096, 8192]
    assert lengths(64, 64) == [64]
    for first, last in ((1, 8), (16, 8), (24, 64), (16, 100)):
        with pytest.raises(UsageError):
            lengths(first, last)


def test_a_network_for_timing_is_cut_at_its_target_rates() -> None:
    network = build_for_timing(TINY, "cpu", torch.float32)
    output, _ = network(random_tokens(1 << 13, "cpu"))
    found = [float(boundary_rates(trace)[0]) for trace in output.traces]
    assert found == pytest.approx(known_rates(TINY), rel=0.005)
    assert bool(output.traces[0].mask_BL[0, 0])
    assert known_rates(PRESETS["mamba2"]["tiny"]) == known_rates(PRESETS["random-chunks"]["tiny"]) == []


def test_shapes_are_those_of_a_preset() -> None:
    found = shapes(("dnahnet", "transformer"), "tiny-flops")
    assert found == {"dnahnet": TINY, "transformer": PRESETS["transformer"]["tiny-flops"]}
    with pytest.raises(UsageError, match="--preset huge: expected one of base, base-flops"):
        shapes(ARCHITECTURES, "huge")
    with pytest.raises(UsageError, match=r"--preset small-hyena: expected one of (?!.*hyena)"):
        shapes(ARCHITECTURES, "small-hyena")
    assert shapes(("dnahnet", "fixed-stride"), "small-hyena").keys() == {"dnahnet", "fixed-stride"}


def test_the_least_traffic_is_each_layers_sequence_once_and_the_weights() -> None:
    config = PRESETS["transformer"]["tiny"]
    network = build_for_timing(config, "cpu", torch.float32)
    norms = 2 * 6 + 1  # two to each of six layers, and the last
    assert least_bytes(network, 100) == 4 * network.num_parameters() + norms * 2 * 4 * 48 * 100
    hierarchy = build_for_timing(TINY, "cpu", torch.float32)
    growth = least_bytes(hierarchy, 2000) - least_bytes(hierarchy, 1000)
    outer = {name: module.weight.numel() for name, module in hierarchy.named_modules() if name.endswith("norm")}
    by_stage = [
        sum(size for name, size in outer.items() if min(name.count("inner."), 2) == depth) for depth in (0, 1, 2)
    ]
    assert growth == pytest.approx(8 * 1000 * (by_stage[0] + by_stage[1] / 3 + by_stage[2] / 6))


@pytest.mark.parametrize("kind", ["forward", "training"])
def test_all_architectures_have_a_row_at_every_length(kind: passes.Kind) -> None:
    networks = shapes(("dnahnet", "transformer", "random-chunks"), "tiny")
    rows = measure(networks, [64, 128], [kind], MACHINE, 2, LIMITS)
    assert [(row["length"], row["arch"]) for row in rows] == [(n, arch) for n in (64, 128) for arch in networks]
    columns = {column.name: column for column in COLUMNS}
    for row in rows:
        assert row["status"] == "ok" and row["rounds"] == 2 and row["pass"] == kind
        assert 0 < row["seconds_low"] <= row["seconds"] <= row["seconds_high"] and row["memory_bytes"] >= 0
        work = build_for_timing(networks[row["arch"]], "cpu", torch.float32).flops(
            row["length"], known_rates(networks[row["arch"]])
        )
        assert row["flops"] == (work.total if kind == "forward" else work.training)
        assert row["share_of_matmul"] == pytest.approx(row["flops"] / row["seconds"] / 1e11)
        assert row["share_of_copy"] == pytest.approx(row["least_bytes"] / row["seconds"] / 1e10)
        for name, value in row.items():
            columns[name].check(value)


def test_a_training_pass_reaches_every_parameter_and_leaves_no_gradient() -> None:
    network = build_for_timing(TINY, "cpu", torch.float32)
    reached: set[str] = set()
    for name, parameter in network.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda p, name=name: reached.add(name))
    make_pass(network, 64, "training", "cpu")()
    assert reached >= {name for name, _ in network.named_parameters() if "router" not in name}
    assert all(parameter.grad is None for parameter in network.parameters())


def test_memory_is_that_of_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that holds 64 MiB at a time takes about as much, in a process that held more before."""
    size = 1 << 26

    def allocate(*arguments: object) -> object:
        return lambda: torch.ones(size // 4).sum()

    monkeypatch.setattr(passes, "make_pass", allocate)
    del_me = torch.ones(size)  # 256 MiB, gone when the pass begins
    del del_me
    (found,) = passes._probe_here(TINY, [64], "forward", MACHINE)
    # The system may take back pages of the program in the meantime, which then count against the pass.
    assert 0.9 * size <= found.memory_bytes <= 1.5 * size


def test_what_does_not_fit_into_memory_is_left_out_with_the_reason() -> None:
    config = PRESETS["transformer"]["tiny"]
    found = probe(config, [256, 1 << 14, 1 << 15], "training", replace(MACHINE, memory_limit=96 << 20))
    assert not found[0].left_out
    assert [result.length for result in found] == [256, 1 << 14, 1 << 15]
    assert all("GiB of memory" in result.left_out for result in found[1:])
    rows = measure({"transformer": config}, [256, 1 << 14], ["training"], replace(MACHINE, memory_limit=96 << 20), 1,
                   LIMITS)  # fmt: skip
    assert [row["status"] for row in rows] == ["ok", "left_out"]
    assert "memory" in rows[1]["reason"] and "seconds" not in rows[1] and rows[1]["flops"] > 0


def test_what_would_take_too_long_is_left_out_with_the_reason() -> None:
    found = probe(TINY, [64, 128, 256], "forward", replace(MACHINE, max_seconds=1e-9))
    assert [bool(result.left_out) for result in found] == [False, True, True]
    assert "would take about" in found[1].left_out


def test_a_process_that_dies_leaves_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_probe_apart", lambda *arguments: iter([Probe(64, 0.1, 5)]))
    found = probe(TINY, [128, 64], "forward", MACHINE)
    assert [(result.length, result.left_out) for result in found] == [
        (64, ""),
        (128, "the process that measured it ended without a word"),
    ]


def test_rounds_go_in_turn_and_the_first_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def remembered(network: object, length: int, kind: str, device: str) -> object:
        return lambda: order.append(network.config.arch)  # type: ignore[attr-defined]

    monkeypatch.setattr(forward, "make_pass", remembered)
    networks = shapes(("dnahnet", "mamba2"), "tiny")
    quick = {arch: Probe(64, 0.1) for arch in networks}
    times = forward._interleaved(networks, 64, "forward", MACHINE, 3, quick)
    assert order == ["dnahnet", "mamba2"] * 4 and [len(own) for own in times.values()] == [3, 3]
    order.clear()
    slow = {"dnahnet": Probe(64, 0.1), "mamba2": Probe(64, 100.0)}
    times = forward._interleaved(networks, 64, "forward", MACHINE, 3, slow)
    assert order.count("mamba2") == len(times["mamba2"]) == 2 and len(times["dnahnet"]) == 3


def test_ceilings_are_measured() -> None:
    found = ceilings(MACHINE, 0.01)
    assert found["matmul_flops"] > 1e8 and found["copy_bytes"] > 1e7
    assert copy_ceiling("cpu", 0.01, 1 << 20) > 1e7
    assert passes.available_memory("cpu") > 1 << 20


@pytest.mark.gpu
def test_the_same_on_cuda() -> None:
    machine = Machine("cuda", "bfloat16", 1, passes.available_memory("cuda"), 100.0)
    rows = measure(shapes(ARCHITECTURES, "tiny"), [1024, 2048], ["forward", "training"], machine, 3, ceilings(machine))
    assert len(rows) == 2 * 2 * len(ARCHITECTURES)
    assert all(row["status"] == "ok" and row["memory_bytes"] > 0 for row in rows)
    assert timed(make_pass(build_for_timing(TINY, "cuda", torch.bfloat16), 64, "forward", "cuda"), "cuda").seconds > 0
