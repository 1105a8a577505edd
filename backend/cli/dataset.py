"""`sightglass dataset`: a dataset's versions, what changed between them, and new ones. Old versions always stay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from backend.cli.console import answers, print_json, read_settings
from backend.cli.train import require_data
from backend.contracts import ChangedImage, Corrections, VersionChange
from backend.errors import InputError

dataset = typer.Typer(
    name="dataset", help="A dataset's versions: see them, correct images, add images.", no_args_is_help=True
)

Target = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's folder, or its id in the service.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Author = Annotated[str, typer.Option("--author", help="Who does this, for the history.")]
Base = Annotated[int | None, typer.Option("--base", help="Only where this is still the newest version.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGE", help="Ids of images.")]


@dataset.command()
def versions(target: Target, *, as_json: AsJson = False) -> None:
    """List the versions: who changed what and when."""
    from backend.workflows.dataset_desk import history, opened_desk

    with opened_desk(target, settings=read_settings()) as desk:
        found = history(desk)
    if as_json:
        print_json([change.model_dump(mode="json") for change in found])
        return
    table = Table("Version", "When", "What", "Images", "Classes", "By")
    for change in found:
        cells = (change.version, f"{change.created_at:%Y-%m-%d %H:%M}", said(change), change.total_images)
        table.add_row(*map(str, cells), str(change.num_classes), change.author)
    answers().print(table)


@dataset.command()
def diff(
    target: Target,
    *,
    earlier: Annotated[int | None, typer.Option("--from", help="Without it, the version before.")] = None,
    later: Annotated[int | None, typer.Option("--to", help="Without it, the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a later version has that an earlier one has not."""
    from backend.data.manifest import load_dataset
    from backend.data.versions import difference
    from backend.workflows.dataset_desk import opened_desk

    with opened_desk(target, settings=read_settings()) as desk:
        after = load_dataset(desk.root, version=later or desk.newest().info.version)
        before = load_dataset(desk.root, version=earlier or max(1, after.info.version - 1))
    found = difference(before, after)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console = answers()
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    console.print(f"Version {found.from_version} to {found.to_version}: {counts}.", markup=False)
    for name, images in (("added", found.added), ("excluded", found.excluded), ("restored", found.restored)):
        for image in images:
            console.print(f"{name:10} {image.image_id}  {_labels(image.labels)}  {image.file}".rstrip(), markup=False)
    for image in found.relabelled:
        console.print(f"relabelled {image.image_id}  {_relabelled(image)}  {image.file}".rstrip(), markup=False)


@dataset.command()
def exclude(target: Target, images: Images, *, author: Author = "", base: Base = None, as_json: AsJson = False) -> None:
    """Leave images out. They are kept, and 'restore' takes them back."""
    _correct(target, Corrections(exclude=tuple(images)), author=author, base=base, as_json=as_json)


@dataset.command()
def restore(target: Target, images: Images, *, author: Author = "", base: Base = None, as_json: AsJson = False) -> None:
    """Take excluded images in again."""
    _correct(target, Corrections(restore=tuple(images)), author=author, base=base, as_json=as_json)


@dataset.command()
def relabel(
    target: Target,
    labels: Annotated[list[str], typer.Argument(metavar="IMAGE=LABEL", help="Several labels: IMAGE=a|b.")],
    *,
    author: Author = "",
    base: Base = None,
    as_json: AsJson = False,
) -> None:
    """Give images their right class."""
    pairs = dict(_pair(text) for text in labels)
    _correct(target, Corrections(relabel=pairs), author=author, base=base, as_json=as_json)


@dataset.command()
def add(
    target: Target,
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="Further pictures, one folder a class.")],
    *,
    author: Author = "",
    base: Base = None,
    as_json: AsJson = False,
) -> None:
    """Add the pictures of a ZIP that are not there yet."""
    require_data(archive)
    settings = read_settings()
    from backend.workflows.change_dataset import add_images
    from backend.workflows.dataset_desk import opened_desk

    with opened_desk(target, settings=settings, author=author, base_version=base) as desk:
        before = set(desk.newest().info.skipped)
        made, change = add_images(desk, archive, settings=settings)
    _report(change, as_json=as_json)
    if not as_json:
        for entry in made.info.skipped:
            if entry not in before:
                answers().print(f"Left out: {entry.file}: {entry.reason}", markup=False)


def said(change: VersionChange) -> str:
    """What made a version, in a few words."""
    if change.kind == "upload":
        return "uploaded"
    counts = {
        "added": change.added,
        "excluded": change.excluded,
        "restored": change.restored,
        "relabelled": change.relabelled,
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    parts += [f"new class {name}" for name in change.new_classes]
    return ", ".join([*parts, *(f"class {name} dropped" for name in change.dropped_classes)])


def _correct(target: str, corrections: Corrections, *, author: str, base: int | None, as_json: bool) -> None:
    from backend.workflows.change_dataset import correct_dataset
    from backend.workflows.dataset_desk import opened_desk

    with opened_desk(target, settings=read_settings(), author=author, base_version=base) as desk:
        _, change = correct_dataset(desk, corrections)
    _report(change, as_json=as_json)


def _report(change: VersionChange, *, as_json: bool) -> None:
    if as_json:
        print_json(change.model_dump(mode="json"))
        return
    answers().print(
        f"Version {change.version} of {change.dataset_id}: {said(change)}; {change.total_images} images in "
        f"{change.num_classes} classes.",
        markup=False,
    )


def _pair(text: str) -> tuple[str, str | tuple[str, ...]]:
    image_id, equals, label = text.partition("=")
    if not (image_id and equals):
        raise InputError(f"'{text}' does not say what to relabel; write IMAGE=LABEL, such as 0123456789abcdef=cat.")
    parts = tuple(part.strip() for part in label.split("|") if part.strip())
    return image_id, parts[0] if len(parts) == 1 else parts


def _labels(labels: tuple[str, ...]) -> str:
    return " + ".join(labels) or "(no label)"


def _relabelled(image: ChangedImage) -> str:
    return f"{_labels(image.before or ())} -> {_labels(image.labels)}"
