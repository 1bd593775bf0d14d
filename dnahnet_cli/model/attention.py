"""Causal attention and SwiGLU. Shapes: B batch, L new tokens, S cached tokens, D width, H heads, P head size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.model.config import AttentionSizes, LayerSizes
from dnahnet_cli.model.layers import Linear
from dnahnet_cli.model.state import AttentionState
from dnahnet_cli.ops.capture import Capture

ROTARY_BASE = 10_000.0
BLOCK = 64  # queries that share their keys in windowed attention
MAX_SCORES = 1 << 20  # per head, up to which the CPU computes all scores at once


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(P)) v over the `allowed` keys, broadcast to (..., L, S), by two plain products.

    On CPU, for few scores and above all in bfloat16, several times as fast as torch's fused attention.
    """
    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill_(~allowed, -torch.inf)
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.mT) + bias
    return torch.matmul(scores.softmax(-1), v)


def rotate(x_BHLP: Tensor, position_BL: Tensor, share: float = 0.5) -> Tensor:
    """Apply rotary position embedding to the first `share` of each head's channels; the rest passes through."""
    rotated = int(x_BHLP.shape[-1] * share)
    frequency = ROTARY_BASE ** (-torch.arange(0, rotated, 2, device=x_BHLP.device).float() / rotated)
    angle_B1LF = (position_BL.float().unsqueeze(-1) * frequency).unsqueeze(1)
    cos, sin = angle_B1LF.cos(), angle_B1LF.sin()
    first, second, rest = x_BHLP.split([rotated // 2, rotated // 2, x_BHLP.shape[-1] - rotated], dim=-1)
    first, second = first.float(), second.float()
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return torch.cat([turned.to(x_BHLP.dtype), rest], dim=-1)


class Attention(nn.Module):
    """Multi-head causal attention, rotary on a share of each head, optional sliding window."""

    def __init__(self, config: AttentionSizes, width: int, window: int | None) -> None:
        super().__init__()
        self.head_size = config.attention_head_size
        self.num_heads = width // self.head_size
        self.rotary_share = config.rotary_share
        self.window = window
        self.in_proj = Linear(width, 3 * self.num_heads * self.head_size)
        self.out_proj = Linear(self.num_heads * self.head_size, width)

    def reset(self) -> None:
        """Nothing beside the linear maps to initialise."""

    def forward(self, x_BLD: Tensor, state: AttentionState | None, capture: Capture) -> tuple[Tensor, AttentionState]:
        """Attend to this call's and the state's tokens; return the output and the states at `capture`."""
        batch, length, _ = x_BLD.shape
        q, k, v = self.in_proj(x_BLD).unflatten(-1, (3, self.num_heads, self.head_size)).unbind(2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        seen_B = x_BLD.new_zeros(batch, dtype=torch.long) if state is None else state.num_seen_B
        position_BL = seen_B.unsqueeze(1) + torch.arange(length, device=x_BLD.device)
        q, k = rotate(q, position_BL, self.rotary_share), rotate(k, position_BL, self.rotary_share)
        kept = 0
        if state is not None:
            old_k, old_v = self._seen(state)
            kept = old_k.shape[2]
            k, v = torch.cat([old_k.to(k.dtype), k], dim=2), torch.cat([old_v.to(v.dtype), v], dim=2)
        if self.window is not None and self.window < length:
            y = self._in_blocks(q, k, v, seen_B, self.window)
        elif q.device.type == "cpu" and length * k.shape[2] <= MAX_SCORES:
            y = attend(q, k, v, self._mask(position_BL, seen_B, kept))
        elif kept == 0:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask(position_BL, seen_B, kept))
        y_BLD = self.out_proj(y.transpose(1, 2).flatten(2))
        new_state = AttentionState(k, v, seen_B + length, capture.rows, seen_B[capture.rows] + capture.positions)
        return y_BLD, self._trim(new_state)

    def _mask(self, position_BL: Tensor, seen_B: Tensor, kept: int) -> Tensor:
        """Return who may attend to whom, (B, 1, L, S + L). Kept entries before a row's first token are padding."""
        steps = torch.arange(-kept, position_BL.shape[1], device=position_BL.device)
        key_position_B1S = (seen_B.unsqueeze(1) + steps).unsqueeze(1)
        distance_BLS = position_BL.unsqueeze(2) - key_position_B1S
        allowed = (distance_BLS >= 0) & (key_position_B1S >= 0)
        if self.window is not None:
            allowed &= distance_BLS < self.window
        return allowed.unsqueeze(1)

    def _in_blocks(self, q: Tensor, k: Tensor, v: Tensor, seen_B: Tensor, window: int) -> Tensor:
        """Attend within a window shorter than the sequence: blocks of queries see their own and some blocks before."""
        length = q.shape[2]
        block = min(window, BLOCK)
        num_blocks, num_before = -(-length // block), -(-(window - 1) // block)
        reach = num_before * block
        end = num_blocks * block - length
        start = reach + length - k.shape[2]  # fewer keys are kept than `reach`: padded to whole blocks

        def by_block(x_BHSP: Tensor) -> Tensor:
            x_BHNQP = F.pad(x_BHSP, (0, 0, start, end)).unflatten(2, (num_blocks + num_before, block))
            return torch.cat([x_BHNQP[:, :, i : i + num_blocks] for i in range(num_before + 1)], dim=3)

        q_BHNQP = F.pad(q, (0, 0, 0, end)).unflatten(2, (num_blocks, block))
        own = torch.arange(block, device=q.device).unsqueeze(1)
        other = torch.arange(-reach, block, device=q.device)
        distance = own - other
        block_starts = torch.arange(num_blocks, device=q.device) * block
        exists_BNV = seen_B.view(-1, 1, 1) + block_starts.view(1, -1, 1) + other >= 0
        allowed = ((distance >= 0) & (distance < window)) & exists_BNV.unsqueeze(2)
        y_BHNQP = attend(q_BHNQP, by_block(k), by_block(v), allowed.unsqueeze(1))
        return y_BHNQP.flatten(2, 3)[:, :, :length]

    def _seen(self, state: AttentionState) -> tuple[Tensor, Tensor]:
        """Return the keys and values that end right before each state's position, (B, H, S, P), as many as matter."""
        size = state.key_RHSP.shape[2]
        behind_B = state.end_R[state.sequence_B] - state.num_seen_B  # kept tokens that a state has not seen
        keep = int(state.num_seen_B.max())
        if self.window is not None:
            keep = min(keep, self.window - 1)  # a token sees itself and window - 1 before it
        index_BS = (size - behind_B - keep).unsqueeze(1) + torch.arange(keep, device=behind_B.device)
        index_BS = index_BS.clamp(min=0)  # before the first token: never attended to, see _mask
        rows = state.sequence_B.unsqueeze(1)
        key, value = (x.transpose(1, 2)[rows, index_BS].transpose(1, 2) for x in (state.key_RHSP, state.value_RHSP))
        return key, value

    def _trim(self, state: AttentionState) -> AttentionState:
        """Forget the keys and values that have left every state's window."""
        if self.window is None or len(state.num_seen_B) == 0:
            return state
        oldest = state.num_seen_B - (self.window - 1) - state.end_R[state.sequence_B] + state.key_RHSP.shape[2]
        drop = max(0, int(oldest.min()))
        if drop == 0:
            return state
        key, value = state.key_RHSP[:, :, drop:].contiguous(), state.value_RHSP[:, :, drop:].contiguous()
        return AttentionState(key, value, state.end_R, state.sequence_B, state.num_seen_B)


class SwiGLU(nn.Module):
    """Gated feed-forward layer of width 8/3 D, rounded up."""

    def __init__(self, config: LayerSizes, width: int) -> None:
        super().__init__()
        multiple = config.mlp_multiple
        hidden = -(-8 * width // (3 * multiple)) * multiple
        self.in_proj = Linear(width, 2 * hidden)
        self.out_proj = Linear(hidden, width)

    def forward(self, x_BLD: Tensor) -> Tensor:
        gate, up = self.in_proj(x_BLD).chunk(2, dim=-1)
        y: Tensor = self.out_proj(F.silu(gate) * up)
        return y
