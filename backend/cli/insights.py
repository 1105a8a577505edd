"""`sightglass insights`: what a dataset holds and what may be wrong with it, before anything is trained."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from backend.cli.console import answers, print_json, read_settings
from backend.config import Settings
from backend.contracts import Dataset, Insights
from backend.data.insights import labels_of
from backend.data.manifest import INFO_FILE

MOST_NAMED = 10


def insights(
    target: Annotated[
        str, typer.Argument(metavar="DATA", help="A ZIP, TAR or folder of images, a dataset's folder, or its id.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Count, measure and check the images of a dataset. Nothing is changed."""
    settings = read_settings()
    from backend.workflows.check_quality import check_quality

    with _opened(target, settings) as (dataset, paths):
        found = check_quality(dataset, settings=settings)
        if as_json:
            print_json(found.model_dump(mode="json"))
            return
        console = answers()
        for line in lines(found, paths):
            console.print(line, markup=False)


def lines(found: Insights, paths: dict[str, str]) -> Iterator[str]:
    """Counts, sizes and issues in words; `paths` says of which class an image is and what it is called."""
    yield (
        f"{found.total_images} images in {found.num_classes} classes; the largest has {found.imbalance_ratio:.1f} "
        f"times the images of the smallest. {_sizes(found)} Formats: {', '.join(found.formats) or 'unknown'}."
    )
    for name, count in sorted(found.class_counts.items(), key=lambda one: -one[1])[:MOST_NAMED]:
        yield f"  {count:>7}  {name}"
    if len(found.class_counts) > MOST_NAMED:
        yield f"           and {len(found.class_counts) - MOST_NAMED} more classes"
    if not found.notes:
        yield "Nothing was found that needs your attention."
    for note in found.notes:
        groups = f" in {note.groups} group{'s' if note.groups > 1 else ''}" if note.groups else ""
        yield f"{note.kind}: {note.images}{groups}. {note.advice}"
        listed = [_named(entry, paths) for entry in getattr(found.issues, note.kind)]
        for text in listed[:MOST_NAMED]:
            yield f"    {text}"
        if len(listed) > MOST_NAMED:
            yield f"    and {len(listed) - MOST_NAMED} more in --json"


def _sizes(found: Insights) -> str:
    width, height = found.dimensions.width, found.dimensions.height
    least, most = f"{width.min:g} x {height.min:g}", f"{width.max:g} x {height.max:g}"
    if least == most:
        return f"All images are {least} pixels."
    return f"Median size {width.median:g} x {height.median:g}, from {least} to {most}."


def _named(entry: object, paths: dict[str, str]) -> str:
    if isinstance(entry, tuple):
        return "  ".join(_named(one, paths) for one in entry)
    if isinstance(entry, str):
        return f"{entry} ({paths[entry]})" if entry in paths else entry
    return f"{getattr(entry, 'file', entry)}: {getattr(entry, 'reason', '')}"


@contextmanager
def _opened(target: str, settings: Settings) -> Iterator[tuple[Dataset, dict[str, str]]]:
    """The dataset, and of which class each of its images is, with its name in the upload."""
    from backend.data import open_dataset
    from backend.workflows.dataset_desk import opened_desk

    path = Path(target).expanduser()
    if path.exists() and not (path / INFO_FILE).is_file():
        with tempfile.TemporaryDirectory(prefix="sightglass-") as folder:
            dataset = open_dataset(path, into=Path(folder), settings=settings)
            yield dataset, _paths(dataset)
        return
    with opened_desk(target, settings=settings) as desk:
        dataset = desk.newest()
        yield dataset, _paths(dataset)


def _paths(dataset: Dataset) -> dict[str, str]:
    return {item.image_id: ", ".join(filter(None, (*labels_of(item), item.file))) for item in dataset.items}
