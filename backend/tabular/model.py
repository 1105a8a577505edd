"""A model of a table as a folder: `table_model.json` says everything, `member_*.skops` hold what was fitted.

Opened without trust: skops builds only types that are listed here, and a file with any other is refused (no pickle).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
import pandas as pd
import skops.io
from pydantic import ValidationError
from sklearn.pipeline import Pipeline

from backend.contracts.table import Decimal, RowAnswer, TableColumn, TableModelInfo
from backend.errors import InputError, NotFoundError, TableError
from backend.registry import nearest
from backend.storage.files import atomic_write
from backend.tabular.cells import as_numbers, as_text
from backend.tabular.features import features_of
from backend.tabular.fitting import Array, answers_of

INFO_FILE = "table_model.json"
# What scikit-learn's own types hold that skops does not trust by itself; each is a plain container of numbers.
TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


@dataclass(frozen=True)
class TableModel:
    """A model that answers. `cells` anywhere below is a frame with at least the columns of `info`, as text or typed."""

    info: TableModelInfo
    pipelines: tuple[Pipeline, ...]

    @cached_property
    def names(self) -> list[str]:
        return [column.name for column in self.info.columns]

    def answers(self, cells: pd.DataFrame) -> Array:
        """Probabilities [N, C] in the order of `class_names`, or amounts [N]."""
        info = self.info
        features = features_of(cells, info.columns, decimal=info.decimal)
        told = [
            member.weight * answers_of(pipeline, features, task=info.task, classes=len(info.class_names))
            for member, pipeline in zip(info.members, self.pipelines, strict=True)
        ]
        joined: Array = np.sum(told, axis=0)
        return joined

    def predict(self, cells: pd.DataFrame) -> list[RowAnswer]:
        """Answer for every row.

        Raises:
            TableError: a column that was learned from is missing; columns too many are not looked at.
        """
        self._require_columns(cells)
        told = self.answers(cells)
        unusual = self._unusual(cells)
        if self.info.task == "regression":
            return [self._amount(float(value), odd) for value, odd in zip(told, unusual, strict=True)]
        return [self._class(row, odd) for row, odd in zip(told, unusual, strict=True)]

    def _class(self, row: Array, unusual: tuple[str, ...]) -> RowAnswer:
        names = self.info.class_names
        best = int(row.argmax())
        return RowAnswer(
            prediction=names[best],
            confidence=float(row[best]),
            probabilities=dict(zip(names, map(float, row), strict=True)),
            unusual=unusual,
        )

    def _amount(self, value: float, unusual: tuple[str, ...]) -> RowAnswer:
        error = self.info.error_90
        known = {} if error is None else {"low": value - error, "high": value + error}
        return RowAnswer(prediction=value, unusual=unusual, **known)

    def _require_columns(self, cells: pd.DataFrame) -> None:
        missing = [name for name in self.names if name not in cells.columns]
        if missing:
            hint = nearest(missing[0], [str(name) for name in cells.columns])
            raise TableError(
                f"{len(missing)} columns are missing: {', '.join(missing[:8])}.{hint} The model needs: "
                f"{', '.join(self.names[:20])}{', ...' if len(self.names) > 20 else ''}. "
                "A value that is not known may be left empty."
            )

    def _unusual(self, cells: pd.DataFrame) -> list[tuple[str, ...]]:
        """Per row, the columns whose value no learned row had: outside of the numbers' span, or an unknown word."""
        found: list[list[str]] = [[] for _ in range(len(cells))]
        for column in self.info.columns:
            for row in np.flatnonzero(_outside(cells[column.name], column, self.info.decimal)):
                found[int(row)].append(column.name)
        return [tuple(names) for names in found]

    def save(self, folder: Path) -> None:
        """Write everything into a folder that exists."""
        for member, pipeline in zip(self.info.members, self.pipelines, strict=True):
            skops.io.dump(pipeline, folder / member.file, compression=ZIP_DEFLATED)  # trees shrink to a fifth
        self.save_info(folder)

    def save_info(self, folder: Path) -> None:
        atomic_write(folder / INFO_FILE, self.info.model_dump_json(indent=2))

    @classmethod
    def open(cls, folder: Path) -> TableModel:
        """Read a model back.

        Raises:
            NotFoundError: there is none in this folder.
            InputError: a file is damaged, or holds what no model of ours holds.
        """
        try:
            info = TableModelInfo.model_validate_json((folder / INFO_FILE).read_bytes())
        except (FileNotFoundError, NotADirectoryError):  # asked by reading: it may be deleted in this very moment
            raise NotFoundError(f"There is no model of a table in '{folder.name}'. Train again.") from None
        except ValidationError as error:
            raise InputError(f"'{folder.name}/{INFO_FILE}' is damaged: {error.errors()[0]['msg']}.") from error
        return cls(info, tuple(_load(folder / Path(member.file).name) for member in info.members))


def _outside(cells: pd.Series, column: TableColumn, decimal: Decimal) -> Array:
    if column.kind == "number" and column.minimum is not None and column.maximum is not None:
        values = as_numbers(cells, decimal=decimal)
        outside: Array = (values < column.minimum) | (values > column.maximum)
        return outside
    if column.kind == "category" and column.unique <= len(column.examples):
        text = as_text(cells)
        unknown: Array = (text.notna() & ~text.isin(column.examples)).to_numpy()
        return unknown
    return np.zeros(len(cells), dtype=bool)


def _load(path: Path) -> Pipeline:
    if not path.is_file():
        raise NotFoundError(f"'{path.name}' of the model is gone. Train again.")
    try:
        foreign = set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED)
        if foreign:
            raise InputError(
                f"'{path.name}' holds types that no model of this program has: {', '.join(sorted(foreign)[:5])}. "
                "It was not opened. Train again."
            )
        return skops.io.load(path, trusted=list(TRUSTED))
    except (BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise InputError(f"'{path.name}' is damaged: {str(error)[:200]}. Train again.") from error


def rows_of(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as they come in JSON become cells.

    Raises:
        TableError: there are none, or a value is a list or an object.
    """
    if not records:
        raise TableError('No row was sent; send at least one, such as [{"age": 42, "city": "Ulm"}].')
    for place, record in enumerate(records, start=1):
        for name, value in record.items():
            if isinstance(value, list | dict):
                raise TableError(f"Row {place}: '{name}' is a {type(value).__name__}; send a number, a text or null.")
    return pd.DataFrame.from_records(records).astype(object)
