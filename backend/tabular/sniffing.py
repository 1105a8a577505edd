"""What a file claims to be, told from its first bytes: format, encoding, separator. It converts no cell.

Whatever is no table is refused here, before anything large is read.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from backend.errors import TableError

HEAD_BYTES = 1024 * 1024
MOST_COLUMNS = 5_000
SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAMPLE_LINES = 200
# The first bytes of files that people take for tables, and what to do about it.
NOT_TABLES = {
    b"PK\x03\x04": "an Excel, OpenDocument or ZIP file; save the sheet as 'CSV UTF-8' and send that",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as 'CSV UTF-8' and send that",
    b"\x1f\x8b": "a gzip file; unpack it and send the CSV inside",
    b"%PDF": "a PDF; export the table as CSV",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"{": "JSON; write the rows as CSV",
    b"[": "JSON; write the rows as CSV",
    b"<": "a web page or XML; save the table itself as CSV",
    b"SQLite format 3": "an SQLite database; export a table as CSV",
}
PARQUET_MAGIC = b"PAR1"
# UTF-32's mark begins as UTF-16's does
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV is written. `header` are the names in its first line, as they stand there."""

    encoding: str
    separator: str
    header: tuple[str, ...]


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == PARQUET_MAGIC


def sniff(path: Path) -> Dialect:
    """Return how a CSV is written.

    Raises:
        TableError: it is empty, no text, has one column or too many, or its first line does not end.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise TableError("The file is empty; send a CSV with names in its first line and at least two columns.")
    for magic, what in NOT_TABLES.items():
        if head.startswith(magic):
            raise TableError(f"The file is no CSV or Parquet but {what}.")
    encoding = _encoding(path, head)
    text = codecs.getincrementaldecoder(encoding)().decode(head)  # a character cut at the end waits
    whole = len(head) < HEAD_BYTES
    lines = text.splitlines()
    if not whole:
        if len(lines) < 2:
            raise TableError(
                "The first line does not end within the first MiB; this is no table of rows. "
                "Send a CSV with one row a line."
            )
        lines = lines[:-1]
    separator = _separator(lines[:SAMPLE_LINES])
    try:
        header = next((row for row in csv.reader(lines, delimiter=separator) if any(row)), [])
    except csv.Error as error:
        raise TableError(f"The first line cannot be read as a table: {error}.") from error
    if len(header) < 2:
        raise TableError(
            "The table has one column only; something to predict and something to predict it from are needed. "
            "Columns may be separated by comma, semicolon, tab or bar."
        )
    if len(header) > MOST_COLUMNS:
        raise TableError(f"The table has {len(header):,} columns; at most {MOST_COLUMNS:,} are taken. Leave some out.")
    return Dialect(encoding, separator, tuple(header))


def _encoding(path: Path, head: bytes) -> str:
    for mark, name in BOMS:
        if head.startswith(mark):
            return name
    if b"\0" in head:
        raise TableError("The file holds binary data, not text; send a CSV or a Parquet file.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while block := file.read(HEAD_BYTES):
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return "cp1252" if _fits(head, "cp1252") else "latin-1"
    return "utf-8"


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _separator(lines: list[str]) -> str:
    """The one by which most lines have the same number of cells, as many as can be."""
    filled = [line for line in lines if line.strip()]
    return max(SEPARATORS, key=lambda mark: _evenness(filled, mark))


def _evenness(lines: list[str], separator: str) -> tuple[bool, float, int]:
    try:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
    except csv.Error:  # a cell of more than 128 KiB
        return (False, 0.0, 0)
    if not widths:
        return (False, 0.0, 0)
    width, lines_of_it = Counter(widths).most_common(1)[0]
    return (widths[0] > 1, lines_of_it / len(widths), width)
