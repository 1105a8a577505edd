"""Tables that say which picture has which classes: `labels.csv`, `metadata.csv`, Severstal's `train.csv`.

It reads whatever encoding and separator tools write, and says what it understood. It knows names, not pictures.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend.data.members import Member, MemberSource, clean_path
from backend.data.names import clean_name, shown
from backend.errors import DatasetError

# A row takes about 40 bytes, so this is room for more than a million pictures.
MAX_TABLE_BYTES = 64 * 2**20
# Masks as text are long: Severstal's own table has 18 MB for 12,568 pictures.
MAX_MASK_TABLE_BYTES = 4 * MAX_TABLE_BYTES
SEPARATORS = (",", ";", "\t", "|")
FILE_COLUMNS = (
    "filename", "file_name", "file", "image", "imageid", "image_id", "image_name", "image_path", "filepath",
    "file_path", "path",
)  # fmt: skip
ONE_LABEL_COLUMNS = ("label", "class", "category", "target", "class_name")
SEVERAL_LABELS_COLUMNS = ("labels", "classes", "categories", "tags")
SUBSET_COLUMNS = ("subset", "split")
FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False}
WANTED = (
    "It needs the columns 'filename' and 'label', one row for each picture; several labels in one cell are separated "
    "by '|'. Or 'filename' and a column of 0 and 1 for each class."
)


@dataclass(frozen=True)
class LabelRow:
    """What a table says of one picture. `subset` is as written; no labels: the cell was empty, or all flags 0."""

    filename: str
    labels: tuple[str, ...]
    subset: str = ""


@dataclass(frozen=True)
class LabelTable:
    """A table's rows. `several`: a picture may have several labels, or none."""

    rows: tuple[LabelRow, ...]
    several: bool
    notes: tuple[str, ...] = ()


def read_label_table(source: MemberSource, table: Member) -> LabelTable | None:
    """Return what a `labels.csv` or `metadata.csv` says; blank rows are dropped. None: it says no labels at all.

    Raises:
        DatasetError: a `labels.csv` without the columns that say labels, without rows, or too large to be one.
    """
    rows = _rows(table_text(source, table, most=MAX_TABLE_BYTES), name=table.name)
    raw = [clean_name(column) for column in next(rows, [])]
    header = [column.lower() for column in raw]
    file_at = _first_of(FILE_COLUMNS, header)
    label_at = _first_of((*ONE_LABEL_COLUMNS, *SEVERAL_LABELS_COLUMNS), header)
    if file_at is not None and label_at is not None:
        return _by_cells(rows, _Columns(file_at, label_at, _first_of(SUBSET_COLUMNS, header), tuple(raw)), table)
    found = None if file_at is None else _by_flags(rows, raw, file_at=file_at)
    if found is None and table.parts[-1].lower() == "labels.csv":
        seen = ", ".join(f"'{shown(column, limit=40)}'" for column in header[:20]) or "none"
        raise DatasetError(f"'{shown(table.name)}' has the columns {seen}. {WANTED}")
    return found


@dataclass(frozen=True)
class _Columns:
    file_at: int
    label_at: int
    subset_at: int | None
    header: tuple[str, ...]


def _by_cells(rows: Iterator[list[str]], columns: _Columns, table: Member) -> LabelTable:
    """One column of labels. Where it is called so in the plural, commas separate them too, and a cell may be empty."""
    plural = columns.header[columns.label_at].lower() in SEVERAL_LABELS_COLUMNS
    found = []
    for row in rows:
        if len(row) <= max(columns.file_at, columns.label_at):
            continue
        at = columns.subset_at
        subset = clean_name(row[at]) if at is not None and at < len(row) else ""
        labels = split_labels(row[columns.label_at], separators="|;," if plural else "|;")
        found.append(LabelRow(clean_path(row[columns.file_at]), labels, subset))
    if not found:
        raise DatasetError(f"'{shown(table.name)}' holds no rows. {WANTED}")
    several = any(len(row.labels) > 1 for row in found) or (plural and any(not row.labels for row in found))
    return LabelTable(tuple(found), several)


def split_labels(cell: str, *, separators: str) -> tuple[str, ...]:
    """The labels of one cell, cleaned, each once: a JSON list, or parts between separators."""
    text = clean_name(cell)
    parts: Sequence[str] = [text]
    if text.startswith("[") and text.endswith("]"):
        parts = _listed(text)
    else:
        for separator in separators:
            parts = [piece for part in parts for piece in part.split(separator)]
    return tuple(dict.fromkeys(label for part in parts if (label := clean_name(part))))


def _listed(text: str) -> list[str]:
    """`["a", "b"]`, or as Python prints it: `['a', 'b']`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return [part.strip().strip("'\"") for part in text[1:-1].split(",")]
    return [str(one) for one in found if isinstance(one, str | int | float)]


def _by_flags(rows: Iterator[list[str]], header: Sequence[str], *, file_at: int) -> LabelTable | None:
    """A column of 0 and 1 for each class. None: some other column holds something else."""
    subset_at = _first_of(SUBSET_COLUMNS, [column.lower() for column in header])
    classes = [(at, name) for at, name in enumerate(header) if at not in (file_at, subset_at) and name]
    found: list[LabelRow] = []
    for row in rows:
        flags = [FLAGS.get(row[at].strip().lower() if at < len(row) else "") for at, _ in classes]
        if None in flags or len(row) <= file_at:
            return None
        labels = tuple(name for (_, name), flag in zip(classes, flags, strict=True) if flag)
        subset = clean_name(row[subset_at]) if subset_at is not None and subset_at < len(row) else ""
        found.append(LabelRow(clean_path(row[file_at]), labels, subset))
    if not found or not classes or not any(row.labels for row in found):
        return None
    if all(len(row.labels) == 1 for row in found):
        note = "Every row of the table marks one class, so that this is taken as one class for each picture."
        return LabelTable(tuple(found), several=False, notes=(note,))
    return LabelTable(tuple(found), several=True)


def _first_of(names: Sequence[str], header: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def table_text(source: MemberSource, table: Member, *, most: int) -> str:
    """Return a table's text.

    Raises:
        DatasetError: it has more than `most` bytes.
        ArchiveError: it is damaged.
    """
    if table.size > most:
        raise DatasetError(f"'{shown(table.name)}' has {table.size} bytes; at most {most} are allowed. {WANTED}")
    return decoded(source.read(table))


def decoded(data: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with its mark (Excel's "Unicode text"), else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _rows(text: str, *, name: str) -> Iterator[list[str]]:
    first = text.split("\n", 1)[0]
    separator = max(SEPARATORS, key=first.count)
    try:
        yield from (row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(row))
    except csv.Error as error:
        raise DatasetError(f"'{shown(name)}' cannot be read as a table ({error}). {WANTED}") from error
