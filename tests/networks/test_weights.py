"""Weights on disk: what is saved comes back, and what is damaged is named."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.config import PRESETS, ModelConfig
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.layers import Linear
from dnahnet_cli.networks.weights import (
    DEFAULT_MODEL,
    MAX_HEADER_BYTES,
    bundled_models,
    find_model,
    load_model,
    save_weights,
    weights_folder,
)
from tests.conftest import lively_model

TOKENS = torch.randint(0, 5, (2, 50), generator=torch.Generator().manual_seed(0))


def rounded_model() -> HNet:
    """Return a lively network whose linear maps bfloat16 holds exactly."""
    model = lively_model()
    for module in model.modules():
        if isinstance(module, Linear):
            module.weight.data = module.weight.data.bfloat16().float()
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some-model.safetensors"
    save_weights(rounded_model(), path, {"note": "for a test"})
    return path


def write_with_card(path: Path, data: bytes) -> None:
    """Write a file and a card that vouches for it."""
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(data).hexdigest()}))


def with_header(path: Path, change: Any) -> None:
    """Rewrite a safetensors file with its header changed by a function."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(change(header)).encode()
    write_with_card(path, struct.pack("<Q", len(text)) + text + data[8 + size :])


def fails(path: Path, message: str = "safetensors|configuration") -> None:
    """Assert that the file is found and vouched for, but refused on loading, by name."""
    file = find_model(str(path))
    with pytest.raises(ModelError, match=message) as caught:
        load_model(file)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


# --- round trip ---


def test_what_is_saved_comes_back(path: Path) -> None:
    file = find_model(str(path))
    loaded, original = load_model(file), rounded_model()
    assert loaded.config == original.config
    for (name, one), (other_name, other) in zip(loaded.named_parameters(), original.named_parameters(), strict=True):
        assert name == other_name
        assert one.dtype == torch.float32 and torch.equal(one, other), name
    assert torch.equal(loaded(TOKENS)[0].logits_BL4, original(TOKENS)[0].logits_BL4)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_only_linear_maps_lose_digits(tmp_path: Path) -> None:
    model = lively_model(seed=1)
    path = tmp_path / "m.safetensors"
    save_weights(model, path, {})
    loaded = load_model(find_model(str(path)))
    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Linear)}
    for (name, one), other in zip(loaded.named_parameters(), model.parameters(), strict=True):
        if name in linear:
            assert torch.equal(one, other.bfloat16().float()), name
        else:
            assert torch.equal(one, other), name
    assert "head.weight" in linear and "stage.residual.weight" not in linear
    assert all(p.dtype == torch.float32 for p in model.parameters())  # saving leaves the model alone


def test_saving_again_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    save_weights(load_model(find_model(str(path))), again, {})
    assert again.read_bytes() == path.read_bytes()


def test_card_keeps_what_it_was_given(path: Path) -> None:
    file = find_model(str(path))
    assert file.name == "some-model" and file.path == path
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.card["note"] == "for a test"
    assert file.card["sha256"] == file.sha256
    assert file.card["parameters"] == lively_model().num_parameters()
    assert sorted(p.name for p in path.parent.iterdir()) == ["some-model.json", "some-model.safetensors"]


class Killed(BaseException):
    """Ends the writing as nothing in the program would."""


@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("tidy", [False, True], ids=["kill -9", "a signal"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_weights_and_card_belong_together_whenever_a_run_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, tidy: bool, there: bool
) -> None:
    """Before the call-th rename, and once more in the next run; then they are saved, and all is tidy."""
    path = tmp_path / "m.safetensors"
    if there:
        save_weights(lively_model(seed=1), path, {"note": "0"})
    for number in (1, 2):
        calls = 0

        def dying(source: Path, target: Path) -> None:
            nonlocal calls
            calls += 1
            if calls == call + 1:
                raise Killed
            Path(source).rename(target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            if not tidy:
                patch.setattr(Path, "unlink", lambda *arguments, **options: None)
            with suppress(Killed):
                save_weights(lively_model(seed=1 + number), path, {"note": str(number)})
        if path.exists():
            note = int(find_model(str(path)).card["note"])
            model, other = load_model(find_model(str(path))), lively_model(seed=1 + note)
            assert torch.equal(model.embedding.weight, other.embedding.weight)
        else:
            assert call == 0 and not there
    save_weights(lively_model(seed=4), path, {"note": "3"})
    assert find_model(str(path)).card["note"] == "3"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "m.safetensors"]


@pytest.mark.parametrize("text", ["", "[]", '{"sha256": "0"}', "{}"])
def test_a_waiting_card_of_other_weights_is_not_taken(path: Path, text: str) -> None:
    (path.parent / ".some-model.json.partial").write_text(text)
    assert find_model(str(path)).card["note"] == "for a test"
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"model card some-model\.json is missing"):
        find_model(str(path))


@pytest.mark.parametrize("name", ["1-equal-widths", "3-mixed"])
def test_every_depth_of_nesting_is_kept(name: str, tmp_path: Path) -> None:
    from tests.model.networks import network

    path = tmp_path / "m.safetensors"
    save_weights(network(name), path, {})
    loaded = load_model(find_model(str(path)))
    assert loaded.config == network(name).config
    assert loaded.state_dict().keys() == network(name).state_dict().keys()


