"""The API's calls for tables, one typed method each; `Client.tables` has them. HTTP itself is in `client.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, cast

from frontend.answers import JobAnswer
from frontend.registry_answers import PromotionAnswer
from frontend.segments import segment
from frontend.table_answers import (
    RegisteredTable,
    RowAnswers,
    TableAnswer,
    TableCard,
    TableKind,
    TableResultsAnswer,
    TableView,
)

BASE = "/api/tabular"


class Tables:
    """`json` sends a request and reads its answer; `content` gives the answer's bytes. Both raise `ApiError`."""

    def __init__(self, json: Callable[..., Any], content: Callable[..., bytes]) -> None:
        self._json = json
        self._content = content

    def upload(self, file: BinaryIO, filename: str) -> TableView | JobAnswer:
        """The new table; of a large file the job that reads it, at once."""
        files = {"file": (filename, file, "application/octet-stream")}
        return cast("TableView | JobAnswer", self._json("POST", f"{BASE}/upload", files=files, params={"wait": 0}))

    def all(self) -> list[TableAnswer]:
        return cast(list[TableAnswer], self._json("GET", f"{BASE}/datasets"))

    def one(self, table_id: str) -> TableView:
        return cast(TableView, self._json("GET", f"{BASE}/datasets/{segment(table_id)}"))

    def delete(self, table_id: str) -> None:
        self._content("DELETE", f"{BASE}/datasets/{segment(table_id)}")

    def kinds(self) -> list[TableKind]:
        """The models that can be compared."""
        return cast(list[TableKind], self._json("GET", f"{BASE}/candidates"))

    def start_training(self, recipe: dict[str, Any]) -> JobAnswer:
        return cast(JobAnswer, self._json("POST", f"{BASE}/train/start", json=recipe))

    def results(self, table_id: str) -> TableResultsAnswer:
        return cast(TableResultsAnswer, self._json("GET", f"{BASE}/results/{segment(table_id)}"))

    def job_results(self, job_id: str) -> TableResultsAnswer:
        return cast(TableResultsAnswer, self._json("GET", f"{BASE}/jobs/{segment(job_id)}/results"))

    def predict_rows(self, model: str, rows: list[dict[str, Any]]) -> RowAnswers:
        return cast(RowAnswers, self._json("POST", f"{BASE}/predict/{segment(model)}", json={"rows": rows}))

    def predict_file(self, model: str, file: BinaryIO, filename: str) -> bytes:
        """A CSV or Parquet file in, a CSV with the answers out."""
        files = {"file": (filename, file, "application/octet-stream")}
        return self._content("POST", f"{BASE}/predict/{segment(model)}", files=files)

    # --- the registry: as the client's own methods for models of pictures
    def registered_models(self, *, dataset_id: str | None) -> list[RegisteredTable]:
        """Models with their states, newest first; of one table, or of all."""
        params = {} if dataset_id is None else {"dataset_id": dataset_id}
        return cast(list[RegisteredTable], self._json("GET", f"{BASE}/models", params=params))

    def model_card(self, model_id: str) -> TableCard:
        return cast(TableCard, self._json("GET", f"{BASE}/models/{segment(model_id)}"))

    def change_model(self, model_id: str, verb: str) -> RegisteredTable:
        """`promote`, `rollback`, `archive` or `restore`."""
        return cast(RegisteredTable, self._json("POST", f"{BASE}/models/{segment(model_id)}/{segment(verb)}"))

    def delete_model(self, model_id: str) -> None:
        self._content("DELETE", f"{BASE}/models/{segment(model_id)}")

    def promotions(self, model_id: str) -> list[PromotionAnswer]:
        """Which models have answered for a model's table, newest first."""
        return cast(list[PromotionAnswer], self._json("GET", f"{BASE}/models/{segment(model_id)}/history"))

    def download(self, model: str) -> bytes:
        return self._content("GET", f"{BASE}/models/{segment(model)}/download")
