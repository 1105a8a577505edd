"""A saved model as a file to take away. It loads no network, and so imports no torch."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backend.contracts import ModelInfo
from backend.engine.model_folder import INFO_FILE, WEIGHTS_FILE, load_info, require_file
from backend.errors import ConflictError, InputError
from backend.registry import nearest
from backend.storage.files import atomic_directory


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file on the disk, and the name and media type under which it is handed out."""

    path: Path
    filename: str
    media_type: str


Exporter = Callable[[Path, ModelInfo], ExportedFile]


def export(folder: Path, format: str = "pth") -> ExportedFile:  # noqa: A002 - the word of the API
    """Return the model in `folder` as one file, made where it is not there yet.

    Raises:
        InputError: there is no such format; the message names the allowed ones.
        NotFoundError: there is no model in this folder.
    """
    if format not in FORMATS:
        raise InputError(
            f"There is no download format '{format}'.{nearest(format, FORMATS)} Allowed: {', '.join(FORMATS)}."
        )
    info = load_info(folder)
    require_file(folder, WEIGHTS_FILE)
    return FORMATS[format](folder, info)


def _export_pth(folder: Path, info: ModelInfo) -> ExportedFile:
    return ExportedFile(folder / WEIGHTS_FILE, f"{_stem(info)}.pth", "application/octet-stream")


def _export_bundle(folder: Path, info: ModelInfo) -> ExportedFile:
    target = folder / "export-bundle" / "bundle.zip"
    if not target.is_file():
        # Another process that is quicker has made the same file: a saved model never changes.
        with suppress(ConflictError), atomic_directory(target.parent) as temporary:
            _write_bundle(temporary / target.name, folder, info)
    return ExportedFile(target, f"{_stem(info)}.zip", "application/zip")


# To add a format, add its line; the message for an unknown one and the tests over the formats follow.
FORMATS: dict[str, Exporter] = {"pth": _export_pth, "bundle": _export_bundle}


def _write_bundle(path: Path, folder: Path, info: ModelInfo) -> None:
    # Stored, not deflated: weights hardly shrink (by 7% for Lite0), and deflating them takes a second for 20 MB.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(folder / WEIGHTS_FILE, WEIGHTS_FILE)
        archive.write(folder / INFO_FILE, INFO_FILE)
        archive.writestr("predict.py", Path(__file__).with_name("standalone.py").read_text(encoding="utf-8"))
        archive.writestr("README.md", _readme(info))


def _readme(info: ModelInfo) -> str:
    how = info.preprocessing
    reason = f" {how.reason}" if how.reason else ""
    classes = "\n".join(f"- {name}" for name in info.class_names)
    alone = _together(info) if info.members else "The model alone, in three lines:"
    return f"""# {info.name}, trained by Sightglass

Accuracy on held-out test images: {info.accuracy:.1%} (macro F1 {info.macro_f1:.1%}).

## Use it

    pip install torch timm pillow
    python predict.py picture.jpg

{alone}

    ckpt = torch.load("model.pth", weights_only=True)
    net = timm.create_model(ckpt["timm_name"], num_classes=len(ckpt["class_names"]), **ckpt["model_args"])
    net.load_state_dict(ckpt["state_dict"])

Call `net.eval()` before use, and prepare pictures as `prepare` in `predict.py` does: {how.resize} to
{how.width} x {how.height} pixels ({how.interpolation}), divided by 255, then mean {list(how.mean)} and
std {list(how.std)}.{reason}

## Files

- `model.pth`: weights, class names and preprocessing; tensors and plain values only
- `model.json`: how it was trained, metrics, versions of the libraries
- `predict.py`: needs torch, timm and Pillow, nothing else

## Classes

{classes}
"""


def _together(info: ModelInfo) -> str:
    shares = ", ".join(f"{member.name} ({member.weight:.0%})" for member in info.members)
    return f"""This model is {len(info.members)} networks that answer together: {shares}.
`predict.py` asks each of them and averages their probabilities by these weights; an answer takes as long as all of
them. `model.pth` holds them under `members`.

The leading network alone, in three lines; its answers are not those of all together, and the accuracy above is not
its own:"""


def _stem(info: ModelInfo) -> str:
    # A colon, as in "timm:resnet10t", is no part of a file's name on Windows.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{info.name}-{info.model_id}")
