"""`sightglass evaluate`: a saved model on labelled pictures that it may never have seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import tables
from backend.cli.console import answers, messages, print_json, read_settings
from backend.cli.following import following
from backend.cli.train import require_data
from backend.contracts import ModelInfo
from backend.errors import InputError


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's folder, or the folder of a run.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="ZIP or folder with one folder a class.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for report.json and confusion_matrix.png.")] = Path(),
    follow: Annotated[bool, typer.Option("--follow", help="Show progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a saved model on labelled pictures."""
    settings = read_settings()
    require_data(data)
    make_folder(out)
    from backend.workflows.evaluate import evaluate_folder

    with following(messages(), shown=follow) as control:
        outcome = evaluate_folder(model, data, settings=settings, control=control)
    report = outcome.as_json()
    (out / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    outcome.draw(out / "confusion_matrix.png")
    if as_json:
        print_json(report)
        return
    console = answers()
    console.print(tables.per_class(report["per_class"]))
    test = report["test"]
    labels = outcome.model.task == "multilabel"
    right = "every label right on" if labels else "accuracy"
    average = f"mean average precision {test['mean_average_precision']:.3f}, " if labels else ""
    console.print(
        f"{_named(outcome.model)} on {outcome.total_images} images: {right} {tables.percent(test['accuracy'])}, "
        f"macro F1 {test['macro_f1']:.3f}, {average}calibration error "
        f"{tables.percent(test['expected_calibration_error'])}.",
        markup=False,
    )
    console.print(f"Written: {out / 'report.json'}, {out / 'confusion_matrix.png'}", markup=False)


def _named(model: ModelInfo) -> str:
    """The model's name, and who answers where several do."""
    members = ", ".join(f"{member.name} {100 * member.weight:.0f}%" for member in model.members)
    return f"{model.name} ({members})" if members else model.name


def make_folder(folder: Path) -> None:
    """Create the folder for what is written.

    Raises:
        InputError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: '{folder}' cannot be a folder ({error.strerror}). Name another.") from error
