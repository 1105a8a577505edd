"""A model of a table as a ZIP to take away: its files, a README, and a script that answers without this service."""

from __future__ import annotations

import zipfile
from pathlib import Path

from backend.contracts.table import TableModelInfo
from backend.storage.files import atomic_file
from backend.tabular.learn import RESULTS_FILE
from backend.tabular.model import INFO_FILE, TableModel

ZIP_FILE = "export.zip"


def pack(folder: Path) -> Path:
    """Return the ZIP of a saved model, made where it is not there yet.

    Raises:
        NotFoundError, InputError: the model's files are gone or damaged.
    """
    target = folder / ZIP_FILE
    info = TableModel.open(folder).info
    if not target.is_file():
        with atomic_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (INFO_FILE, RESULTS_FILE, *(member.file for member in info.members)):
                archive.write(folder / name, name)
            archive.writestr("predict.py", Path(__file__).with_name("standalone.py").read_text(encoding="utf-8"))
            archive.writestr("README.md", _readme(info))
    return target


def _readme(info: TableModelInfo) -> str:
    versions = " ".join(f"{name}=={number}" for name, number in sorted(info.versions.items()))
    columns = "\n".join(f"- `{column.name}` ({column.kind})" for column in info.columns)
    kind = f"one of {', '.join(info.class_names)}" if info.class_names else "an amount"
    return f"""# {info.name}, trained by Sightglass

It predicts `{info.target}`: {kind}. {info.metric} on held-out rows: {info.score:.3f}
(95%: {info.score_ci95[0]:.3f} to {info.score_ci95[1]:.3f}).

## Use it

    pip install {versions}
    python predict.py rows.csv > answers.csv

`rows.csv` needs these columns, in any order; a value that is not known may be empty:

{columns}

## Files

- `{INFO_FILE}`: columns, classes, scores, versions
- `member_*.skops`: what was fitted; opened without pickle, only the types that `predict.py` lists are built
- `{RESULTS_FILE}`: the whole comparison
- `predict.py`: needs pandas, scikit-learn and skops, nothing else
"""
