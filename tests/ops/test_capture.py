"""Capture: the three ways to say where states are taken."""

from __future__ import annotations

import torch

from dnahnet_cli.ops.capture import Capture


def test_at_ends_is_one_place_per_row() -> None:
    capture = Capture.at_ends(torch.tensor([4, 0, 7]))
    assert capture.rows.tolist() == [0, 1, 2]
    assert capture.positions.tolist() == [4, 0, 7]


def test_nowhere_is_empty_and_can_index() -> None:
    capture = Capture.nowhere()
    assert torch.arange(6).view(2, 3)[capture.rows, capture.positions].shape == (0,)


def test_moved_keeps_the_rows() -> None:
    capture = Capture(torch.tensor([1, 0, 1]), torch.tensor([3, 2, 9]))
    moved = capture.moved(torch.tensor([1, 1, 4]))
    assert moved.rows.tolist() == [1, 0, 1]
    assert moved.positions.tolist() == [1, 1, 4]
    assert capture.positions.tolist() == [3, 2, 9]
