"""`sightglass import`: what lies on this machine becomes a dataset of the service, which need not run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.cli.console import answers, messages, print_json, read_settings
from backend.cli.following import following
from backend.cli.train import require_data


def import_data(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder, ZIP, TAR or TAR.GZ of pictures.")],
    *,
    name: Annotated[str | None, typer.Option(help="The dataset's name; none: the folder's or file's own.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the dataset as JSON.")] = False,
) -> None:
    """Import pictures into the data folder of the service, without sending them."""
    settings = read_settings()
    require_data(path)
    from backend.main import prepare
    from backend.workflows.import_dataset import default_name, import_into

    prepare(settings)
    with following(messages(), shown=follow) as control:
        info = import_into(path.resolve(), name=name or default_name(path), settings=settings, control=control).info
    if as_json:
        print_json(info.model_dump(mode="json"))
        return
    console = answers()
    kind = "multi-label" if info.task == "multilabel" else "one class for each picture"
    console.print(f"{info.dataset_id}: '{info.name}', {info.total_images} images, {info.num_classes} classes, {kind}.")
    for warning in info.warnings:
        console.print(f"Note: {warning}", markup=False)
    for entry in info.skipped:
        console.print(f"Left out: {entry.file}: {entry.reason}", markup=False)


# The word that people type; as a function's name Python does not allow it.
import_data.__name__ = "import"
