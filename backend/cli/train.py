"""`sightglass train`: the whole comparison in this process, no server needed; or at a service that is named."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import findings, tables
from backend.cli.console import answers, print_json, read_settings
from backend.cli.remote import suspect_addresses, train_at
from backend.cli.service import service_at
from backend.cli.sweep import show_sweep
from backend.cli.training import Order, combined, plan_sweep, train_here
from backend.contracts import Results
from backend.engine.model_folder import CHECKPOINTS
from backend.errors import InputError

RUN_FILES = ("config.yaml", "results.json", "model_final.pt")


def train(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="ZIP or folder of class folders, or a dataset's.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Any setting: preset=defects loss.gamma=2")
    ] = None,
    *,
    models: Annotated[str | None, typer.Option(help="Networks, by comma; none: the defaults.")] = None,
    classes: Annotated[str | None, typer.Option(help="Only these classes, by comma.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images in a fine-tune.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    strategy: Annotated[str | None, typer.Option(help="auto, probe or finetune.")] = None,
    preset: Annotated[str | None, typer.Option(help="fast, balanced, best or defects.")] = None,
    augmentations: Annotated[str | None, typer.Option(help="Random changes in a fine-tune, by comma.")] = None,
    test_size: Annotated[float | None, typer.Option(help="Share of the images kept for the final test.")] = None,
    time_budget: Annotated[float | None, typer.Option(help="Seconds for the whole run; none: the preset's.")] = None,
    class_balance: Annotated[str | None, typer.Option(help="auto, balanced or plain: how classes count.")] = None,
    rank_by: Annotated[str | None, typer.Option(help="auto, accuracy, macro_f1 or mean_average_precision.")] = None,
    ensemble: Annotated[bool | None, typer.Option("--ensemble/--no-ensemble", help="Several networks answer.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same machine, same result.")] = None,
    dataset_version: Annotated[int | None, typer.Option(help="Of a dataset's folder; none: the newest.")] = None,
    config: Annotated[Path | None, typer.Option(help="A run's config.yaml, to train the same again.")] = None,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", help="A run for each of loss.gamma=1,2,3.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for model and results; none: a new one in runs/.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show progress.")] = False,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Train at this service; none: SIGHTGLASS_API_URL, or here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Compare networks on a ZIP of pictures and keep the best."""
    chosen = {
        "models": listed(models),
        "classes": listed(classes),
        "num_epochs": epochs,
        "batch_size": batch_size,
        "strategy": strategy,
        "preset": preset,
        "augmentations": listed(augmentations),
        "test_size": test_size,
        "time_budget_s": time_budget,
        "class_balance": class_balance,
        "rank_by": rank_by,
        "ensemble": ensemble,
        "seed": seed,
        "dataset_version": dataset_version,
    }
    flags = {name: value for name, value in chosen.items() if value is not None}
    order = Order(
        archive=archive, out=out or default_out(archive), settings=read_settings(), server=server, shown=follow
    )
    require_data(archive)
    if multirun:
        show_sweep(order, plan_sweep(overrides or [], flags=flags, config=config), as_json=as_json)
    else:
        show_run(order, combined(overrides or [], flags=flags, config=config), as_json=as_json)


def show_run(order: Order, options: dict[str, Any], *, as_json: bool) -> None:
    """Train once, here or at a service, and print what came of it."""
    if order.at_service:
        with service_at(order.server, order.settings) as service:
            results, folder = train_at(service, order.archive, options, out=order.out, shown=order.shown)
            paths = suspect_addresses(service, results)
    else:
        results, folder = train_here(order.archive, options, out=order.out, settings=order.settings, shown=order.shown)
        paths = suspect_paths(results, order.archive, order.out)
    if as_json:
        print_json({**results.model_dump(mode="json"), "model_folder": str(folder)})
    else:
        report(results, folder, paths=paths)
        answers().print(what_lies_in(order.out, results), markup=False)


def listed(text: str | None) -> list[str] | None:
    """`a, b` becomes `["a", "b"]`."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def require_data(path: Path) -> None:
    """Raise where there is nothing to read.

    Raises:
        InputError: no such file or folder.
    """
    if not path.exists():
        raise InputError(f"There is no '{path}'. Name a ZIP or a folder that holds one folder a class.")


def default_out(archive: Path) -> Path:
    """A new folder for each run, named for the data and the moment."""
    return Path("runs") / f"{archive.stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def suspect_paths(results: Results, archive: Path, out: Path) -> dict[str, str]:
    """Copies of the images of suspect labels, below `out`, by their ids: in the dataset many images share a file."""
    if not results.suspect_labels:
        return {}
    from backend.data.manifest import load_dataset
    from backend.data.pictures import read_picture

    imported = out / "dataset" / results.dataset_id
    dataset = load_dataset(imported if imported.exists() else archive)
    asked = {suspect.image_id for suspect in results.suspect_labels}
    folder = out / "suspects"
    folder.mkdir(parents=True, exist_ok=True)
    places = {}
    for item in dataset.items:
        if item.image_id in asked:
            place = (folder / item.image_id).with_suffix(Path(item.path).suffix)
            place.write_bytes(read_picture(dataset.root, item.path))
            places[item.image_id] = str(place)
    return places


def what_lies_in(out: Path, results: Results) -> str:
    """The run's folder and its files; where no checkpoint is among them, why."""
    best = results.experiment.checkpoint if results.experiment else None
    if best is not None and (out / CHECKPOINTS / best).is_file():
        return f"Run: {out} ({', '.join(RUN_FILES)}, {CHECKPOINTS}/{best})"
    return f"Run: {out} ({', '.join(RUN_FILES)}; no checkpoint of a best epoch: {_why_none(results)})"


def _why_none(results: Results) -> str:
    if results.best_model.members:
        return "several networks answer together"
    if results.best_model.strategy != "finetune":
        return "only a last layer was trained"
    if results.recipe.get("strategy") != "finetune":
        return "a network that is trained further after the probes keeps its last epoch"
    return "the service is an older one, which keeps none"


def report(results: Results, folder: Path, *, paths: dict[str, str]) -> None:
    console, plain = answers(), results.model_dump(mode="json")
    ranked_by = results.imbalance.ranked_by if results.imbalance else "accuracy"
    console.print(tables.leaderboard(plain["leaderboard"], ranked_by=ranked_by))
    console.print(tables.per_class(plain["per_class"]))
    console.print(tables.in_words(results.best_model.name, plain["test"], results.split.test), markup=False)
    for line in findings.lines(plain, paths=paths):
        console.print(line, markup=False)
    for note in results.notes:
        console.print(f"Note: {note}", markup=False)
    console.print(f"Model: {folder}", markup=False)
