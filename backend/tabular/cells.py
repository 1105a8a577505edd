"""Cells become values: numbers, dates, truth values, words. One function a kind; what does not fit is missing.

The same functions read the table that is learned from and the rows that are asked about later, as text, as JSON values
or as Parquet's types. They decide nothing about columns.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from backend.contracts.table import Decimal

Floats = npt.NDArray[np.float64]

MISSING_WORDS = frozenset(
    {"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "#n/a", "#value!", "#ref!", "<na>", "nil"}
)
TRUE_WORDS = frozenset({"true", "yes", "ja", "wahr", "y", "j", "t"})
FALSE_WORDS = frozenset({"false", "no", "nein", "falsch", "n", "f"})
# 1.234.567,8 or 1,234,567.8: groups of three after the first mark, whichever of the two is not the decimal one
GROUPED = {
    ".": re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"),
    ",": re.compile(r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"),
}
LOOKS_LIKE_A_DATE = re.compile(r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?\s*$|^\d{4}-\d{2}-\d{2}T")
YEAR_FIRST = re.compile(r"^\s*\d{4}[-/.]")


def as_text(cells: pd.Series) -> pd.Series:
    """Return the cells as stripped text (dtype `str`), with NaN where one is missing."""
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        cells = cells.dt.strftime("%Y-%m-%dT%H:%M:%S")
    elif not pd.api.types.is_string_dtype(cells.dtype) or pd.api.types.is_object_dtype(cells.dtype):
        cells = cells.astype(object).map(_plain, na_action="ignore")
    text = cells.astype("str").str.strip()
    return text.mask(text.str.lower().isin(MISSING_WORDS))


def _plain(cell: object) -> str:
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # a whole number that a missing neighbour has made a float
    return str(cell)


def as_numbers(cells: pd.Series, *, decimal: Decimal = ".") -> Floats:
    """Return float64 [N]; NaN where a cell is missing or no number. Infinite ones are missing too."""
    if pd.api.types.is_bool_dtype(cells.dtype) or pd.api.types.is_numeric_dtype(cells.dtype):
        values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        spelled = pd.to_numeric(_spelled(as_text(cells), decimal), errors="coerce")
        values = spelled.to_numpy(dtype=np.float64, na_value=np.nan)
    finite: Floats = np.where(np.isfinite(values), values, np.nan)
    return finite


def _spelled(text: pd.Series, decimal: Decimal) -> pd.Series:
    """Numbers as Python spells them: without groups, with a point."""
    other = "," if decimal == "." else "."
    spelled = text.where(
        ~text.str.match(GROUPED[decimal]).fillna(value=False), text.str.replace(other, "", regex=False)
    )
    if decimal == ",":
        # 1.5 is no number where the comma is the mark: it may be a version, a date without its year
        spelled = spelled.mask(spelled.str.contains(".", regex=False).fillna(value=False))
        spelled = spelled.str.replace(",", ".", regex=False)
    return spelled


def as_truth(cells: pd.Series) -> Floats:
    """Return 1 for words of truth and 0 for their opposites, in English and German; NaN else."""
    words = as_text(cells).str.lower()
    values = np.full(len(words), np.nan)
    values[words.isin(TRUE_WORDS | {"1"}).to_numpy()] = 1.0
    values[words.isin(FALSE_WORDS | {"0"}).to_numpy()] = 0.0
    return values


def as_seconds(cells: pd.Series, *, day_first: bool = False) -> Floats:
    """Return seconds since 1970, float64 [N]; NaN where a cell is missing or no date. Times without a zone are UTC."""
    text = as_text(cells)
    dated = text.where(text.str.match(LOOKS_LIKE_A_DATE).fillna(value=False))
    first = dated.dropna().head(1)
    year_first = bool(len(first)) and bool(YEAR_FIRST.match(first.iloc[0]))
    stamps = pd.to_datetime(dated, errors="coerce", utc=True, format="mixed", dayfirst=day_first and not year_first)
    seconds: Floats = np.asarray((stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), dtype=np.float64)
    return seconds
