"""Answer for the rows of a CSV with the model beside this script.

    python predict.py rows.csv > answers.csv

It needs pandas, scikit-learn and skops, and nothing of Sightglass.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io

HERE = Path(__file__).resolve().parent
TRUSTED = [
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "#n/a", "#value!", "#ref!", "<na>", "nil"}
TRUE = {"true", "yes", "ja", "wahr", "y", "j", "t", "1"}
FALSE = {"false", "no", "nein", "falsch", "n", "f", "0"}
GROUPED = {".": r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$", ",": r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"}
DATE = r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?\s*$|^\d{4}-\d{2}-\d{2}T"
LEAST = 1e-6

Values = npt.NDArray[np.float64]


def text_of(cells: pd.Series) -> pd.Series:
    text = cells.astype("str").str.strip()
    return text.mask(text.str.lower().isin(MISSING))


def numbers_of(cells: pd.Series, decimal: str) -> Values:
    text = text_of(cells)
    other = "," if decimal == "." else "."
    grouped = text.str.match(GROUPED[decimal]).fillna(value=False)
    text = text.where(~grouped, text.str.replace(other, "", regex=False))
    if decimal == ",":
        text = text.mask(text.str.contains(".", regex=False).fillna(value=False)).str.replace(",", ".", regex=False)
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    finite: Values = np.where(np.isfinite(values), values, np.nan)
    return finite


def truth_of(cells: pd.Series) -> Values:
    words = text_of(cells).str.lower()
    values = np.full(len(words), np.nan)
    values[words.isin(TRUE).to_numpy()] = 1.0
    values[words.isin(FALSE).to_numpy()] = 0.0
    return values


def date_parts(cells: pd.Series, *, day_first: bool) -> dict[str, Any]:
    text = text_of(cells)
    dated = text.where(text.str.match(DATE).fillna(value=False))
    first = dated.dropna().head(1)
    year_first = bool(len(first)) and bool(re.match(r"^\s*\d{4}[-/.]", first.iloc[0]))
    stamps = pd.to_datetime(dated, errors="coerce", utc=True, format="mixed", dayfirst=day_first and not year_first)
    seconds = (stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(dtype=float)
    days = pd.to_datetime(pd.Series(seconds), unit="s", errors="coerce").dt
    parts = {"days": seconds / 86_400, "year": days.year, "month": days.month, "day": days.day}
    return parts | {"weekday": days.day_of_week, "hour": days.hour}


def features_of(cells: pd.DataFrame, info: dict[str, Any]) -> pd.DataFrame:
    found: dict[str, Any] = {}
    for column in info["columns"]:
        name, kind = column["name"], column["kind"]
        if kind == "number":
            found[name] = numbers_of(cells[name], info["decimal"])
        elif kind == "boolean":
            found[name] = truth_of(cells[name])
        elif kind == "date":
            for part, values in date_parts(cells[name], day_first=column["day_first"]).items():
                found[f"{name}: {part}"] = np.asarray(values, dtype=float)
        else:
            text = text_of(cells[name])
            found[name] = text.astype(object).where(text.notna(), "").to_numpy()
    return pd.DataFrame(found)


def read(path: str) -> pd.DataFrame:
    """Commas, semicolons or tabs; UTF-8, or what Windows writes."""
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "sep": None, "engine": "python"}
    try:
        cells: pd.DataFrame = pd.read_csv(path, encoding="utf-8-sig", **options)
    except UnicodeDecodeError:
        cells = pd.read_csv(path, encoding="cp1252", **options)
    return cells


def main(path: str) -> None:
    info = json.loads((HERE / "table_model.json").read_text(encoding="utf-8"))
    cells = read(path)
    missing = [column["name"] for column in info["columns"] if column["name"] not in cells]
    if missing:
        sys.exit(f"Columns are missing: {', '.join(missing)}")
    features = features_of(cells, info)
    total: Any = 0.0
    for member in info["members"]:
        fitted = skops.io.load(HERE / member["file"], trusted=TRUSTED)
        if info["task"] == "regression":
            told = np.asarray(fitted.predict(features), dtype=float)
        else:
            told = np.full((len(features), len(info["class_names"])), LEAST)
            told[:, np.asarray(fitted.classes_, dtype=int)] = np.maximum(fitted.predict_proba(features), LEAST)
            told /= told.sum(axis=1, keepdims=True)
        total = total + member["weight"] * told
    if info["task"] == "regression":
        answers = pd.DataFrame({"prediction": total})
    else:
        names = np.asarray(info["class_names"], dtype=object)
        answers = pd.DataFrame({"prediction": names[total.argmax(axis=1)], "confidence": total.max(axis=1)})
    pd.concat([cells, answers], axis=1).to_csv(sys.stdout, index=False)


if __name__ == "__main__":
    main(sys.argv[1])
