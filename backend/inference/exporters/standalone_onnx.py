"""Classify pictures with a model that Sightglass exported. Needs onnxruntime, numpy and Pillow; no torch.

    pip install onnxruntime numpy pillow
    python predict_onnx.py picture.jpg other.png
    python predict_onnx.py --model model.onnx --top-k 5 --json picture.jpg

From Python: `model = load("model.onnx")`, then `model.predict("picture.jpg")`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


@dataclass(frozen=True)
class Model:
    """The graph, and the class names that it carries.

    `thresholds` are for pictures that may have several labels: from which confidence on each is present.
    """

    session: Any
    class_names: list[str]
    thresholds: list[float] | None = None

    def predict(self, source: str | Path | Image.Image, top_k: int = 3) -> list[tuple[str, float]]:
        """Labels with confidence 0..1, likeliest first."""
        confidences = self.probabilities(source)
        places = np.argsort(-confidences, kind="stable")[:top_k]
        return [(self.class_names[place], float(confidences[place])) for place in places]

    def present(self, source: str | Path | Image.Image) -> list[str]:
        """The labels that a picture has, where it may have several."""
        limits = self.thresholds or [0.5] * len(self.class_names)
        return [self.class_names[place] for place in np.flatnonzero(self.probabilities(source) >= np.array(limits))]

    def probabilities(self, source: str | Path | Image.Image) -> Any:
        """Of every class, in the order of `class_names`. Resizing and normalising are inside the graph."""
        image = upright_rgb(source if isinstance(source, Image.Image) else Image.open(source))
        return self.session.run(["probabilities"], {"images": np.asarray(image)[None]})[0][0]


def load(path: str | Path) -> Model:
    """Open a `.onnx`."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    names = json.loads(said["class_names"])
    thresholds = json.loads(said["thresholds"]) or [0.5] * len(names)
    return Model(session, names, thresholds if said["task"] == "multilabel" else None)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn the picture as its camera held it, and lay transparency on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):  # 16-bit grey
        image = image.convert("F").point(lambda value: value / 257 + 0.5).convert("L")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def main() -> None:
    """Read the command line and print one line for each picture."""
    parser = argparse.ArgumentParser(description="Classify pictures.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).with_name("model.onnx"))
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
