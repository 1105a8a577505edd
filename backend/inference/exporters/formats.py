"""The list of formats, and how a file of each comes to lie there. Imports no torch before ONNX is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from backend.contracts import ModelExport, ModelInfo
from backend.engine.model_folder import BEST, CHECKPOINTS, WEIGHTS_FILE, best_checkpoint, load_info, require_file
from backend.errors import ConflictError, InputError
from backend.inference.exporters.archive import write_archive
from backend.inference.exporters.card import write_card
from backend.inference.exporters.request import ExportedFile, Subject, Surroundings, file_stem, read_report
from backend.registry import nearest
from backend.storage.files import TEMPORARY_PREFIX, atomic_directory, remove_unfinished, status_of
from backend.storage.locks import try_lock

LOCK = f"{TEMPORARY_PREFIX}exporting"
PAUSE_S = 0.05
NO_CHECKPOINT = (
    "There is no checkpoint of a best epoch: only a network that was trained as a whole has one (strategy finetune, "
    "preset defects), alone and not beside others that answer with it. Take the model itself: format pth."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way of taking a model home. `write` fills an empty folder; None: the file is part of the saved model.

    A new `generation` makes files that an older Sightglass left be made anew. `missing` says why a model may lack the
    file, whose name then follows a pattern; None: every model has it, or it can be made.
    """

    filename: str
    suffix: str
    media_type: str
    write: Callable[[Path, Subject], None] | None = None
    generation: int = 1
    missing: str | None = None


def _write_onnx(folder: Path, subject: Subject) -> None:
    from backend.inference.exporters.onnx_file import write_onnx  # brings torch

    write_onnx(folder, subject)


def _write_bundle(folder: Path, subject: Subject) -> None:
    try:
        converted: Path | str = _made("onnx", subject).parent
    except ConflictError as error:  # the rest of the bundle is no worse for that
        converted = error.detail
    write_archive(folder / "bundle.zip", subject, card=_made("card", subject), converted=converted)


# To add a format, add its line; the message for an unknown one, the API's list and the tests over the formats follow.
FORMATS: dict[str, Format] = {
    "pth": Format(filename=WEIGHTS_FILE, suffix=".pth", media_type="application/octet-stream"),
    "onnx": Format(filename="model.onnx", suffix=".onnx", media_type="application/octet-stream", write=_write_onnx),
    "bundle": Format(
        filename="bundle.zip", suffix=".zip", media_type="application/zip", write=_write_bundle, generation=2
    ),
    "card": Format(filename="card.html", suffix=".html", media_type="text/html; charset=utf-8", write=write_card),
    "checkpoint": Format(
        filename=f"{CHECKPOINTS}/{BEST}", suffix=".pt", media_type="application/octet-stream", missing=NO_CHECKPOINT
    ),
}


def export(folder: Path, format: str = "pth", *, around: Surroundings | None = None) -> ExportedFile:  # noqa: A002 - the word of the API
    """Return the model in `folder` as one file, made where it is not there yet.

    Raises:
        InputError: there is no such format; the message names the allowed ones.
        NotFoundError: there is no model in this folder.
        ConflictError: the model cannot be had in this format, or lacks what it holds; the message says why.
    """
    require_format(format)
    info = load_info(folder)
    require_file(folder, WEIGHTS_FILE)
    form = FORMATS[format]
    path = _made(format, Subject(folder=folder, info=info, around=around or Surroundings()))
    if form.missing is not None and not path.is_file():
        raise ConflictError(form.missing)
    return ExportedFile(path, _handed_out_as(format, info, path), form.media_type)


def require_format(name: str) -> None:
    """Raise on a name that is none.

    Raises:
        InputError: names the nearest and all formats.
    """
    if name not in FORMATS:
        raise InputError(
            f"There is no download format '{name}'.{nearest(name, FORMATS)} Allowed: {', '.join(FORMATS)}."
        )


def exports_of(folder: Path, info: ModelInfo) -> list[ModelExport]:
    """Every format that there can be of it, and what of it lies in its folder. Reads names and one small file."""
    found = [_standing(name, folder, info) for name in FORMATS]
    return [one for one in found if one.ready or FORMATS[one.format].missing is None]


def file_name(info: ModelInfo, name: str) -> str:
    return f"{file_stem(info)}{FORMATS[name].suffix}"


def _handed_out_as(name: str, info: ModelInfo, path: Path) -> str:
    """A checkpoint keeps its own name, which says epoch and score."""
    return file_name(info, name) if FORMATS[name].missing is None else path.name


def _standing(name: str, folder: Path, info: ModelInfo) -> ModelExport:
    path, form = _place(name, folder), FORMATS[name]
    found = status_of(path)
    return ModelExport(
        format=name,
        filename=_handed_out_as(name, info, path),
        media_type=form.media_type,
        ready=found is not None,
        size_bytes=None if found is None else found.st_size,
        made_at=None if found is None else datetime.fromtimestamp(found.st_mtime, UTC),
        report=read_report(path.parent) if name == "onnx" and found is not None else None,
    )


def _place(name: str, folder: Path) -> Path:
    form = FORMATS[name]
    if form.missing is not None:
        return best_checkpoint(folder) or folder / form.filename
    return folder / form.filename if form.write is None else folder / f"export-{name}-{form.generation}" / form.filename


def _made(name: str, subject: Subject) -> Path:
    """The file, made by whoever comes first; others wait for it."""
    path, write = _place(name, subject.folder), FORMATS[name].write
    if write is None or path.is_file():
        return path
    lock = subject.folder / f"{LOCK}-{name}"
    while (held := try_lock(lock)) is None:
        time.sleep(PAUSE_S)
    try:
        if not path.is_file():
            remove_unfinished(path.parent)  # whoever makes this file holds the lock
            _write(path, write, subject)
    finally:
        held.close()
    return path


def _write(path: Path, write: Callable[[Path, Subject], None], subject: Subject) -> None:
    try:
        with atomic_directory(path.parent) as temporary:
            write(temporary, subject)
    except ConflictError:
        # Some network drives know no locks: then a quicker process has made the same file. Else it cannot be made.
        if not path.is_file():
            raise
