"""A table as it lies in its dataset's folder: the cells as Parquet, and beside them what is known of the columns."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from backend.contracts.table import TableInfo
from backend.errors import NotFoundError, TableError
from backend.storage.files import atomic_directory
from backend.tabular.columns import describe_columns
from backend.tabular.reading import read_table
from backend.tabular.sniffing import SEPARATOR_NAMES

INFO_FILE = "table.json"
CELLS_FILE = "cells.parquet"
BLOCK = 2**20


def store_table(path: Path, folder: Path, *, dataset_id: str, name: str, max_mb: int) -> TableInfo:
    """Read a CSV or Parquet file and write it, whole or not at all, into `folder`, which must not exist.

    Raises:
        TableError, TooLargeError: it is no table, or too large a one.
    """
    raw = read_table(path, max_mb=max_mb)
    columns, decimal = describe_columns(raw)
    dialect = raw.dialect
    info = TableInfo(
        dataset_id=dataset_id,
        name=name,
        rows=len(raw.frame),
        columns=columns,
        format=raw.format,
        separator="" if dialect is None else SEPARATOR_NAMES[dialect.separator],
        encoding="" if dialect is None else dialect.encoding,
        decimal=decimal,
        skipped_rows=raw.skipped_rows,
        warnings=raw.warnings,
        digest=_digest(path),
    )
    with atomic_directory(folder) as temporary:
        raw.frame.to_parquet(temporary / CELLS_FILE, index=False, compression="zstd")
        (temporary / INFO_FILE).write_text(info.model_dump_json(indent=2), encoding="utf-8")
    return info


def load_table(folder: Path) -> tuple[pd.DataFrame, TableInfo]:
    """Read a stored table.

    Raises:
        NotFoundError: there is none in this folder.
        TableError: the files are damaged.
    """
    try:
        info = TableInfo.model_validate_json((folder / INFO_FILE).read_bytes())
        return pd.read_parquet(folder / CELLS_FILE), info
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"The files of table '{folder.name}' are gone; delete it and upload it again.") from error
    except (ValidationError, ValueError, OSError) as error:
        raise TableError(f"The files of table '{folder.name}' are damaged; delete it and upload it again.") from error


def first_rows(folder: Path, *, count: int) -> list[dict[str, str | None]]:
    """The first rows as text, for people to look at.

    Raises:
        NotFoundError, TableError: as `load_table`.
    """
    frame, _ = load_table(folder)
    head = frame.head(count)
    found: list[dict[str, str | None]] = [{} for _ in range(len(head))]
    for name in map(str, head.columns):
        for row, cell, known in zip(found, head[name], head[name].notna(), strict=True):
            row[name] = str(cell) if known else None
    return found


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
