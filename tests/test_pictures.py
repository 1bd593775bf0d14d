"""Pictures: the same figures are the same bytes, and what cannot be drawn is said before the work."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.errors import UsageError
from dnahnet_cli.pictures import RESIDUES, PictureOutput, RankedGene, draw_mutants, draw_ranking

GENES = [RankedGene(f"gene${n}$", 5.0 - n, 5.5 - n, None if n == 2 else 4.5 - n) for n in range(6)]
PROTEIN = "MKTAYIAKQRXQ"
SCORES = {(at, residue): float(at - number) for at in range(1, 12) for number, residue in enumerate(RESIDUES)}
MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_same_figures_are_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name, draw in (
        ("genes", lambda: draw_ranking(GENES, 4)),
        ("mutants", lambda: draw_mutants(PROTEIN, SCORES, "a$b$", "llr", row_size=7)),
    ):
        for copy in "12":
            PictureOutput(tmp_path / f"{name}{copy}.{suffix}").save(draw())
        one, two = ((tmp_path / f"{name}{copy}.{suffix}").read_bytes() for copy in "12")
        assert one == two and one.startswith(MAGIC[suffix])


def test_the_map_has_every_score_at_its_place() -> None:
    figure = draw_mutants(PROTEIN, SCORES, "title", "llr", row_size=7)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images and axes.get_ylabel() == ""]
    grid = np.concatenate([image.filled(np.nan) for image in images[:2]], axis=1)[:, : len(PROTEIN)]
    for (position, residue), value in SCORES.items():
        assert grid[RESIDUES.index(residue), position] == value
    assert np.isnan(grid[:, 0]).all() and np.isfinite(grid).sum() == len(SCORES)
    low, high = figure.axes[0].images[0].get_clim()
    assert (low + high) / 2 == pytest.approx(np.median(list(SCORES.values())))


def test_few_genes_and_no_scores() -> None:
    assert draw_ranking(GENES[:1], 20).axes
    assert draw_mutants("MK", {}, "nothing", "llr").axes


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown suffix"):
        PictureOutput(tmp_path / "x.gif")
    (tmp_path / "in.png").write_text("x")
    with pytest.raises(UsageError, match="also an input"):
        PictureOutput(tmp_path / "in.png", [tmp_path / "in.png"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"dnahnet\[plot\]"):
        PictureOutput(tmp_path / "x.png")
