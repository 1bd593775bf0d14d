"""Small random rivals whose every path is loud."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache

import torch
from torch import Tensor, nn

from dnahnet_cli.baselines.chunkers import FixedStrideConfig, RandomChunksConfig
from dnahnet_cli.baselines.isotropic import Mamba2Config, TransformerConfig
from dnahnet_cli.baselines.striped_hyena2 import StripedHyena2Config
from dnahnet_cli.model.config import BOS, Config
from dnahnet_cli.model.hyena import Implicit
from dnahnet_cli.model.layers import Linear
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import build
from tests.model.networks import CONFIGS as MODELS

SIZES = {"state_size": 8, "mamba_head_size": 8, "ssd_chunk": 8, "attention_head_size": 8, "mlp_multiple": 16}
LENGTHS = ((0.2, 0.3, 0.3, 0.0, 0.2), (0.5, 0.3, 0.2))

CONFIGS: dict[str, Config] = {
    "transformer": TransformerConfig("T3", 24, **SIZES),
    "mamba2": Mamba2Config("m3M1", 24, **SIZES, period=3),
    "striped-hyena2": StripedHyena2Config(24, 8, 8, 16, filter_groups=6, se_taps=5, mr_taps=20, num_poles=4, period=3),
    "fixed-stride": FixedStrideConfig(**asdict(MODELS["2-mixed"])),
    "random-chunks": RandomChunksConfig(**asdict(MODELS["2-mixed"]), lengths=LENGTHS),
}


@cache
def network(name: str, seed: int = 0) -> Network:
    """Return a frozen random network in which each layer's output is as large as its input."""
    torch.manual_seed(seed)
    model = build(CONFIGS[name]).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, Implicit):  # poles that forget within 1 to 100 positions
            nn.init.uniform_(module.filter_log_gamma_DN, -3.5, 1)
            nn.init.normal_(module.filter_residue_DN, std=0.5)
    for key, parameter in model.named_parameters():
        if "residual" in key or "filter_GT" in key or "filter_short" in key:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif "widening" in key or "embedding" in key:
            nn.init.normal_(parameter)
        elif "norm" in key or "skip" in key:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def tokens(batch: int, length: int, seed: int = 0) -> Tensor:
    """Return random tokens, BOS first and some N."""
    token_BL = torch.randint(0, 5, (batch, length), generator=torch.Generator().manual_seed(seed))
    token_BL[:, 0] = BOS
    return token_BL
