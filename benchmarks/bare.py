"""The least that comparing networks could cost in torch: each of them forward over all images once, and nothing else.

bfloat16 by autocast where the processor has it, channels last, inference mode, no classifier to train, no file read
while the clock runs; the first batch of each network goes through once before. As a process it prints one JSON object
a network.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import timm
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from backend.config import Settings
from backend.engine.arithmetic import autocast, choose_device, place, set_threads

BATCH_SIZE = 16


def forward_seconds(model: str, pixels: torch.Tensor, *, batch_size: int = BATCH_SIZE) -> float:
    """Seconds of one pass over `pixels` [N, 3, H, W] float32."""
    device = choose_device()
    module = place(timm.create_model(model, num_classes=0).eval(), device)
    batches = [part.to(device, memory_format=torch.channels_last) for part in pixels.split(batch_size)]
    with torch.inference_mode(), autocast(device):
        module(batches[0]).sum().item()
        started = time.perf_counter()
        outputs = [module(batch) for batch in batches]
        torch.cat(outputs).sum().item()  # also waits for a GPU
        return time.perf_counter() - started


def read_pixels(folder: Path, *, side: int = 224) -> torch.Tensor:
    """All images below a folder [N, 3, side, side], in -1..1."""
    files: Sequence[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    pictures = [Image.open(file).convert("RGB").resize((side, side)) for file in files]
    return torch.stack([functional.pil_to_tensor(picture).float() / 127.5 - 1 for picture in pictures])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", required=True, help="timm's name; may be given again")
    chosen = parser.parse_args()
    set_threads(Settings().torch_threads)
    pixels = read_pixels(chosen.folder)
    for model in chosen.model:
        took = forward_seconds(model, pixels)
        sys.stdout.write(json.dumps({"model": model, "seconds": took, "images": len(pixels)}) + "\n")


if __name__ == "__main__":
    main()
