"""Layout grammar, validation and JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.config import PRESETS, Layout, ModelConfig, parse_layers

LETTERS = "lLmMrRsStT"
runs = st.lists(st.tuples(st.sampled_from(LETTERS), st.integers(1, 12)), min_size=1, max_size=4)


def text_of(parts: list[tuple[str, int]]) -> str:
    return "".join(f"{letter}{count}" for letter, count in parts)


def nested(strings: list[str]) -> Layout:
    """Return [first, [..., [middle], ...], last] of an odd number of strings."""
    if len(strings) == 1:
        return [strings[0]]
    return [strings[0], nested(strings[1:-1]), strings[-1]]


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    stages = draw(st.integers(1, 3))
    strings = [text_of(draw(runs)) for _ in range(2 * stages + 1)]
    widths = sorted(draw(st.lists(st.integers(1, 64), min_size=stages + 1, max_size=stages + 1)))
    ratios = draw(st.lists(st.floats(1.5, 9), min_size=stages, max_size=stages))
    windows = draw(st.lists(st.none() | st.integers(1, 999), min_size=stages + 1, max_size=stages + 1))
    return ModelConfig(
        nested(strings),
        tuple(64 * width for width in widths),
        tuple(ratios),
        tuple(windows),
        state_size=draw(st.integers(1, 128)),
        ssd_chunk=draw(st.integers(1, 256)),
        conv_width=draw(st.integers(2, 8)),
    )


def config(**changes: Any) -> ModelConfig:
    fields: dict[str, Any] = {
        "layout": ["m1", ["T1m1", ["T1"], "m1T1"], "m1"],
        "widths": (64, 64, 128),
        "ratios": (3.0, 2.0),
        "windows": (None, 8, None),
    }
    return ModelConfig(**{**fields, **changes})


# --- layers ---


@given(runs)
def test_layers_expand_to_their_letters(parts: list[tuple[str, int]]) -> None:
    assert parse_layers(text_of(parts)) == "".join(letter * count for letter, count in parts)


@pytest.mark.parametrize(
    "text", ["", "m", "4m", "m4x1", "m 4", "m4 T1", "x1", "m-1", "m4\n", "1", "mm1", "m1.5", "m1T"]
)
def test_other_layer_strings_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match="expected runs of l, m, r, s or t, in either case") as caught:
        parse_layers(text)
    assert repr(text) in str(caught.value)


# --- layouts ---


@given(configs())
def test_one_to_three_stages_and_their_json(one: ModelConfig) -> None:
    assert one.num_stages == len(one.widths) - 1
    text = one.to_json()
    assert "\n" not in text
    again = ModelConfig.from_json(text)
    assert again == one
    assert again.to_json() == text


@pytest.mark.parametrize(
    "layout",
    [
        [],
        ["m1", ["m1"]],
        ["m1", "m1", "m1"],
        [["m1"]],
        ["m1", [], "m1"],
        ["m1", ["T1", ["T1"]], "m1"],
        ["m1", ["T1"], "m1", "m1"],
        [["m1"], ["T1"], "m1"],
        ["m1", ["T1"], ["m1"]],
        ["m1", [3], "m1"],
        [1, ["m1"], "m1"],
    ],
)
def test_other_nestings_are_refused(layout: Any) -> None:
    with pytest.raises(ModelError, match="must nest") as caught:
        config(layout=layout)
    assert repr(layout) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": ["m1"], "widths": (64,), "ratios": (), "windows": (None,)}, "0 stages; 1 to 3 are possible"),
        ({"layout": nested(["m1"] * 9)}, "4 stages; 1 to 3 are possible"),
        ({"widths": (64, 64)}, "widths has 2 entries, a layout of 2 stages needs 3"),
        ({"ratios": (3.0,)}, "ratios has 1 entries, a layout of 2 stages needs 2"),
        ({"windows": (None,) * 4}, "windows has 4 entries, a layout of 2 stages needs 3"),
        ({"widths": (128, 64, 128)}, "must not shrink inward"),
        ({"layout": ["m1", ["T1x1", ["T1"], "m1T1"], "m1"]}, "layers 'T1x1': expected runs"),
        ({"layout": ["m1", ["T1m1", [""], "m1T1"], "m1"]}, "layers '': expected runs"),
        ({"ratios": (3.0, 1.0)}, "ratios"),
        ({"windows": (None, 0, None)}, "windows"),
        ({"widths": (0, 64, 128)}, "widths"),
        ({"widths": (64.0, 64, 128)}, "widths"),
        ({"widths": ("64", "64", "9")}, "widths"),
        ({"state_size": 0}, "state_size"),
        ({"conv_width": "4"}, "conv_width"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        config(**changes)


def changed_json(**changes: Any) -> str:
    fields = dataclasses.asdict(config())
    for name, value in changes.items():
        if value is ...:
            del fields[name]
        else:
            fields[name] = value
    return json.dumps(fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"m1"',
        "{}",
        changed_json(widths=...),
        changed_json(layout=...),
        changed_json(unknown=1),
        changed_json(widths=64),
        changed_json(widths=[64, 64]),
        changed_json(widths=[64, None, 128]),
        changed_json(layout="m1"),
        changed_json(layout=7),
        changed_json(layout=None),
        changed_json(layout={"m1": 1}),
        changed_json(layout=["m1", ["T1m1", [None], "m1T1"], "m1"]),
        changed_json(ratios=["3", "2"]),
        changed_json(windows=[1.5, None, None]),
        changed_json(state_size="16"),
        changed_json(expand=None),
    ],
)
def test_other_json_is_a_model_error(text: str) -> None:
    with pytest.raises(ModelError):
        ModelConfig.from_json(text)


def test_presets_are_two_staged_as_the_paper() -> None:
    assert {"tiny", "small"} <= PRESETS.keys()
    for preset in PRESETS.values():
        assert preset.num_stages == 2
        assert preset.ratios == (3.0, 2.0)
        assert ModelConfig.from_json(preset.to_json()) == preset
