"""`sightglass predict`: what a saved model says of some pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli.console import BAD_INPUT, answers, complain, print_json, read_settings
from backend.cli.evaluate import make_folder
from backend.cli.predict_many import Many, is_many, predict_many, the_only
from backend.config import Settings
from backend.contracts import Prediction
from backend.errors import ImageError, InputError


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="[MODEL] IMAGE...", help="Pictures to ask about, or one ZIP or folder of them."),
    ],
    *,
    model: Annotated[
        Path | None, typer.Option(help="A model's folder, or the folder of a run; without it, the first argument.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Of a ZIP or folder: file for the table, .csv or .json; none: CSV to stdout.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Let this service answer for a ZIP or folder; MODEL is an id there.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Of a ZIP or folder: show progress.")] = False,
    top_k: Annotated[int, typer.Option(min=1, help="How many labels to print.")] = 3,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Write IMAGE_heatmap.png: where the model looked; and test it."),
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the heat maps.")] = Path(),
    similar: Annotated[bool, typer.Option("--similar", help="Also print the most similar training images.")] = False,
    miss_cost: Annotated[
        float | None, typer.Option(help="Of a model of several labels: what a missed one costs, in any unit.")
    ] = None,
    false_alarm_cost: Annotated[
        float | None, typer.Option(help="And what one costs that is said and not there.")
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=P", help="A label's own threshold; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Predict pictures with a saved model. A picture that cannot be read is named; the others are answered.

    Of a ZIP, a TAR or a folder a table is written, with a row for each file.
    """
    settings = read_settings()
    model, images = _model_and_images(model, images)
    from backend.workflows.thresholds import ThresholdChoice

    choice = ThresholdChoice(miss_cost, false_alarm_cost, threshold or ())
    if server is not None or output is not None or any(is_many(image) for image in images):
        predict_many(Many(model, the_only(images), output, top_k, server, follow, choice), settings)
        return
    make_folder(out)
    from backend.engine.model_folder import load_info
    from backend.workflows.evaluate import find_model

    folder = find_model(model)
    thresholds = choice.of(load_info(folder)) if choice else {}
    rows: list[dict[str, Any]] = []
    for image in images:
        row = _answer(image, folder, top_k=top_k, heatmap=heatmap_path(image, out) if explain else None, using=settings)
        rows.append(_decided(row, thresholds))
        if not as_json:
            _print(row, similar=similar)
    if as_json:
        print_json(rows)
    if any("error" in row for row in rows):
        raise typer.Exit(BAD_INPUT)


def _decided(row: dict[str, Any], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """The row with the decisions of other thresholds, where any were asked for."""
    for one in row.get("predictions", ()):
        if one["label"] in thresholds:
            one["present"] = one["confidence"] >= thresholds[one["label"]]
    return row


def _model_and_images(model: Path | None, images: list[Path]) -> tuple[Path, list[Path]]:
    if model is not None:
        return model, images
    if len(images) == 1:
        raise InputError(
            f"'{images[0]}' alone says not which model is to answer. Write MODEL and then the pictures, or --model."
        )
    return images[0], images[1:]


def heatmap_path(image: Path, out: Path) -> Path:
    return out / f"{image.stem}_heatmap.png"


def _answer(image: Path, folder: Path, *, top_k: int, heatmap: Path | None, using: Settings) -> dict[str, Any]:
    from backend.workflows.predict import predict_image

    row: dict[str, Any] = {"file": str(image)}
    try:
        data = read(image)
        prediction = predict_image(using, folder, data, top_k=top_k, explain=heatmap is not None)
        if heatmap is not None and prediction.heatmap_png is not None:
            heatmap.write_bytes(base64.b64decode(prediction.heatmap_png))
            row["heatmap"] = str(heatmap)
            row["evidence"] = None if prediction.heatmap is None else prediction.heatmap.model_dump(mode="json")
    except (ImageError, InputError) as error:
        return {**row, "error": error.detail}
    return {**row, **_plain(prediction)}


def _plain(prediction: Prediction) -> dict[str, Any]:
    return prediction.model_dump(mode="json", exclude={"heatmap_png", "heatmap"})


def read(image: Path) -> bytes:
    """Return the file's bytes.

    Raises:
        InputError: no such file, or it may not be read.
    """
    try:
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"'{image}' cannot be read: {error.strerror}.") from error


def _print(row: dict[str, Any], *, similar: bool) -> None:
    if "error" in row:
        complain(f"{row['file']}: {row['error']}")
        return
    labels = ", ".join(f"{answer['label']} {100 * answer['confidence']:.1f}%" for answer in row["predictions"])
    if row["predictions"][0].get("present") is not None:
        there = ", ".join(answer["label"] for answer in row["predictions"] if answer["present"]) or "nothing"
        labels = f"{there} ({labels})"
    remark = "  (unlike the training images)" if row["unfamiliar"] else ""
    written = f"  -> {row['heatmap']}{_tested(row)}" if "heatmap" in row else ""
    answers().print(f"{row['file']}: {labels}{remark}{written}", markup=False)
    if similar and row["similar"]:
        alike = ", ".join(f"{near['label']} {near['image_id']} {near['similarity']:.2f}" for near in row["similar"])
        answers().print(f"  most similar training images: {alike}", markup=False)


def _tested(row: dict[str, Any]) -> str:
    """What the deletion test says of the heat map, in words."""
    evidence = row.get("evidence")
    if not evidence:
        return ""
    marked, elsewhere = (f"{100 * evidence[share]:.0f}%" for share in ("score", "random"))
    lost = f"{marked} of the confidence lost without it, {elsewhere} without as much elsewhere"
    return f" ({lost})" if evidence["verdict"] == "evidence" else f" (weak evidence: {lost})"
