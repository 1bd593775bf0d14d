"""Checkpoints: what goes in comes out, in files of limited size; what is damaged is refused; nothing else is lost."""

from __future__ import annotations

import json
import os
import shutil
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.training import checkpoint
from dnahnet_cli.training.checkpoint import adapt, check_target, latest_checkpoint, load_checkpoint, save_latest
from dnahnet_cli.training.packed import Corpus
from dnahnet_cli.training.parts import write_parts
from tests.training.genomes import genome
from tests.training.runs import files_limited_to, make_steps, trainer

FACTS: dict[str, Any] = {"step": 3, "minutes": 0.1 + 0.2, "text": 'a "quoted" é', "list": [1.5, None]}
LARGE = 1024.0


def some_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Return tensors of several shapes, among them a number, an empty one, and one that is a view."""
    random = torch.Generator().manual_seed(seed)
    tensors = {f"model.{k}": torch.randn(20, 30 + k, generator=random) for k in range(12)}
    return {**tensors, "step": torch.tensor(7.0), "nothing": torch.empty(0, 4), "view": tensors["model.3"].T}


def save(folder: Path, tensors: dict[str, Tensor], part_mib: float = LARGE, **facts: Any) -> None:
    checkpoint.save_checkpoint(folder, tensors, {**FACTS, **facts}, part_mib)


def assert_holds(folder: Path, tensors: dict[str, Tensor], **facts: Any) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.facts == {**FACTS, **facts}
    assert loaded.tensors.keys() == tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("part_mib", [LARGE, 0.01])
def test_what_goes_in_comes_out(tmp_path: Path, part_mib: float) -> None:
    save(tmp_path / "a", some_tensors(), part_mib)
    assert_holds(tmp_path / "a", some_tensors())
    assert (len(names(tmp_path / "a")) > 3) == (part_mib < 1)
    assert all(path.stat().st_mode & 0o044 for path in (tmp_path / "a").iterdir())  # others may read them


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 4000), min_size=1, max_size=60) | st.lists(st.integers(0, 20), min_size=1, max_size=400),
    st.integers(4, 40),
)
def test_parts_are_as_small_as_was_asked_for(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit_kib: int
) -> None:
    """Header included; only a tensor that is larger by itself has a larger part, alone."""
    folder = tmp_path_factory.mktemp("parts") / "a"
    tensors = {f"a.parameter.with.quite.a.long.name.{k}": torch.rand(size) for k, size in enumerate(sizes)}
    save(folder, tensors, limit_kib / 1024)
    assert_holds(folder, tensors)
    paths = sorted(folder.iterdir())
    for path in paths:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        assert len(data) <= limit_kib * 1024 or len(header) == 2  # the metadata and one tensor
    for one, next_one in pairwise(path.stat().st_size for path in paths):
        assert one + next_one > limit_kib * 512, "two that would have been one"


def test_the_state_of_a_run_comes_in_limited_parts_and_comes_back(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    make_steps(run, 1)
    tensors, facts = run._state()
    checkpoint.save_checkpoint(tmp_path / "parts", tensors, facts, 0.2)
    sizes = [path.stat().st_size for path in (tmp_path / "parts").iterdir()]
    assert max(sizes) <= 0.2 * (1 << 20) and len(sizes) > 8
    other = trainer(tmp_path / "other")
    other.resume(tmp_path / "parts")
    again, _ = other._state()
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_tensors_are_checked_when_they_are_taken(tmp_path: Path) -> None:
    save(tmp_path / "a", some_tensors())
    loaded = load_checkpoint(tmp_path / "a")
    assert torch.equal(adapt(loaded, "model.0", torch.zeros(20, 30), tmp_path), some_tensors()["model.0"])
    with pytest.raises(InputError, match=r"lacks model\.99, which this network needs as \(2, 3\)"):
        adapt(loaded, "model.99", torch.zeros(2, 3), tmp_path)
    with pytest.raises(InputError, match=r"has shape \(20, 30\) for model\.0, which this network needs as \(20, 31\)"):
        adapt(loaded, "model.0", torch.zeros(20, 31), tmp_path)


# --- damage ---


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    save(tmp_path / "a", some_tensors(), 0.01)
    return sorted((tmp_path / "a").iterdir())


@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_missing_part_is_missed(parts: list[Path], index: int) -> None:
    parts[index].unlink()
    with pytest.raises(InputError, match=f"{len(parts) - 1} of the checkpoint's {len(parts)} parts are there"):
        load_checkpoint(parts[0].parent)


def test_a_part_too_many_is_noticed(parts: list[Path]) -> None:
    shutil.copy(parts[0], parts[0].with_name("part-099.safetensors"))
    with pytest.raises(InputError, match="parts are there"):
        load_checkpoint(parts[0].parent)


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_a_part_that_is_cut_off_is_refused(parts: list[Path], size: int) -> None:
    parts[1].write_bytes(parts[1].read_bytes()[:size])
    with pytest.raises(InputError, match=r"part-002\.safetensors: not a readable part of a checkpoint"):
        load_checkpoint(parts[0].parent)


def test_any_flipped_bit_is_noticed(parts: list[Path], tmp_path: Path) -> None:
    path = parts[-1]
    whole = path.read_bytes()
    refused = 0
    for position in [*range(0, 1000, 7), *range(1000, len(whole), 89)]:
        damaged = bytearray(whole)
        damaged[position] ^= 2
        path.write_bytes(damaged)
        try:
            load_checkpoint(path.parent)
        except InputError as error:
            assert path.name in str(error) or "parts are there" in str(error)
            refused += 1
        else:  # it was in a blank, or in the name of the digest
            assert_holds(path.parent, some_tensors())
    assert refused > 150


def test_other_things_are_named(tmp_path: Path) -> None:
    for name in ("missing", "empty"):
        with pytest.raises(InputError, match=f"{name}: not a checkpoint, which is a folder"):
            load_checkpoint(tmp_path / name)
        (tmp_path / "empty").mkdir(exist_ok=True)
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="file: not a checkpoint"):
        load_checkpoint(tmp_path / "file")
    for name, metadata in (("foreign", None), ("odd", {"facts": "{", "parts": "1"}), ("other", {"facts": "{}"})):
        (tmp_path / name).mkdir()
        save_file({"weight": torch.zeros(3)}, tmp_path / name / "part-001.safetensors", metadata)
        with pytest.raises(InputError, match=r"part-001\.safetensors: not a readable part"):
            load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("facts", ["{}", "[]", '{"config": "x"}', '{"config": "{}", "train": {"seed": 1}}'])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, facts: str) -> None:
    (tmp_path / "odd").mkdir()
    save_file({"weight": torch.zeros(3)}, tmp_path / "odd" / "part-001.safetensors", {"facts": facts, "parts": "1"})
    with pytest.raises(InputError, match="odd: not a checkpoint of this program, or one of another version"):
        trainer(tmp_path).resume(tmp_path / "odd")


# --- replacing ---


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path: Path) -> None:
    save(tmp_path / "a", some_tensors(), 0.01)
    save(tmp_path / "a", some_tensors(1), LARGE, step=4)
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["part-001.safetensors"]
    assert_holds(tmp_path / "a", some_tensors(1), step=4)


def test_a_curve_travels_with_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("step\n5\n")
    for tensors in (some_tensors(), some_tensors(1)):  # and is replaced with it
        checkpoint.save_checkpoint(tmp_path / "a", tensors, FACTS, LARGE, tmp_path / "curve.csv")
        assert names(tmp_path / "a") == ["curve.csv", "part-001.safetensors"]
        assert_holds(tmp_path / "a", tensors)
    (tmp_path / "run").mkdir()
    shutil.copy(tmp_path / "curve.csv", tmp_path / "run")
    with pytest.raises(OutputError, match=r"run holds more than a checkpoint \(curve\.csv\)"):  # a run's own
        save(tmp_path / "run", some_tensors())


def test_nothing_but_a_checkpoint_is_replaced(tmp_path: Path) -> None:
    """Not a folder of anything else, not even the parts of a corpus, whose names are alike."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("x")
    write_parts(Corpus((genome("One", 500),)), tmp_path / "corpus")
    save(tmp_path / "mixed", some_tensors())
    (tmp_path / "mixed" / "notes.txt").write_text("x")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("file", "photos", "corpus", "mixed"):
        with pytest.raises(OutputError, match=name):
            save(tmp_path / name, some_tensors())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    check_target(tmp_path / "free")
    (tmp_path / "free").mkdir()
    save(tmp_path / "free", some_tensors())
    check_target(tmp_path / "free")


