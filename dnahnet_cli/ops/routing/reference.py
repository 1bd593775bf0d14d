"""Where a sequence is cut. Shapes: B batch, L length, M chunks, D width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Cuts:
    """How the rows of a batch are cut into chunks.

    `count_BL` is the running count of boundaries, int64; `position_BM` where each boundary is, 0 past a row's own
    count. `overflow` says whether a row has more than the M boundaries that there was room for, and everything that
    follows from these cuts is void; None where M was made to fit.
    """

    mask_BL: Tensor
    count_BL: Tensor
    position_BM: Tensor
    overflow: Tensor | None = None


def boundary_probability(q_BLD: Tensor, k_BLD: Tensor) -> Tensor:
    """Return p = clamp((1 - cos(q, k)) / 2, 0, 1) for each position, (B, L) float32."""
    cosine_BL = F.cosine_similarity(q_BLD.float(), k_BLD.float(), dim=-1, eps=1e-8)
    return ((1 - cosine_BL) / 2).clamp(0, 1)


def cut(p_BL: Tensor, length_B: Tensor, capacity: int | None = None) -> Cuts:
    """Cut each row where p > 0.5 and the position is before its `length_B`.

    There is room for `capacity` boundaries of a row. Without it M is the largest count of any row, at least 1, which
    the host has to wait for on a device of its own.
    """
    valid_BL = torch.arange(p_BL.shape[1], device=p_BL.device) < length_B.unsqueeze(1)
    mask_BL = (p_BL > 0.5) & valid_BL
    count_BL, position_BM = chunk_index(mask_BL, capacity)
    if capacity is None:
        return Cuts(mask_BL, count_BL, position_BM)
    return Cuts(mask_BL, count_BL.clamp(max=capacity), position_BM, (count_BL[:, -1] > capacity).any())


def chunk_index(mask_BL: Tensor, capacity: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the running count of boundaries (B, L) and the position of each boundary (B, M).

    M is `capacity`, or the largest count of any row, at least 1. Entries past a row's own count are 0, and
    boundaries past M have none.
    """
    count_BL = mask_BL.long().cumsum(1)
    room = max(int(count_BL[:, -1].max()), 1) if capacity is None else capacity
    slot_BL = torch.where(mask_BL, count_BL - 1, room)  # the extra last slot takes what is no boundary
    if capacity is not None:
        slot_BL = slot_BL.clamp(max=room)
    position_BL = torch.arange(mask_BL.shape[1], device=mask_BL.device).expand_as(slot_BL)
    position_BM = position_BL.new_zeros(len(mask_BL), room + 1).scatter_(1, slot_BL, position_BL)
    return count_BL, position_BM[:, :room]


def select_rows(x_BLD: Tensor, index_BM: Tensor) -> Tensor:
    """Return x[b, index[b, m]], (B, M, D)."""
    batch, length, width = x_BLD.shape
    offset = torch.arange(batch, device=x_BLD.device).unsqueeze(1) * length
    flat = (index_BM + offset).flatten()
    return x_BLD.reshape(batch * length, width).index_select(0, flat).view(batch, -1, width)
