"""What the fuzzer found stays mended."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from random import Random

import pytest

from tests.fuzzing.__main__ import FOUND, make, read
from tests.fuzzing.readers import READERS

CASES = sorted(path for path in FOUND.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_stays_mended(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "input"
    shutil.copyfile(path, target)
    assert read(path.parent.name, target) is None


@pytest.mark.parametrize("reader", READERS)
def test_seeds_are_read_and_spoilt_ones_refused_or_read(reader: str, tmp_path: Path) -> None:
    target = tmp_path / "input"
    for number, seed in enumerate(READERS[reader].seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "input").write_bytes(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            READERS[reader].read(folder / "input")  # what the fuzzer begins with is well formed
    for number in range(5):
        target.write_bytes(make(reader, Random(0).randrange(1000), number))
        assert read(reader, target) is None


def test_an_input_can_be_made_again() -> None:
    assert make("vcf", 1, 7) == make("vcf", 1, 7) != make("vcf", 1, 8)
    assert len({make("gff", seed, number) for seed in (1, 2) for number in range(50)}) > 95
