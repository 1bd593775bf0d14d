"""On a device the host queues a whole pass before it waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dnahnet_cli.model.config import PRESETS as MODELS
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.network import Network
from dnahnet_cli.model.state import State, take
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.ops.capture import Capture
from tests.conftest import lively_model
from tests.device import OnDevice

HYENA = replace(MODELS["tiny"], layout=["s1R1l1", ["T1m1", ["T1"], "m1T1"], "l1"])


def scan(network: Network) -> State:
    places = Capture(torch.tensor([0, 0, 1, 1, 0]), torch.tensor([10, 50, 20, 90, 100]))
    tokens = torch.randint(0, 4, (2, 100), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        state: State = network(tokens, length_B=torch.tensor([100, 90]), capture=places)[1]
    return state


def branch(network: Network, state: State) -> None:
    tokens = torch.randint(0, 4, (4, 40), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        lengths = torch.tensor([40, 30, 20, 10])
        network(tokens, take(state, torch.tensor([0, 1, 1, 3])), length_B=lengths, capture=Capture.nowhere())


@pytest.mark.parametrize("layout", ["as it is", "hyena"])
def test_it_waits_at_the_end_for_whether_there_was_room(layout: str) -> None:
    network = lively_model() if layout == "as it is" else HNet(HYENA).eval()
    look = "model/hnet.py: if room and self.looks_back and any(bool(trace.overflow) for trace in traces):"
    for waits in (True, False):
        network.looks_back = waits
        with OnDevice() as scanning:
            state = scan(network)
        with OnDevice() as branching:
            branch(network, state)
        assert set(scanning.waits) == set(branching.waits) == ({look} if waits else set())
        assert len(scanning.waits) <= network.config.num_stages


@pytest.mark.parametrize("arch", ["transformer", "striped-hyena2", "mamba2"])
def test_a_network_without_chunks_never_makes_it_wait(arch: str) -> None:
    network = build(PRESETS[arch]["tiny"]).eval()
    with OnDevice() as device:
        branch(network, scan(network))
    assert device.waits == []


def test_waiting_is_seen() -> None:
    network = lively_model()
    network.reserves = False
    with OnDevice() as device:
        scan(network)
    assert any("int(count_BL[:, -1].max())" in place for place in device.waits)