def test_the_working_directory_can_be_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save(Path("."), some_tensors())
    assert_holds(tmp_path / "here", some_tensors())
    assert names(tmp_path) == ["here"]


# --- when writing fails ---


@pytest.mark.parametrize("part_mib", [LARGE, 0.01])
def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, part_mib: float) -> None:
    save_latest(tmp_path, 1, some_tensors(), FACTS, LARGE)
    with (
        files_limited_to(5000),
        pytest.raises(OutputError, match=r"checkpoint-00000002: .*cannot be written: .*; earlier ones are unharmed"),
    ):
        save_latest(tmp_path, 2, some_tensors(1), FACTS, part_mib)
    assert names(tmp_path) == ["checkpoint-00000001"]
    assert_holds(tmp_path / "checkpoint-00000001", some_tensors())
    with files_limited_to(5000), pytest.raises(OutputError, match="cannot be written"):
        save(tmp_path / "checkpoint-00000001", some_tensors(1))
    assert names(tmp_path) == ["checkpoint-00000001"]
    assert_holds(tmp_path / "checkpoint-00000001", some_tensors())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        save(tmp_path / "a", some_tensors())


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file/a: the checkpoint cannot be written: Not a directory"):
        save(tmp_path / "file" / "a", some_tensors())


class Killed(BaseException):
    """Ends the writing as nothing in the program would."""


