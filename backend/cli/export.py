"""`sightglass export`: a saved model as a file to take home, from this disk or from a running service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.cli.console import answers, messages, read_settings
from backend.cli.service import Service, service_at
from backend.storage.files import atomic_file


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's folder, the folder of a run, or its id.")],
    *,
    file_format: Annotated[str, typer.Option("--format", help="pth, onnx, bundle, card or checkpoint.")] = "bundle",
    output: Annotated[
        Path | None, typer.Option(help="File to write, or a folder; none: here, under its own name.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Ask this service instead; MODEL is an id then.")] = None,
) -> None:
    """Write a model as .pth, as ONNX, as a ZIP with everything, as an HTML page about it, or its best epoch's weights.

    ONNX is compared with the model on at least 64 pictures; a file that disagrees is not made.
    """
    target = output or Path()
    settings = read_settings()
    if server is not None:
        answers().print(str(_fetch(service_at(server, settings), model, file_format, target)), markup=False)
        return
    from backend.inference.exporters import read_report, require_format
    from backend.workflows.export_model import export_folder

    require_format(file_format)
    written, made = export_folder(model, format=file_format, target=target, settings=settings)
    answers().print(str(written), markup=False)
    report = read_report(made.parent)
    if report is not None:
        messages().print(report.in_words(), markup=False)


def _fetch(service: Service, model: str, file_format: str, target: Path) -> Path:
    """Download from a service; returns what was written.

    Raises:
        SightglassError: the service refused, with its own words, or did not answer.
    """
    with service:
        names = {one["format"]: one["filename"] for one in service.json("GET", f"/api/cv/models/{model}/exports")}
        path = target / names.get(file_format, "") if target.is_dir() else target
        with atomic_file(path) as temporary:
            service.download(f"/api/cv/models/{model}/download?format={file_format}", temporary)
    return path
