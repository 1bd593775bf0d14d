"""Several processes that train one network, as `torchrun` starts them: each takes a share of every step's windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process's number, of how many, and its device."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Tell whether this is the process that reports, evaluates and writes."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def agreed(self, value: float) -> float:
        """Return the first process's `value`: what its clock says holds for all."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def agreed_names(self, names: list[str]) -> list[str]:
        """Return the first process's list."""
        if self.size == 1:
            return names
        shared: list[Any] = [names]
        dist.broadcast_object_list(shared, 0)
        return list(shared[0])

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` started (one without it) for as long as the context lasts."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes(device=device)
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(rank, size, device)
    finally:
        dist.destroy_process_group()
