"""The bundle: a ZIP with the model, two scripts that need nothing of Sightglass, and what a person should read."""

from __future__ import annotations

import zipfile
from pathlib import Path

from backend.contracts import ModelInfo
from backend.engine.model_folder import INFO_FILE, WEIGHTS_FILE
from backend.engine.models import CBAM_SUFFIX
from backend.inference.exporters.licences import licence_notes
from backend.inference.exporters.request import ONNX_FILE, REPORT_FILE, Subject, read_report

SCRIPTS = {"predict.py": "standalone.py", "predict_onnx.py": "standalone_onnx.py"}
ONNX_SCRIPT = "predict_onnx.py"


def write_archive(path: Path, subject: Subject, *, card: Path, converted: Path | str) -> None:
    """Write the ZIP. `converted` is the folder of the ONNX file, or why there is none."""
    folder, info = subject.folder, subject.info
    # Stored, not deflated: weights hardly shrink (by 7% for Lite0), and deflating them takes a second for 20 MB.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(folder / WEIGHTS_FILE, WEIGHTS_FILE)
        archive.write(folder / INFO_FILE, INFO_FILE)
        archive.write(card, "card.html")
        for name, source in SCRIPTS.items():
            if name != ONNX_SCRIPT or isinstance(converted, Path):
                archive.writestr(name, Path(__file__).with_name(source).read_text(encoding="utf-8"))
        if isinstance(converted, Path):
            for name in (ONNX_FILE, REPORT_FILE):
                archive.write(converted / name, name)
        archive.writestr("LICENSES.md", licence_notes(info))
        archive.writestr("README.md", _readme(info, converted))


def _readme(info: ModelInfo, converted: Path | str) -> str:
    how = info.preprocessing
    reason = f" {how.reason}" if how.reason else ""
    classes = "\n".join(f"- {name}" for name in info.class_names)
    alone = _together(info) if info.members else "The model alone, in three lines:"
    return f"""# {info.name}, trained by Sightglass

{_worth(info)} `card.html` says what it was trained on, where it is weak and what it is not made for.

## Use it

    pip install torch timm pillow
    python predict.py picture.jpg

{_onnx(converted)}

{alone}

    ckpt = torch.load("model.pth", weights_only=True)
    net = timm.create_model(ckpt["timm_name"], num_classes=len(ckpt["class_names"]), **ckpt["model_args"])
{_attention(info)}    net.load_state_dict(ckpt["state_dict"])

Call `net.eval()` before use, and prepare pictures as `prepare` in `predict.py` does: {how.resize} to
{how.width} x {how.height} pixels ({how.interpolation}), divided by 255, then mean {list(how.mean)} and
std {list(how.std)}.{reason} {_activation(info)}

## Files

- `model.pth`: weights, class names and preprocessing; tensors and plain values only
- `model.json`: how it was trained, metrics, versions of the libraries
- `card.html`: the model card, for people
- `predict.py`: needs torch, timm and Pillow, nothing else
{_onnx_files(converted)}- `LICENSES.md`: where the weights come from, and under which terms

## Classes

{classes}
"""


def _attention(info: ModelInfo) -> str:
    """The line that puts CBAM where a network has it, before its weights are loaded."""
    if not info.name.partition(":")[0].endswith(CBAM_SUFFIX):
        return ""
    return """    from predict import add_cbam  # attention after two stages, which timm does not know
    for place in ckpt["cbam"]:
        add_cbam(net, place)
"""


def _worth(info: ModelInfo) -> str:
    if info.task == "multilabel":
        return f"All labels right on {info.accuracy:.1%} of held-out test images (macro F1 {info.macro_f1:.1%})."
    return f"Accuracy on held-out test images: {info.accuracy:.1%} (macro F1 {info.macro_f1:.1%})."


def _activation(info: ModelInfo) -> str:
    if info.task == "multilabel":
        return 'A sigmoid makes probabilities of scores; a label is present from its entry of `ckpt["thresholds"]` on.'
    return "A softmax makes probabilities of scores."


def _onnx(converted: Path | str) -> str:
    if isinstance(converted, str):
        return f"There is no ONNX file in this bundle. {converted}"
    report = read_report(converted)
    checked = f" {report.in_words()}" if report else ""
    return f"""Without torch, and faster on most processors:

    pip install onnxruntime numpy pillow
    python predict_onnx.py picture.jpg

`model.onnx` takes upright RGB pictures of any size as they are (`images`, uint8 [N, height, width, 3]) and answers
with `probabilities` [N, classes]; resizing and normalising are inside. It was compared with the model
itself:{checked}"""


def _onnx_files(converted: Path | str) -> str:
    if isinstance(converted, str):
        return ""
    return """- `predict_onnx.py`: needs onnxruntime, numpy and Pillow, nothing else
- `model.onnx`: the same model for ONNX Runtime, class names in its metadata
- `parity.json`: how well it agrees with `model.pth`
"""


def _together(info: ModelInfo) -> str:
    shares = ", ".join(f"{member.name} ({member.weight:.0%})" for member in info.members)
    return f"""This model is {len(info.members)} networks that answer together: {shares}.
`predict.py` asks each of them and averages their probabilities by these weights; an answer takes as long as all of
them. `model.pth` holds them under `members`.

The leading network alone, in three lines; its answers are not those of all together, and the accuracy above is not
its own:"""
