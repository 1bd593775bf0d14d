"""Where a sequence is cut. Shapes: B batch, L length, M chunks, D width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def boundary_probability(q_BLD: Tensor, k_BLD: Tensor) -> Tensor:
    """Return p = clamp((1 - cos(q, k)) / 2, 0, 1) for each position, (B, L) float32."""
    cosine_BL = F.cosine_similarity(q_BLD.float(), k_BLD.float(), dim=-1, eps=1e-8)
    return ((1 - cosine_BL) / 2).clamp(0, 1)


def chunk_index(mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Return the running count of boundaries (B, L) and the position of each boundary (B, M).

    M is the largest count of any row, at least 1; entries past a row's own count are 0.
    """
    count_BL = mask_BL.long().cumsum(1)
    num_chunks = max(int(count_BL[:, -1].max()), 1)
    slot_BL = torch.where(mask_BL, count_BL - 1, num_chunks)  # the extra last slot takes what is no boundary
    position_BL = torch.arange(mask_BL.shape[1], device=mask_BL.device).expand_as(slot_BL)
    position_BM = position_BL.new_zeros(len(mask_BL), num_chunks + 1).scatter_(1, slot_BL, position_BL)
    return count_BL, position_BM[:, :num_chunks]
