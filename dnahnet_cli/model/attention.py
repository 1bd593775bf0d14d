"""Causal attention and SwiGLU. Shapes: B batch, L new tokens, S cached tokens, D width, H heads, P head size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.model.config import AttentionSizes, LayerSizes
from dnahnet_cli.model.layers import Linear, product
from dnahnet_cli.model.state import AttentionState
from dnahnet_cli.ops.capture import Capture

ROTARY_BASE = 10_000.0
BLOCK = 64  # queries that share their keys in windowed attention
MAX_SCORES = 1 << 20  # per head, up to which a CPU computes all scores at once
CAUSAL_BLOCK = 256  # queries that a CPU compares at once with all keys before them


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(P)) v over the `allowed` keys, broadcast to (..., L, S), by two plain products."""
    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill_(~allowed, -torch.inf)
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.mT) + bias
    return torch.matmul(scores.softmax(-1), v)


def attend_causally(
    q_BHLP: Tensor, k_BHLP: Tensor, v_BHLP: Tensor, past: Sequence[tuple[Tensor, Tensor]], window: int | None
) -> Tensor:
    """Return what `attend` does, for inference on a CPU: a query sees its own key and those before it, or `window`.

    `past` has the keys and values, (H, S, P), that precede each row. A block of queries is compared with the keys that
    one of them sees, head by head. Several times as fast as torch's fused attention, which is written for other
    processors: nothing is copied, and nothing is larger than a cache.
    """
    batch, heads, length, size = q_BHLP.shape
    q_BHLP = q_BHLP * size**-0.5
    y_BHLP = torch.empty_like(q_BHLP)
    hidden = torch.full((min(CAUSAL_BLOCK, length),) * 2, -torch.inf, dtype=q_BHLP.dtype)
    later, earlier = hidden.triu(1), hidden.tril(-1)
    for start in reversed(range(0, length, CAUSAL_BLOCK)):  # the largest scores first: the others fit where they lay
        queries = min(CAUSAL_BLOCK, length - start)
        for row in range(batch):
            old_k_HSP, old_v_HSP = past[row]
            num_past = old_k_HSP.shape[1]
            first = 0 if window is None else max(0, num_past + start - window + 1)  # key that the first query sees
            own, old = slice(max(0, first - num_past), start + queries), slice(first, num_past)
            for head in range(heads):
                q_LP = q_BHLP[row, head, start : start + queries]
                scores = product(q_LP, k_BHLP[row, head, own])
                if first < num_past:
                    scores = torch.cat([product(q_LP, old_k_HSP[head, old].to(q_LP.dtype)), scores], dim=-1)
                scores[:, -queries:] += later[:queries, :queries]
                if window is not None:  # the first query may see fewer, at the beginning of the sequence
                    left = earlier[:queries, window - 1 + queries - scores.shape[1] : queries]
                    scores[:, : left.shape[1]] += left
                weights = scores.softmax(-1)
                y_LP = product(weights[:, max(0, num_past - first) :], v_BHLP[row, head, own].mT)
                if first < num_past:
                    y_LP += product(weights[:, : num_past - first], old_v_HSP[head, old].mT.to(q_LP.dtype))
                y_BHLP[row, head, start : start + queries] = y_LP
    return y_BHLP


