"""Answers for rows: as JSON, or a file in and a file out. Runs in the process that keeps models loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.config import Settings
from backend.contracts.table import RowAnswer
from backend.errors import TooLargeError
from backend.storage.files import status_of

if TYPE_CHECKING:
    from backend.tabular.model import TableModel

MOST_JSON_ROWS = 10_000
KEPT_MODELS = 8


def predict_rows(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[RowAnswer]:
    """Answer for rows as they come in JSON.

    Raises:
        TableError: a column is missing, or a value is no value.
        TooLargeError: more than 10,000 rows.
        NotFoundError, InputError: the model's files are gone or damaged.
    """
    from backend.tabular.model import rows_of

    if len(rows) > MOST_JSON_ROWS:
        raise TooLargeError(f"{len(rows):,} rows were sent; at most {MOST_JSON_ROWS:,} at once. Send a CSV file.")
    return _opened(folder).predict(rows_of(rows))


def predict_file(settings: Settings, folder: Path, path: Path, *, into: Path) -> int:
    """Answer for a CSV or Parquet file; writes a CSV with its cells and the answers. Returns the number of rows.

    Raises:
        TableError, TooLargeError: it is no table, too large a one, or lacks a column.
        NotFoundError, InputError: the model's files are gone or damaged.
    """
    from backend.tabular.answers_file import write_answers
    from backend.tabular.reading import read_table

    model = _opened(folder)
    table = read_table(path, max_mb=settings.max_table_mb, names=model.names)
    write_answers(model, table.frame, into=into)
    return len(table.frame)


def export_table_model(settings: Settings, model_id: str) -> Path:
    """Return the model as a ZIP: its files, and a script that answers with scikit-learn and skops alone.

    Raises:
        NotFoundError, InputError: the model's files are gone or damaged.
    """
    from backend.tabular.packing import pack

    return pack(settings.models_dir / model_id)


def _opened(folder: Path) -> TableModel:
    from backend.tabular.model import INFO_FILE

    written = status_of(folder / INFO_FILE)
    return _kept(folder, 0 if written is None else written.st_mtime_ns)


@lru_cache(maxsize=KEPT_MODELS)
def _kept(folder: Path, stamp: int) -> TableModel:
    from backend.tabular.model import TableModel

    del stamp  # a model written anew is opened anew
    return TableModel.open(folder)
