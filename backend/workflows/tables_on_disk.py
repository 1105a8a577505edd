"""Tables without a service: a file in, a model's folder out; a model's folder and a file in, answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backend.config import Settings
from backend.contracts import RunControl
from backend.contracts.table import TableRecipe, TableResults
from backend.errors import NotFoundError, RecipeError
from backend.workflows.mishaps import in_plain_words


def train_on_file(
    path: Path, options: dict[str, Any], *, out: Path, settings: Settings, control: RunControl
) -> tuple[TableResults, Path]:
    """Train on a CSV or Parquet file; returns the results and the model's folder, `out`/model.

    Raises:
        SightglassError: what a person can mend. A model that is there already is not replaced.
    """
    from backend.storage.files import new_id, staged_directory
    from backend.tabular.learn import TableRun, learn
    from backend.tabular.table_folder import load_table, store_table

    if not path.is_file():
        raise NotFoundError(f"There is no file '{path}'.")
    dataset_id = new_id("ds")
    try:
        recipe = TableRecipe.model_validate({**options, "dataset_id": dataset_id})
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"'{'.'.join(map(str, first['loc']))}' does not fit: {first['msg']}.") from error
    with in_plain_words(out), staged_directory(out) as staged:
        folder = staged / "table"
        store_table(path, folder, dataset_id=dataset_id, name=path.stem, max_mb=settings.max_table_mb)
        frame, info = load_table(folder)
        job = new_id("job")
        run = TableRun(job_id=job, model_id=new_id("model"), folder=out / "model", threads=settings.torch_threads)
        results, _ = learn(frame, info, recipe, run=run, control=control)
    return results, run.folder


def answer_file(folder: Path, path: Path, *, into: Path, settings: Settings) -> int:
    """Write the answers for a file's rows; returns their number. `folder` is a model's, or the run that it is of.

    Raises:
        SightglassError: what a person can mend.
    """
    from backend.tabular.model import INFO_FILE
    from backend.workflows.predict_table import predict_file

    if not path.is_file():
        raise NotFoundError(f"There is no file '{path}'.")
    found = folder if (folder / INFO_FILE).is_file() else folder / "model"
    return predict_file(settings, found, path, into=into)