def test_bfloat16_keeps_routing_in_float32(path: Path) -> None:
    loaded = load_model(find_model(str(path)), dtype=torch.bfloat16)
    for name, module in loaded.named_modules():
        if isinstance(module, Linear):
            assert module.weight.dtype == module.compute_dtype == torch.bfloat16, name
        else:
            assert all(p.dtype == torch.float32 for p in module.parameters(recurse=False)), name
    exact, rounded = load_model(find_model(str(path)))(TOKENS)[0], loaded(TOKENS)[0]
    assert rounded.logits_BL4.dtype == torch.float32
    error_BL = (exact.logits_BL4 - rounded.logits_BL4).abs().amax(-1)
    assert 0 < float(error_BL.median()) < 0.1


# --- finding ---


def test_unknown_name_lists_the_bundled_models() -> None:
    with pytest.raises(ModelError, match="no model named 'dnahnet-huge'") as caught:
        find_model("dnahnet-huge")
    for name in bundled_models():
        assert name in str(caught.value)


def test_bundled_models_are_what_lies_in_their_folder() -> None:
    names = bundled_models()
    assert names == sorted(names)
    assert {f"{name}.safetensors" for name in names} == {p.name for p in weights_folder().glob("*.safetensors")}


def test_the_default_model_is_bundled_and_whole() -> None:
    assert DEFAULT_MODEL in bundled_models()
    file = find_model(DEFAULT_MODEL)
    model = load_model(file)
    assert file.card["parameters"] == model.num_parameters()
    assert bool(model(TOKENS)[0].logits_BL4.isfinite().all())


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist") as caught:
        find_model(str(tmp_path / "none.safetensors"))
    assert "none.safetensors" in str(caught.value)


def test_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ModelError, match=r"folder\.safetensors"):
        find_model(str(tmp_path / "folder.safetensors"))


def test_missing_card_is_named(path: Path) -> None:
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"model card some-model\.json is missing") as caught:
        find_model(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '"sha256"'])
def test_unreadable_card_is_named(path: Path, text: str) -> None:
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ModelError, match="not a model card") as caught:
        find_model(str(path))
    assert "some-model.json" in str(caught.value)


@pytest.mark.parametrize("damage", ["flip", "truncate", "append", "other"])
def test_changed_file_does_not_match_its_card(path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
    elif damage == "truncate":
        del data[-100:]
    elif damage == "append":
        data.append(0)
    else:
        data = bytearray(b"not weights")
    path.write_bytes(data)
    with pytest.raises(ModelError, match="sha256 differs") as caught:
        find_model(str(path))
    assert str(path) in str(caught.value)


# --- loading what a card vouches for ---


@pytest.mark.parametrize("kept", [0, 3, 8, 100, 5000, -1])
def test_truncated_file(path: Path, kept: int) -> None:
    write_with_card(path, path.read_bytes()[:kept])
    fails(path)


@pytest.mark.parametrize("size", [MAX_HEADER_BYTES + 1, 1 << 40, (1 << 64) - 1])
def test_huge_header_is_refused_before_it_is_read(path: Path, size: int) -> None:
    write_with_card(path, struct.pack("<Q", size) + b"{}")
    fails(path, "not a safetensors file")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a zip, as torch.save writes",
        b">chr\nACGTACGTACGT\n",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 22) + b'{"__metadata__": null}',
        struct.pack("<Q", 19) + b'{"__metadata__": 7}',
        struct.pack("<Q", 21) + b'{"__metadata__": [7]}',
        struct.pack("<Q", 500_000) + b"[" * 500_000,
    ],
)
def test_what_is_not_safetensors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    write_with_card(path, data)
    fails(path)


def other_config(**changes: Any) -> str:
    return json.dumps({**json.loads(PRESETS["tiny"].to_json()), **changes})


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "null",
        "{}",
        7,
        None,
        other_config(surprise=1),
        other_config(widths=[32, 48]),
        other_config(widths=[32, 48, "64"]),
        other_config(layout=["m1", ["T1m1", ["Q1"], "m1T1"], "m1"]),
        other_config(layout=[["m1"], ["T1m1", ["T1"], "m1T1"], "m1"]),
        other_config(layout=["m1", ["T1m1", ["T2"], "m1T1"], "m1"]),  # one layer more than the file has
        other_config(layout=["m1", ["m1", ["T1"], "m1T1"], "m1"]),  # one less
        other_config(widths=[32, 48, 80]),
        other_config(state_size=32),
        other_config(mlp_multiple=256),
    ],
)
def test_configuration_of_another_model(path: Path, config: Any) -> None:
    with_header(path, lambda header: {**header, "__metadata__": {"config": config}})
    fails(path)


def test_no_configuration(path: Path) -> None:
    with_header(path, lambda header: {name: value for name, value in header.items() if name != "__metadata__"})
    fails(path, "configuration")


def test_a_missing_and_a_foreign_tensor_are_told(path: Path) -> None:
    def rename(header: dict[str, Any]) -> dict[str, Any]:
        header["lm_head"] = header.pop("head.weight")
        return header

    with_header(path, rename)
    fails(path, "head")


def test_config_survives_in_the_header(path: Path) -> None:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert ModelConfig.from_json(header["__metadata__"]["config"]) == PRESETS["tiny"]
