"""EfficientNet-Lite0's bundled ImageNet weights, written once under timm's names so that every library can load them.

Two shapes of the same tensors in one folder: `imagenet.pth` with the ImageNet head (fastai, the tutorial), and what
AutoGluon's `checkpoint_name` takes (`config.json` and `pytorch_model.bin`, without a head).
"""

from __future__ import annotations

import json
from pathlib import Path

from backend.config import Settings
from benchmarks.parts import BENCH

FOLDER = BENCH / "weights" / "tf_efficientnet_lite0"
WITH_HEAD = "imagenet.pth"
WITHOUT_HEAD = "pytorch_model.bin"
NETWORK = "efficientnet_lite0"


def write_weights(folder: Path = FOLDER) -> Path:
    """The folder with both; nothing is written where it is complete."""
    if not (folder / "config.json").exists():
        import torch

        from backend.engine.models import find_spec
        from backend.engine.network import create_network

        settings = Settings(offline=True)
        network = create_network(find_spec(NETWORK), num_classes=1000, settings=settings, seed=0)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous() for name, tensor in network.module.state_dict().items()}
        head = tuple(f"classifier.{name}" for name in ("weight", "bias"))
        torch.save(state, folder / WITH_HEAD)
        torch.save({name: tensor for name, tensor in state.items() if name not in head}, folder / WITHOUT_HEAD)
        size = network.input_size
        config = {
            "architecture": network.spec.timm_name,
            "num_features": network.head.in_features,
            "num_classes": network.num_classes,
            "input_size": [3, size, size],
            "mean": list(network.mean),
            "std": list(network.std),
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder
