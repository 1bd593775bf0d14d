"""Weights on disk: safetensors with the configuration in its header, and a JSON card that says where they come from."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from torch.overrides import TorchFunctionMode

from dnahnet_cli.errors import ModelError, OutputError
from dnahnet_cli.model.layers import Linear, set_compute_dtype
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import build, read_config

DEFAULT_MODEL: Final = "dnahnet-small"
MAX_HEADER_BYTES: Final = 1 << 20
_SPARE: Final = 1 << 24  # numbers that a network may make beside its parameters, while it is built
_FACTORIES: Final = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.arange)
# What building and filling a network of an arbitrary configuration can raise.
_BUILD_ERRORS: Final = (
    SafetensorError,
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    UserWarning,
    ValueError,
)
_PACKAGE: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ModelFile:
    """A weights file, verified against its card."""

    name: str
    path: Path
    sha256: str
    card: dict[str, Any]


def weights_folder() -> Path:
    """Return where the bundled weights lie: inside an installed package, or beside the package in a checkout."""
    inside = _PACKAGE / "weights"
    return inside if inside.is_dir() else _PACKAGE.parent / "weights"


def bundled_models() -> list[str]:
    """Return the names of the bundled models."""
    return sorted(path.stem for path in weights_folder().glob("*.safetensors"))


def find_model(name_or_path: str) -> ModelFile:
    """Find and verify a bundled model by name, or a safetensors file by path. Raises ModelError."""
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = weights_folder() / f"{name_or_path}.safetensors"
        if not path.is_file():
            known = ", ".join(bundled_models()) or "none"
            raise ModelError(f"no model named {name_or_path!r}; bundled: {known}. A file must end in .safetensors")
    try:
        sha256 = _sha256(path)
    except OSError as error:
        reason = "it does not exist" if isinstance(error, FileNotFoundError) else error.strerror
        raise ModelError(f"{path} cannot be read: {reason}. Check the path.") from error
    card_path = _card_of(path, sha256)
    if not card_path.is_file():
        raise ModelError(
            f"{path}: its model card {card_path.name} is missing beside it: copy both, or fetch the model again"
        )
    try:
        with card_path.open("rb") as file:
            text = file.read(MAX_HEADER_BYTES + 1)
        if len(text) > MAX_HEADER_BYTES:
            raise ModelError(
                f"{card_path}: not a model card, which has at most {MAX_HEADER_BYTES:,} bytes; fetch the model again"
            )
        card = json.loads(text)
        expected = card["sha256"]
    except OSError as error:
        raise ModelError(f"{card_path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{card_path}: not a model card with a sha256; fetch or install the model again") from error
    if sha256 != expected:
        raise ModelError(
            f"{path}: the file is not the one its card describes (sha256 differs); fetch or install it again"
        )
    return ModelFile(path.stem, path, sha256, card)


def load_model(file: ModelFile, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Network:
    """Build the network of a weights file on `device`, its linear maps computing in `dtype`. Raises ModelError."""
    from safetensors.torch import load_file

    try:
        config = read_config(_header_metadata(file.path).get("config", ""))
    except ModelError as error:
        raise ModelError(f"{file.path}: {error}") from error
    try:
        # Not on the meta device, where initialising imports torch's compiler.
        with (
            torch.random.fork_rng(devices=[]),
            _Allowance(file.path.stat().st_size),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("error", "Initializing zero-element")  # a layer without channels
            model = build(config)
        tensors = load_file(file.path, device=device)
        tensors = {name: tensor.float() for name, tensor in tensors.items()}
        model.load_state_dict(tensors, strict=True, assign=True)
    except _BUILD_ERRORS as error:
        reason = textwrap.shorten(str(error), 300)
        raise ModelError(f"{file.path}: weights do not fit their configuration: {reason}") from error
    set_compute_dtype(model, dtype)
    for module in model.modules():
        if isinstance(module, Linear):  # once, instead of at every call
            module.weight.data = module.weight.data.to(dtype)
    return model.eval().requires_grad_(False)


def save_weights(model: Network, path: Path, card: dict[str, Any]) -> None:
    """Write weights and card. Linear maps are kept in bfloat16, everything that routes or decays in float32.

    Raises OutputError, with what was there before unharmed.
    """
    from safetensors.torch import save_file

    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Linear)}
    tensors = {
        name: parameter.detach().to("cpu", torch.bfloat16 if name in linear else torch.float32).contiguous()
        for name, parameter in model.named_parameters()
    }
    temporary, card_path = path.with_name(f".{path.name}.partial"), path.with_suffix(".json")
    card_temporary = _waiting_card(path)
    try:
        if card_temporary.is_file() and path.is_file() and _card_of(path, _sha256(path)) == card_temporary:
            os.replace(card_temporary, card_path)  # a run was killed before it could
        save_file(tensors, temporary, {"config": model.config.to_json()})
        temporary.chmod(0o644)  # safetensors makes private files; weights are there to be shared
        sha256 = _sha256(temporary)
        card = {**card, "parameters": model.num_parameters(), "sha256": sha256}
        card_temporary.write_text(json.dumps(card, indent=2) + "\n")
        os.replace(temporary, path)  # between the two, `find_model` takes the card where it waits
        os.replace(card_temporary, card_path)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"{path}: weights cannot be written: {reason}") from error
    finally:
        if temporary.exists():  # otherwise the weights are in place, and this is their card
            temporary.unlink(missing_ok=True)
            card_temporary.unlink(missing_ok=True)


def _waiting_card(path: Path) -> Path:
    """Return where the card of a weights file lies before it has its name."""
    return path.with_name(f".{path.with_suffix('.json').name}.partial")


def _card_of(path: Path, sha256: str) -> Path:
    """Return the card of the weights of this checksum; a run that was killed may have left it waiting."""
    card, waiting = path.with_suffix(".json"), _waiting_card(path)
    return waiting if _vouches(waiting, sha256) and not _vouches(card, sha256) else card


def _vouches(card: Path, sha256: str) -> bool:
    """Tell whether there is a card, and it is that of the weights of this checksum."""
    try:
        if not card.is_file() or card.stat().st_size > MAX_HEADER_BYTES:
            return False
        return bool(json.loads(card.read_bytes())["sha256"] == sha256)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Allowance(TorchFunctionMode):
    """Refuse, before it is allocated, a network with more parameters than its file has bytes.

    A few bytes of configuration can ask for any amount of memory.
    """

    def __init__(self, num_bytes: int) -> None:
        super().__init__()
        self._left = num_bytes + _SPARE

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _FACTORIES:
            sizes = args[0] if args and isinstance(args[0], tuple | list | torch.Size) else args
            numbers = [size for size in sizes if isinstance(size, int)]
            self._left -= max(numbers, default=0) if func is torch.arange else math.prod(numbers)
            if self._left < 0:
                raise RuntimeError("the configuration asks for more parameters than the file has bytes")
        return func(*args, **(kwargs or {}))


def _header_metadata(path: Path) -> dict[str, str]:
    """Read a safetensors header's metadata, refusing sizes that no honest file has before allocating for them."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER_BYTES:
                raise ModelError(f"not a safetensors file: its header would have {size:,} bytes")
            header = json.loads(file.read(size))
    except (struct.error, ValueError, RecursionError, OSError) as error:
        raise ModelError("not a readable safetensors file") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}