@pytest.mark.parametrize("call", range(7))
def test_dying_at_any_moment_leaves_a_complete_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Died before the call-th of the operations on the disk; then the next checkpoint is written, and all is tidy."""
    save_latest(tmp_path, 1, some_tensors(), FACTS, LARGE)
    calls = 0

    def dying(function: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call + 1:
                raise Killed
            return function(*arguments, **options)

        return called

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", dying(checkpoint.save_file))
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
        try:
            save_latest(tmp_path, 2, some_tensors(1), FACTS, LARGE)
        except Killed:
            pass
        else:
            assert call == 6 and calls == 6  # so all of them were tried
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert_holds(latest, some_tensors(int(latest.name[-1]) - 1))
    save_latest(tmp_path, 3, some_tensors(2), FACTS, LARGE)
    assert names(tmp_path) == ["checkpoint-00000003"]
    assert_holds(tmp_path / "checkpoint-00000003", some_tensors(2))


def test_dying_while_one_is_replaced_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing a folder takes time: meanwhile nothing incomplete may bear the checkpoint's name."""
    save(tmp_path / "a", some_tensors(), 0.01)
    remove = shutil.rmtree

    def half_remove(folder: Path, **options: Any) -> None:
        if folder.exists():
            next(folder.iterdir()).unlink()
            raise Killed

    monkeypatch.setattr(shutil, "rmtree", half_remove)
    with pytest.raises(Killed):
        save(tmp_path / "a", some_tensors(1))
    assert_holds(tmp_path / "a", some_tensors(1))
    monkeypatch.setattr(shutil, "rmtree", remove)
    save(tmp_path / "a", some_tensors(2))
    assert names(tmp_path) == ["a"]
    assert_holds(tmp_path / "a", some_tensors(2))


# --- the newest of a run ---


def test_the_newest_is_found_and_the_older_go(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None and latest_checkpoint(tmp_path / "missing") is None
    for step in (99_999_998, 7, 123_456_789):
        save(tmp_path / f"checkpoint-{step:08}", some_tensors())
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint-123456789"
    save_latest(tmp_path, 8, some_tensors(), FACTS, LARGE)
    assert names(tmp_path) == ["checkpoint-00000008"]


def test_what_a_user_puts_beside_them_is_neither_resumed_nor_removed(tmp_path: Path) -> None:
    save(tmp_path / "checkpoint-00000005", some_tensors())
    shutil.copytree(tmp_path / "checkpoint-00000005", tmp_path / "checkpoint-keep")
    (tmp_path / "checkpoint-00000009.zip").write_bytes(b"x")
    (tmp_path / "checkpoint-00000010").write_text("a file")
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint-00000005"
    save_latest(tmp_path, 6, some_tensors(), FACTS, LARGE)
    assert names(tmp_path) == [
        "checkpoint-00000006", "checkpoint-00000009.zip", "checkpoint-00000010", "checkpoint-keep"
    ]  # fmt: skip


def test_the_checkpoint_of_a_step_is_written_once(tmp_path: Path) -> None:
    """A run that pauses before its first step must not risk the checkpoint that it came from."""
    save_latest(tmp_path, 1, some_tensors(), FACTS, LARGE)
    path = tmp_path / "checkpoint-00000001" / "part-001.safetensors"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    save_latest(tmp_path, 1, some_tensors(), FACTS, LARGE)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
