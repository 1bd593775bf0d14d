"""A CPU that passes for a GPU: the code for a device runs, and what the host would wait for is seen."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# What needs a value, or a size, that only the device knows.
_WAITING = frozenset(
    {
        Tensor.item,
        Tensor.tolist,
        Tensor.cpu,
        Tensor.numpy,
        Tensor.nonzero,
        Tensor.unique,
        Tensor.masked_select,
        Tensor.__bool__,
        Tensor.__int__,
        Tensor.__float__,
        Tensor.__index__,
        torch.nonzero,
        torch.unique,
        torch.masked_select,
    }
)


class OnDevice(TorchFunctionMode):
    """Within it tensors say that they are on a CUDA device. `waits` is where the host would have waited for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func == Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return True
        if func == Tensor.is_cpu.__get__:  # type: ignore[attr-defined]
            return False
        if func in _WAITING or (func == Tensor.__getitem__ and _by_mask(args[1])):
            place = [frame for frame in traceback.extract_stack() if "dnahnet_cli" in frame.filename][-1]
            self.waits.append(f"{place.filename.rpartition('dnahnet_cli/')[2]}: {place.line}")
        return func(*args, **(kwargs or {}))


def _by_mask(index: Any) -> bool:
    indices = index if isinstance(index, tuple) else (index,)
    return any(isinstance(each, Tensor) and each.dtype == torch.bool for each in indices)