def rotate(x_BHLP: Tensor, position_BL: Tensor, share: float = 0.5) -> Tensor:
    """Apply rotary position embedding to the first `share` of each head's channels; the rest passes through."""
    rotated = int(x_BHLP.shape[-1] * share)
    frequency = ROTARY_BASE ** (-torch.arange(0, rotated, 2, device=x_BHLP.device).float() / rotated)
    angle_B1LF = (position_BL.float().unsqueeze(-1) * frequency).unsqueeze(1)
    cos, sin = angle_B1LF.cos(), angle_B1LF.sin()
    first, second, rest = x_BHLP.split([rotated // 2, rotated // 2, x_BHLP.shape[-1] - rotated], dim=-1)
    across_BHLP = torch.cat([second, first, rest], dim=-1)  # whole heads, because narrow slices of them are slow
    rest_B1LF = torch.zeros_like(angle_B1LF[..., :1]).expand(*angle_B1LF.shape[:3], rest.shape[-1])
    cos_B1LP = torch.cat([cos, cos, rest_B1LF + 1], dim=-1)
    sin_B1LP = torch.cat([-sin, sin, rest_B1LF], dim=-1)
    return torch.addcmul(x_BHLP * cos_B1LP, across_BHLP, sin_B1LP).to(x_BHLP.dtype)


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
        parts = self.in_proj.parts(x_BLD, (self.num_heads * self.head_size,) * 3)
        q, k, v = (part.unflatten(-1, (self.num_heads, self.head_size)).transpose(1, 2) for part in parts)
        seen_B = x_BLD.new_zeros(batch, dtype=torch.long) if state is None else state.num_seen_B
        position_BL = seen_B.unsqueeze(1) + torch.arange(length, device=x_BLD.device)
        q, k = rotate(q, position_BL, self.rotary_share), rotate(k, position_BL, self.rotary_share)
        lean = q.is_cpu and not torch.is_grad_enabled()
        last = state if len(capture.rows) == 0 else None  # after this call no state is wanted
        if lean and last is not None and self.window is None:
            y = self._go_on(q, k, v, last)
        elif lean and length > BLOCK:
            past = self._past(state) if state is not None else [(x[:, :0], x[:, :0]) for x in k]
            y = attend_causally(q, k, v, past, self.window)
        else:
            y = self._attend(q, k, v, state, position_BL)
        y_BLD = self.out_proj(y.transpose(1, 2).flatten(2))
        if last is not None:
            return y_BLD, last.take(capture.rows)
        k, v = self._with_past(k, v, state)
        new_state = AttentionState(k, v, seen_B + length, capture.rows, seen_B[capture.rows] + capture.positions)
        return y_BLD, self._trim(new_state)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, state: AttentionState | None, position_BL: Tensor) -> Tensor:
        """Attend in one of the ways that can be differentiated and that a GPU is fast at."""
        length, seen_B = q.shape[2], position_BL[:, 0]
        k, v = self._with_past(k, v, state)
        kept = k.shape[2] - length
        if self.window is not None and self.window < length:
            return self._in_blocks(q, k, v, seen_B, self.window)
        if q.is_cpu and length * k.shape[2] <= MAX_SCORES:
            alike = slice(0, 1) if state is None else slice(None)  # without a state all rows have one mask
            return attend(q, k, v, self._mask(position_BL[alike], seen_B[alike], kept))
        if kept == 0:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask(position_BL, seen_B, kept))

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

    def _go_on(self, q_BHLP: Tensor, k_BHLP: Tensor, v_BHLP: Tensor, state: AttentionState) -> Tensor:
        """Attend to what each state has seen and to the call's own tokens, (B, H, L, P).

        Many states may have been taken along one sequence. Its keys are multiplied once, with the queries of all of
        them, and never copied.
        """
        _, heads, length, size = q_BHLP.shape
        q_BHLP = q_BHLP * size**-0.5
        y_BHLP = torch.empty_like(q_BHLP)
        later_LL = torch.full((length, length), -torch.inf, dtype=q_BHLP.dtype).triu_(1)
        for sequence in state.sequence_B.unique().tolist():
            rows = (state.sequence_B == sequence).nonzero().squeeze(1)
            seen_B = state.num_seen_B[rows]
            first = int(state.end_R[sequence]) - state.key_RHSP.shape[2]  # the first kept one's position
            used = slice(max(0, -first), int(seen_B.max()) - first)
            unseen_BS = torch.arange(first + used.start, first + used.stop) >= seen_B.unsqueeze(1)
            bias_B1S = torch.zeros(unseen_BS.shape, dtype=q_BHLP.dtype).masked_fill_(unseen_BS, -torch.inf).unsqueeze(1)
            for head in range(heads):
                q_BLP, k_BLP, v_BLP = (x[rows, head] for x in (q_BHLP, k_BHLP, v_BHLP))
                key_SP, value_SP = (x[sequence, head, used].to(q_BLP.dtype) for x in (state.key_RHSP, state.value_RHSP))
                before_BLS = product(q_BLP.flatten(0, 1), key_SP).unflatten(0, (-1, length)) + bias_B1S
                own_BLL = torch.bmm(q_BLP, k_BLP.mT) + later_LL
                weights = torch.cat([before_BLS, own_BLL], dim=-1).softmax(-1)
                before_BLS, own_BLL = weights.split([len(key_SP), length], dim=-1)
                y_BLP = product(before_BLS.flatten(0, 1), value_SP.mT).unflatten(0, (-1, length))
                y_BHLP[rows, head] = y_BLP + torch.bmm(own_BLL, v_BLP)
        return y_BHLP

    def _past(self, state: AttentionState) -> list[tuple[Tensor, Tensor]]:
        """Return, without a copy, the keys and values before each state's position that matter, (H, S, P)."""
        past = []
        first_R = state.end_R - state.key_RHSP.shape[2]  # the position of the first one kept
        where = (state.sequence_B, state.num_seen_B, first_R[state.sequence_B])
        for sequence, seen, first in zip(*(x.tolist() for x in where), strict=True):
            begin = 0 if self.window is None else max(0, seen - self.window + 1)
            used = slice(max(0, begin - first), seen - first)
            past.append((state.key_RHSP[sequence, :, used], state.value_RHSP[sequence, :, used]))
        return past

    def _with_past(self, k: Tensor, v: Tensor, state: AttentionState | None) -> tuple[Tensor, Tensor]:
        """Return keys and values of this call's tokens behind a copy of the state's, (B, H, S + L, P)."""
        if state is None:
            return k, v
        old_k, old_v = self._seen(state)
        return torch.cat([old_k.to(k.dtype), k], dim=2), torch.cat([old_v.to(v.dtype), v], dim=2)

    def _seen(self, state: AttentionState) -> tuple[Tensor, Tensor]:
        """Return the keys and values that end right before each state's position, (B, H, S, P), as many as matter."""
        size = state.key_RHSP.shape[2]
        behind_B = state.end_R[state.sequence_B] - state.num_seen_B  # kept tokens that a state has not seen
        keep = size if state.num_seen_B.is_cuda else int(state.num_seen_B.max())  # the host waits for no GPU
        if self.window is not None:
            keep = min(keep, self.window - 1)  # a token sees itself and window - 1 before it
        index_BS = (size - behind_B - keep).unsqueeze(1) + torch.arange(keep, device=behind_B.device)
        index_BS = index_BS.clamp(min=0)  # before the first token: never attended to, see _mask
        rows = state.sequence_B.unsqueeze(1)
        key, value = (x.transpose(1, 2)[rows, index_BS].transpose(1, 2) for x in (state.key_RHSP, state.value_RHSP))
        return key, value

    def _trim(self, state: AttentionState) -> AttentionState:
        """Forget the keys and values that have left every state's window."""
        if self.window is None or len(state.num_seen_B) == 0 or state.num_seen_B.is_cuda:
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
        gate, up = self.in_proj.parts(x_BLD, (self.out_proj.in_features,) * 2)
        hidden = F.silu(gate) * up if torch.is_grad_enabled() else F.silu(gate, inplace=True).mul_(up)
        y: Tensor = self.out_proj(hidden)
        return y
