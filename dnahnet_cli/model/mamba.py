"""The Mamba-2 mixer. Shapes: B batch, L length, D width, E = expand * D, H heads, P head size, N state size."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.model.config import LayerSizes
from dnahnet_cli.model.layers import Linear, RMSNorm
from dnahnet_cli.model.state import MambaState
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import causal_conv_silu
from dnahnet_cli.ops.norm import gated_rms_norm
from dnahnet_cli.ops.ssd import ssd

MIN_STEP, MAX_STEP = 1e-3, 1e-1


class Mamba2(nn.Module):
    """Selective state-space mixer with one group and a gated RMSNorm before its output projection."""

    def __init__(self, config: LayerSizes, width: int) -> None:
        super().__init__()
        self.inner = config.expand * width
        self.head_size = config.mamba_head_size
        self.num_heads = self.inner // self.head_size
        self.state_size = config.state_size
        self.chunk = config.ssd_chunk
        conv_channels = self.inner + 2 * self.state_size
        self.in_proj = Linear(width, self.inner + conv_channels + self.num_heads)
        self.conv_weight = nn.Parameter(torch.empty(conv_channels, config.conv_width))
        self.conv_bias = nn.Parameter(torch.zeros(conv_channels))
        self.step_bias = nn.Parameter(torch.empty(self.num_heads))
        self.log_rate = nn.Parameter(torch.empty(self.num_heads))
        self.skip = nn.Parameter(torch.ones(self.num_heads))
        self.norm = RMSNorm(self.inner)
        self.out_proj = Linear(self.inner, width)

    def reset(self) -> None:
        """Initialise what is not a linear map: step sizes log-uniform in [1e-3, 0.1], rates uniform in [1, 16]."""
        bound = self.conv_weight.shape[1] ** -0.5
        nn.init.uniform_(self.conv_weight, -bound, bound)
        step = torch.exp(torch.empty(self.num_heads).uniform_(math.log(MIN_STEP), math.log(MAX_STEP)))
        with torch.no_grad():
            self.step_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
            self.log_rate.copy_(torch.empty(self.num_heads).uniform_(1, 16).log())

    def forward(self, x_BLD: Tensor, state: MambaState | None, capture: Capture) -> tuple[Tensor, MambaState]:
        """Mix along the sequence; return the output and the states at `capture`."""
        conv_channels = self.inner + 2 * self.state_size
        gate_BLE, xbc_BLC, step_BLH = self.in_proj.parts(x_BLD, (self.inner, conv_channels, self.num_heads))
        xbc_BLC, conv = causal_conv_silu(
            xbc_BLC, self.conv_weight, self.conv_bias, None if state is None else state.conv_BWC, capture
        )
        x_BLE, b_BLN, c_BLN = xbc_BLC.split([self.inner, self.state_size, self.state_size], dim=-1)
        step_BLH = F.softplus(step_BLH.float() + self.step_bias)
        x_BLHP = x_BLE.unflatten(-1, (self.num_heads, self.head_size))
        y_BLHP, ssm = ssd(
            x_BLHP * step_BLH.unsqueeze(-1).to(x_BLHP.dtype),
            -step_BLH * torch.exp(self.log_rate),
            b_BLN,
            c_BLN,
            None if state is None else state.ssm_BHNP,
            capture,
            self.chunk,
        )
        y_BLHP = torch.addcmul(y_BLHP, x_BLHP, self.skip.to(x_BLHP.dtype).unsqueeze(-1))
        y_BLE = gated_rms_norm(y_BLHP.flatten(2), gate_BLE, self.norm.weight, self.norm.eps)
        return self.out_proj(y_BLE), MambaState(conv, ssm)
