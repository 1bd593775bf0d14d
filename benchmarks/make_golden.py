"""Keep the scores of the self-test for the bundled weights, for `dnahnet doctor`: after they have been replaced.

python benchmarks/make_golden.py
"""

from __future__ import annotations

import json

import torch

from dnahnet_cli.networks.weights import bundled_models, find_model, load_model
from dnahnet_cli.scoring.selftest import GOLDEN, self_test


def main() -> None:
    torch.set_num_threads(1)
    kept = {}
    for name in bundled_models():
        file = find_model(name)
        kept[file.sha256] = [round(score, 6) for score in self_test(load_model(file), file.sha256).scores]
        print(name, *kept[file.sha256])
    GOLDEN.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
