"""Classify pictures with a model that Sightglass trained. Needs torch, timm and Pillow; nothing of Sightglass.

    pip install torch timm pillow
    python predict.py picture.jpg other.png
    python predict.py --model model.pth --top-k 5 --json picture.jpg

From Python: `model = load("model.pth")`, then `model.predict("picture.jpg")`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image, ImageOps

RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Member:
    """A network, the way its pictures are prepared, and its say: the weights of all members add up to 1."""

    network: torch.nn.Module
    preprocessing: dict[str, Any]
    weight: float


@dataclass(frozen=True)
class Model:
    """Class names, and the networks that answer: mostly one, several in an ensemble.

    `thresholds` are for pictures that may have several labels: from which confidence on each is present.
    """

    members: list[Member]
    class_names: list[str]
    thresholds: list[float] | None = None

    def predict(self, source: str | Path | Image.Image, top_k: int = 3) -> list[tuple[str, float]]:
        """Labels with confidence 0..1, likeliest first."""
        confidences, places = self.probabilities(source).topk(min(top_k, len(self.class_names)))
        return [(self.class_names[place], value) for place, value in zip(places.tolist(), confidences.tolist())]  # noqa: B905 - equally long

    def present(self, source: str | Path | Image.Image) -> list[str]:
        """The labels that a picture has, where it may have several."""
        limits = torch.tensor(self.thresholds or [0.5] * len(self.class_names), dtype=torch.float64)
        return [
            self.class_names[place] for place in (self.probabilities(source) >= limits).nonzero().flatten().tolist()
        ]

    def probabilities(self, source: str | Path | Image.Image) -> torch.Tensor:
        """Of every class, in the order of `class_names`."""
        image = upright_rgb(source if isinstance(source, Image.Image) else Image.open(source))
        together = torch.zeros(len(self.class_names), dtype=torch.float64)
        with torch.inference_mode():
            for member in self.members:
                scores = member.network(prepare(image, member.preprocessing))[0].double()
                together += member.weight * (scores.softmax(0) if self.thresholds is None else scores.sigmoid())
        return together


def load(path: str | Path) -> Model:
    """Open a `.pth`. `weights_only=True` means that no code in the file can run."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    names = checkpoint["class_names"]
    members = checkpoint.get("members") or [{**checkpoint, "weight": 1.0}]
    several = checkpoint.get("task") == "multilabel"
    thresholds = (checkpoint.get("thresholds") or [0.5] * len(names)) if several else None
    return Model([rebuild(member, len(names)) for member in members], names, thresholds)


def rebuild(part: dict[str, Any], num_classes: int) -> Member:
    """Build one network from its part of the file."""
    network = timm.create_model(part["timm_name"], num_classes=num_classes, **part["model_args"])
    for name in part.get("cbam", ()):  # where attention follows a stage; older files have none
        add_cbam(network, name)
    network.load_state_dict(part["state_dict"])
    return Member(network.eval(), part["preprocessing"], part["weight"])


class Cbam(torch.nn.Module):
    """Attention over channels, then over places (Woo et al. 2018), each gate twice a sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 16)
        self.squeeze = torch.nn.Linear(channels, hidden)
        self.expand = torch.nn.Linear(hidden, channels)
        self.places = torch.nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N, C, H, W] in, the same with weighted channels and places out."""
        shared = [self.expand(self.squeeze(pooled).relu()) for pooled in (features.mean((2, 3)), features.amax((2, 3)))]
        features = features * (2 * (shared[0] + shared[1]).sigmoid())[:, :, None, None]
        seen = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        gate: torch.Tensor = 2 * self.places(seen).sigmoid()
        return features * gate


def add_cbam(network: Any, name: str) -> None:
    """Append attention to the sequence of blocks that `name` ends, such as blocks.6.cbam."""
    path = name.rpartition(".")[0]
    stages = {entry["module"]: entry["num_chs"] for entry in network.feature_info}
    channels = stages.get(path) or stages[path.removesuffix(".blocks")]
    network.get_submodule(path).add_module("cbam", Cbam(channels))


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn the picture as its camera held it, and lay transparency on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):  # 16-bit grey
        image = image.convert("F").point(lambda value: value / 257 + 0.5).convert("L")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def prepare(image: Image.Image, how: dict[str, Any]) -> torch.Tensor:
    """Make the network's input, float [1, 3, height, width], exactly as training did."""
    picture = fit(image, how)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    batch = pixels.view(1, how["height"], how["width"], 3).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(how[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (batch - mean) / std


def fit(image: Image.Image, how: dict[str, Any]) -> Image.Image:
    """Resize to width x height: squash stretches, letterbox fills up with the mean colour, crop keeps the centre.

    pad leaves the picture as it is and fills up with the mean colour; one that is too large is scaled down to fit.
    """
    target = (how["width"], how["height"])
    method = RESAMPLING[how["interpolation"]]
    if how["resize"] == "squash":
        return image.resize(target, method)
    ratios = (target[0] / image.width, target[1] / image.height)
    scale = max(ratios) if how["resize"] == "crop" else min(ratios)
    if how["resize"] == "pad":
        scale = min(1.0, scale)
    scaled = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    left, top = (target[0] - scaled[0]) // 2, (target[1] - scaled[1]) // 2
    if how["resize"] == "crop":
        across, down = image.width / scaled[0], image.height / scaled[1]
        begin = (-left * across, -top * down)
        end = (min(begin[0] + target[0] * across, image.width), min(begin[1] + target[1] * down, image.height))
        return image.resize(target, method, box=(*begin, *end))
    canvas = Image.new("RGB", target, tuple(round(255 * channel) for channel in how["mean"]))
    canvas.paste(image.resize(scaled, method), (left, top))
    return canvas


def main() -> None:
    """Read the command line and print one line for each picture."""
    parser = argparse.ArgumentParser(description="Classify pictures.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).with_name("model.pth"))
    parser.add_argument("--top-k", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    model = load(options.model)
    for path in options.pictures:
        print(line_of(model, path, options))  # noqa: T201 - a script's answer


def line_of(model: Model, path: Path, options: argparse.Namespace) -> str:
    """What is printed of one picture."""
    answer = model.predict(path, options.top_k)
    present = None if model.thresholds is None else model.present(path)
    if options.json:
        line = {"file": str(path), "predictions": answer}
        return json.dumps(line if present is None else {**line, "present": present})
    words = ", ".join(f"{label} {confidence:.1%}" for label, confidence in answer)
    return f"{path}: {words}" if present is None else f"{path}: {', '.join(present) or 'nothing'} ({words})"


if __name__ == "__main__":
    main()
