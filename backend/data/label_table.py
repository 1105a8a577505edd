"""`labels.csv`: which columns it must have, in whatever encoding and with whatever separator tools write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from backend.data.members import Member, MemberSource, clean_path
from backend.data.names import clean_name, shown
from backend.errors import ArchiveError, DatasetError

# A row takes about 40 bytes, so this is room for more than a million pictures.
MAX_TABLE_BYTES = 64 * 2**20
SEPARATORS = (",", ";", "\t")
SEVERSTAL_COLUMNS = frozenset({"imageid", "classid", "encodedpixels"})
WANTED = "It needs the columns 'filename' and 'label', one row for each picture."


def read_label_rows(source: MemberSource, table: Member) -> list[tuple[str, str]]:
    """Return (filename, label) of every row, both cleaned; blank rows are dropped.

    Raises:
        DatasetError: no such columns, no rows, or a table of 0/1 columns, which says several classes for one picture.
    """
    rows = _rows(_text(source, table), name=table.name)
    header = [clean_name(column).lower() for column in next(rows, [])]
    if "filename" not in header or "label" not in header:
        raise DatasetError(_why_columns(header, rows, name=table.name))
    file_at, label_at = header.index("filename"), header.index("label")
    found = [(clean_path(row[file_at]), clean_name(row[label_at])) for row in rows if len(row) > max(file_at, label_at)]
    if not found:
        raise DatasetError(f"'{shown(table.name)}' holds no rows. {WANTED}")
    return found


def is_severstal(source: MemberSource, table: Member) -> bool:
    """Whether a `train.csv` has the columns of the Severstal steel defect data."""
    if table.size > MAX_TABLE_BYTES * 4:  # masks as text are long; the original has 18 MB
        return False
    try:
        header = _decoded(source.read(table).split(b"\n", 1)[0])
    except ArchiveError:  # a damaged table is no reason to refuse the folders beside it
        return False
    return {clean_name(column).lower() for column in header.split(",")} >= SEVERSTAL_COLUMNS


def _text(source: MemberSource, table: Member) -> str:
    if table.size > MAX_TABLE_BYTES:
        raise DatasetError(
            f"'{shown(table.name)}' has {table.size} bytes; at most {MAX_TABLE_BYTES} are allowed. {WANTED}"
        )
    return _decoded(source.read(table))


def _decoded(data: bytes) -> str:
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


def _why_columns(header: list[str], rows: Iterator[list[str]], *, name: str) -> str:
    seen = ", ".join(f"'{shown(column, limit=40)}'" for column in header[:20]) or "none"
    if "filename" in header and len(header) > 2 and _all_flags(header, rows):
        return (
            f"'{shown(name)}' has a 0/1 column for each class ({seen}), so a picture can have several classes. "
            "This version trains multi-class models only: one class for each picture. "
            "Give one 'label' column, or one folder for each class."
        )
    return f"'{shown(name)}' has the columns {seen}. {WANTED}"


def _all_flags(header: list[str], rows: Iterator[list[str]]) -> bool:
    place = header.index("filename")
    flags = [value.strip() for row in rows for at, value in enumerate(row) if at != place]
    return bool(flags) and set(flags) <= {"0", "1", "0.0", "1.0", ""}
