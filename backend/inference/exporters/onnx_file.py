"""The ONNX file of a model: made, checked against the served model, and kept with the report of that. Loads torch."""

from __future__ import annotations

import json
from pathlib import Path

from onnx import helper

from backend import __version__
from backend.config import Settings
from backend.contracts import ModelInfo, ParityReport
from backend.engine.bundle import load_bundle
from backend.inference.exporters.onnx_graph import build_graph
from backend.inference.exporters.parity import run_parity
from backend.inference.exporters.request import ONNX_FILE, REPORT_FILE, Subject


def write_onnx(folder: Path, subject: Subject) -> None:
    """Write `model.onnx` and `parity.json` into an empty folder.

    Raises:
        ConflictError: a network cannot be expressed, or the result does not answer as the model does.
    """
    bundle = load_bundle(subject.folder, settings=Settings())
    model = build_graph(bundle)
    model.doc_string = f"{subject.info.name} ({subject.info.model_id}), trained by Sightglass"
    report = run_parity(model.SerializeToString(), bundle, subject.around)
    helper.set_model_props(model, properties_of(subject.info, report))
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    (folder / REPORT_FILE).write_text(report.model_dump_json(indent=2), encoding="utf-8")


def properties_of(info: ModelInfo, report: ParityReport) -> dict[str, str]:
    """What the file says of itself; lists and records as JSON."""
    return {
        "class_names": json.dumps(info.class_names, ensure_ascii=False),
        "task": info.task,
        "thresholds": json.dumps(info.thresholds),
        "activation": "sigmoid" if info.task == "multilabel" else "softmax",
        "model_id": info.model_id,
        "name": info.name,
        "accuracy": f"{info.accuracy:.6f}",
        "dataset_digest": info.dataset_digest,
        "created_at": info.created_at,
        "sightglass": __version__,
        "parity": report.model_dump_json(),
    }
