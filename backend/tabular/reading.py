"""A CSV or Parquet file becomes cells: every column as text, or as the type that Parquet gives it.

It does not know what columns mean: `columns` decides that. Cells are read as text first, since a column of numbers may
hold a word after a million rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
from pyarrow import parquet

from backend.errors import TableError, TooLargeError
from backend.tabular.sniffing import MOST_COLUMNS, Dialect, is_parquet, sniff

MOST_CELLS = 50_000_000  # 100 bytes each while they are text
MOST_ROWS = 5_000_000
LONGEST_NAME = 200
BLOCK_BYTES = 4 * 2**20
MIB = 2**20
SHOWN = 3


@dataclass(frozen=True)
class RawTable:
    """The cells of a file. `frame` has text columns (CSV) or typed ones (Parquet); names are unique and not empty."""

    frame: pd.DataFrame
    format: Literal["csv", "parquet"]
    dialect: Dialect | None = None
    skipped_rows: int = 0
    warnings: tuple[str, ...] = field(default=())


def read_table(path: Path, *, max_mb: int, names: Sequence[str] | None = None) -> RawTable:
    """Read a file of at most `max_mb` MiB. With `names`, a first line that names none of them is taken for a row.

    Raises:
        TooLargeError: the file, or what it unpacks to, is larger than is taken.
        TableError: it is no table.
    """
    size = path.stat().st_size
    if size > max_mb * MIB:
        raise TooLargeError(
            f"The table is {size / MIB:,.0f} MiB; at most {max_mb:,} are taken (SIGHTGLASS_MAX_TABLE_MB). "
            "Send fewer rows: a few hundred thousand are plenty to learn from."
        )
    try:
        return _read_parquet(path, max_mb=max_mb) if is_parquet(path) else _read_csv(path, names)
    except pa.ArrowException as error:
        raise TableError(f"The file cannot be read as a table: {str(error).splitlines()[0][:200]}.") from error


def _read_csv(path: Path, names: Sequence[str] | None) -> RawTable:
    dialect = sniff(path)
    warnings: list[str] = []
    headless = _looks_like_a_row(dialect.header, names)
    header = [f"column_{place}" for place in range(1, len(dialect.header) + 1)] if headless else list(dialect.header)
    if headless:
        warnings.append("The first line holds numbers, not names; the columns are called column_1, column_2, ...")
    columns = unique_names(header, warnings)
    bad: list[int] = []

    def skip(row: Any) -> str:
        bad.append(row.number or 0)
        return "skip"

    table = arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(
            column_names=columns,
            skip_rows_after_names=0 if headless else 1,  # a name may hold a line break
            encoding=dialect.encoding,
            block_size=BLOCK_BYTES,
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, check_utf8=True
        ),
    )
    _check_size(table.num_rows, table.num_columns)
    if bad:
        warnings.append(f"{len(bad):,} lines were left out: they have more or fewer cells than the first line.")
    return RawTable(_frame(table), "csv", dialect, skipped_rows=len(bad), warnings=tuple(warnings))


def _read_parquet(path: Path, *, max_mb: int) -> RawTable:
    file = parquet.ParquetFile(path)
    described = file.metadata
    _check_size(described.num_rows, described.num_columns)
    unpacked = sum(described.row_group(place).total_byte_size for place in range(described.num_row_groups))
    if unpacked > 8 * max_mb * MIB:
        raise TooLargeError(
            f"The Parquet file unpacks to {unpacked / MIB:,.0f} MiB; at most {8 * max_mb:,} are taken. Send fewer rows."
        )
    table = file.read()
    nested = [entry.name for entry in table.schema if pa.types.is_nested(entry.type)]
    warnings = [f"'{name}' holds lists or structures and was left out." for name in nested[:SHOWN]]
    table = table.drop_columns(nested)
    if table.num_columns < 2:
        raise TableError("The table has fewer than two columns of plain values; something to learn from is missing.")
    table = table.rename_columns(unique_names(table.column_names, warnings))
    return RawTable(_frame(table), "parquet", warnings=tuple(warnings))


def _frame(table: pa.Table) -> pd.DataFrame:
    if table.num_rows == 0:
        raise TableError("The table has names but no rows; at least 20 are needed to learn anything.")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_size(rows: int, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise TableError(f"The table has {columns:,} columns; at most {MOST_COLUMNS:,} are taken. Leave some out.")
    if rows > MOST_ROWS or rows * columns > MOST_CELLS:
        raise TooLargeError(
            f"The table has {rows:,} rows and {columns:,} columns; at most {MOST_ROWS:,} rows and {MOST_CELLS:,} "
            "cells are taken. Send fewer rows: a few hundred thousand are plenty to learn from."
        )


def _looks_like_a_row(header: Sequence[str], names: Sequence[str] | None) -> bool:
    if names is not None:
        return not set(names) & {name.strip() for name in header}
    return all(_is_number(cell) for cell in header)


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def unique_names(header: Sequence[str], warnings: list[str]) -> list[str]:
    """Return names that are neither empty nor used twice; adds a warning where one had to be changed."""
    taken: set[str] = set()
    found: list[str] = []
    for place, name in enumerate(header, start=1):
        plain = "".join(char if char.isprintable() else " " for char in name).strip()[:LONGEST_NAME]
        base = wanted = plain or f"column_{place}"
        number = 2
        while wanted in taken:
            wanted = f"{base}_{number}"
            number += 1
        if wanted != name.strip() and len(warnings) < SHOWN:
            warnings.append(f"Column {place} is called '{wanted}': its name was {'used twice' if plain else 'empty'}.")
        taken.add(wanted)
        found.append(wanted)
    return found
