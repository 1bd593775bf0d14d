"""The figures of the page on complexity, against formulas worked by hand, and the page itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dnahnet_cli.baselines.isotropic import TransformerConfig
from dnahnet_cli.benchmarking.complexity import balance, count, draw, meeting, parts
from dnahnet_cli.networks.presets import PRESETS

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "make_complexity.py"


def test_attention_is_half_of_a_transformer_from_twelve_widths_on() -> None:
    # A width of which 8/3 is whole, and many layers, so that the head counts for nothing.
    config = TransformerConfig("T48", 384, attention_head_size=64, mlp_multiple=64)
    assert balance(config) == pytest.approx(12 * 384, rel=0.002)


def test_attention_is_half_of_a_hierarchy_where_the_formula_says() -> None:
    config = PRESETS["dnahnet"]["small"]
    by_part = {name: work for name, work in count(config, 1 << 16).parts.items()}
    linear = sum(work.total for work in by_part.values()) - by_part["core"].attention
    per_base = linear / (1 << 16)  # a + b / R1 + c / (R1 R2)
    assert balance(config) == pytest.approx(36 * per_base / (2 * 3 * 192), rel=0.01)


def test_a_network_without_attention_has_no_such_length() -> None:
    assert balance(PRESETS["mamba2"]["tiny"], high=1 << 20) == 1 << 20


@pytest.mark.parametrize("length", [1 << 10, 1 << 17])
def test_the_parts_add_up(length: int) -> None:
    config = PRESETS["dnahnet"]["base"]
    assert sum(parts(config, length).values()) == pytest.approx(count(config, length).per_base)


def test_two_networks_meet_where_their_counts_cross() -> None:
    one, other = PRESETS["dnahnet"]["small"], PRESETS["mamba2"]["small"]
    length = meeting(one, other)
    assert length is not None
    assert count(other, length).total < count(one, length).total
    assert count(other, length - 1).total >= count(one, length - 1).total
    assert meeting(other, other) is None and meeting(other, one) is None


def test_the_page_is_up_to_date() -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw("tiny", tmp_path / "complexity.png")
    assert (tmp_path / "complexity.png").stat().st_size > 10_000
