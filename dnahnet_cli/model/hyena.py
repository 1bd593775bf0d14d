"""The hyena mixers of StripedHyena 2 (arXiv 2503.01868): two gates around a causal convolution of some reach.

A mixer projects to 3D channels, passes a causal depthwise filter of 3 taps, takes the channels by index mod 3 as x2, x1
and v, and returns out(x2 * (h conv (x1 * v) + skip * x1 * v)); no biases. The filters h, of which groups of channels
share one:
- SE: 7 explicit taps, no skip
- MR: 128 explicit taps, times exp(-a t), with a from 10^-2 to 10^2 over the groups and t the tap over 8192
- LI: as long as the sequence, a sum of real poles, one filter per channel, h_t = sum_n R_n exp(t log lambda_n),
  log lambda_n = -exp(p_n) gamma_n
Initial values as published; the skips, of which nothing is said, start at 1.

Shapes: B batch, L length, D width, G groups, T taps, N poles.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from dnahnet_cli.model.layers import Linear, product
from dnahnet_cli.model.state import HyenaState
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.hyena import explicit_conv, long_conv

SHORT_TAPS: Final = 3  # of the filter on the projections
SE_TAPS: Final = 7
MR_TAPS: Final = 128
DECAY_TAPS: Final = 8192  # taps over which the decays of MR are spread, whatever its own number


class Explicit(nn.Module):
    """A filter of given taps, shared within groups of channels, that may decay."""

    def __init__(self, width: int, groups: int, taps: int, *, decays: bool) -> None:
        super().__init__()
        self.shared = width // groups
        self.decays = decays
        self.filter_GT = nn.Parameter(torch.empty(groups, taps))

    def reset(self) -> None:
        """Initialise: what decays begins near zero."""
        taps = self.filter_GT.shape[1]
        if self.decays:
            nn.init.normal_(self.filter_GT, std=1e-5 * taps**-0.5)
        else:
            nn.init.uniform_(self.filter_GT, -(taps**-0.5), taps**-0.5)

    def forward(self, u_BLD: Tensor, memory: Tensor | None, capture: Capture) -> tuple[Tensor, Tensor]:
        filter_GT: Tensor = self.filter_GT
        if self.decays:
            groups, taps = filter_GT.shape
            rate_G1 = torch.logspace(-2, 2, groups, device=filter_GT.device).unsqueeze(1)
            # The 8192 taps of the original lie at even steps from 0 to 1, both included.
            filter_GT = filter_GT * torch.exp(-rate_G1 * torch.arange(taps, device=filter_GT.device) / (DECAY_TAPS - 1))
        return explicit_conv(u_BLD, filter_GT.repeat_interleave(self.shared, dim=0), memory, capture)


class Implicit(nn.Module):
    """A filter as long as the sequence: for each channel a sum of decaying powers."""

    def __init__(self, width: int, num_poles: int) -> None:
        super().__init__()
        self.filter_residue_DN = nn.Parameter(torch.empty(width, num_poles))
        self.filter_p_DN = nn.Parameter(torch.empty(width, num_poles))
        self.filter_log_gamma_DN = nn.Parameter(torch.empty(width, num_poles))

    def reset(self) -> None:
        """Initialise: poles that forget within 30 to 300 positions."""
        nn.init.normal_(self.filter_residue_DN, std=0.1 * self.filter_residue_DN.shape[1] ** -0.5)
        nn.init.constant_(self.filter_p_DN, -1)
        with torch.no_grad():
            self.filter_log_gamma_DN.uniform_(0.01, 0.1).log_()

    def forward(self, u_BLD: Tensor, memory: Tensor | None, capture: Capture) -> tuple[Tensor, Tensor]:
        log_pole_DN = -torch.exp(self.filter_p_DN + self.filter_log_gamma_DN)
        y_BLD, states = long_conv(u_BLD, self.filter_residue_DN, log_pole_DN, memory, capture)
        return y_BLD.to(u_BLD.dtype), states


class Hyena(nn.Module):
    """Two gates around a causal convolution, with a skip past it or without."""

    def __init__(self, width: int, long: Explicit | Implicit, *, skip: bool) -> None:
        super().__init__()
        self.in_proj = Linear(width, 3 * width)
        self.filter_short = nn.Parameter(torch.empty(3 * width, SHORT_TAPS))
        self.long = long
        self.skip = nn.Parameter(torch.ones(width)) if skip else None
        self.out_proj = Linear(width, width)

    @classmethod
    def short(cls, width: int, groups: int, taps: int = SE_TAPS) -> Hyena:
        """Return a mixer of short reach, SE."""
        return cls(width, Explicit(width, groups, taps, decays=False), skip=False)

    @classmethod
    def medium(cls, width: int, groups: int, taps: int = MR_TAPS) -> Hyena:
        """Return a mixer of medium reach, MR."""
        return cls(width, Explicit(width, groups, taps, decays=True), skip=True)

    @classmethod
    def unbounded(cls, width: int, num_poles: int) -> Hyena:
        """Return a mixer of unbounded reach, LI."""
        return cls(width, Implicit(width, num_poles), skip=True)

    def reset(self) -> None:
        """Initialise what is not a linear map."""
        bound = SHORT_TAPS**-0.5
        nn.init.uniform_(self.filter_short, -bound, bound)
        self.long.reset()

    def forward(self, x_BLD: Tensor, state: HyenaState | None, capture: Capture) -> tuple[Tensor, HyenaState]:
        """Mix along the sequence; return the output and the states at `capture`."""
        tail, memory = (None, None) if state is None else (state.tail_BWC, state.memory)
        x_BLD = x_BLD.to(self.in_proj.compute_dtype)
        projected_BLC = product(x_BLD, _by_role(self.in_proj.weight).to(x_BLD.dtype))
        z_BLC, tail = explicit_conv(projected_BLC, _by_role(self.filter_short), tail, capture)
        x2_BLD, x1_BLD, v_BLD = z_BLC.chunk(3, dim=-1)
        u_BLD = x1_BLD * v_BLD
        y_BLD, memory = self.long(u_BLD, memory, capture)
        if self.skip is not None:
            y_BLD = y_BLD + self.skip.to(u_BLD.dtype) * u_BLD
        return self.out_proj(x2_BLD * y_BLD), HyenaState(tail, memory)


def _by_role(rows: Tensor) -> Tensor:
    """Return the rows of all x2, then of all x1, then of all v. One of each in turn is slow to take apart."""
    by_role: Tensor = rows.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)
    return by_role
