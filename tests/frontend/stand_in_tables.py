"""The stand-in's tables: one table, whose training has ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, File, UploadFile
from fastapi.responses import Response
from stand_in_api import Problem, ServiceDep

router = APIRouter(prefix="/api/tabular")
TABLE_ID = "ds-table"


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    known = {"missing": 0, "unique": 2, "examples": ["a", "b"], "minimum": None, "maximum": None, "mean": None}
    return {"name": name, "kind": kind, "note": "", **known, **more}


TABLE: dict[str, Any] = {
    "dataset_id": TABLE_ID,
    "name": "people",
    "rows": 1200,
    "columns": [
        column("nr", "id", note="Different in every row."),
        column("city", "category", examples=["Ulm", "Bonn"]),
        column("age", "number", unique=60, mean=41.5, examples=["41"]),
        column("buys", "boolean", examples=["yes", "no"]),
    ],
    "warnings": ["2 lines were left out."],
    "created_at": "2026-01-01T00:00:00Z",
    "preview": [{"nr": "1", "city": "Ulm", "age": "41", "buys": "yes"}],
}


def row(name: str, rank: int | None, **more: Any) -> dict[str, Any]:
    known = {"status": "ok", "reason": None, "tried": "C 1.0", "tie": False, "score": 0.9, "score_ci95": (0.85, 0.95)}
    return {"name": name, "rank": rank, "train_seconds": 1.0, **known, **more}


RESULTS: dict[str, Any] = {
    "job_id": "job-table",
    "dataset_id": TABLE_ID,
    "model_id": "model-table",
    "target": "buys",
    "task": "classification",
    "metric": "accuracy",
    "class_names": ["no", "yes"],
    "best_model": "linear",
    "leaderboard": [
        row("linear", 1),
        row("baseline", 2, score=0.6, score_ci95=(0.5, 0.7)),
        row("forest", None, status="skipped", reason="No time.", score=None, score_ci95=None, train_seconds=None),
    ],
    "test": {
        "rows": 240,
        "score": 0.91,
        "score_ci95": (0.87, 0.94),
        "accuracy": 0.91,
        "macro_f1": 0.9,
        "baseline": 0.6,
    },
    "confusion_matrix": {"labels": ["no", "yes"], "matrix": [[100, 20], [10, 110]]},
    "per_class": [
        {"label": "no", "precision": 0.9, "recall": 0.83, "f1": 0.87, "support": 120},
        {"label": "yes", "precision": 0.85, "recall": 0.92, "f1": 0.88, "support": 120},
    ],
    "residuals": [],
    "importances": [{"column": "city", "importance": 0.2, "deviation": 0.01}],
    "partial_dependence": [
        {"column": "city", "kind": "category", "values": ["Ulm", "Bonn"], "answers": {"yes": [0.8, 0.2]}}
    ],
    "used_columns": ["city", "age"],
    "left_out": [{"column": "nr", "reason": "Different in every row."}],
    "notes": ["The table has dates."],
    "total_seconds": 12.0,
}
AMOUNT: dict[str, Any] = {
    **RESULTS,
    "task": "regression",
    "metric": "r2",
    "class_names": [],
    "test": {"rows": 240, "score": 0.5, "score_ci95": (0.4, 0.6), "mae": 12.5, "rmse": 20.0, "baseline": 0.0},
    "confusion_matrix": None,
    "per_class": [],
    "residuals": [{"truth": 1.0, "answer": 2.0}, {"truth": 3.0, "answer": 2.5}],
    "partial_dependence": [
        {"column": "age", "kind": "number", "values": [20.0, 40.0], "answers": {"buys": [1.0, 2.0]}}
    ],
}


@router.get("/datasets")
def everything(service: ServiceDep) -> Any:
    return [TABLE] if service.tables else []


@router.get("/datasets/{table_id}")
def one(service: ServiceDep, table_id: str) -> Any:
    if not service.tables or table_id != TABLE_ID:
        raise Problem(404, f"There is no dataset '{table_id}'.")
    return TABLE


@router.post("/upload", status_code=201)
async def upload(service: ServiceDep, file: Annotated[UploadFile, File()]) -> Any:
    if b"," not in await file.read():
        raise Problem(422, "The table has one column only.")
    service.tables["results"] = None
    if service.tables.get("large"):
        return service.add_job(TABLE_ID, kind="import_table", candidates=[])
    return TABLE


@router.get("/candidates")
def kinds() -> Any:
    names = {"linear": "Linear model", "forest": "Random forest"}
    return [{"name": name, "title": title, "description": "", "most_rows": 10} for name, title in names.items()]


@router.post("/train/start", status_code=202)
def start(service: ServiceDep, recipe: Annotated[dict[str, Any], Body()]) -> Any:
    service.recipes.append(recipe)
    return service.add_job(TABLE_ID, kind="train_table", candidates=[])


@router.get("/results/{table_id}")
def results(service: ServiceDep, table_id: str) -> Any:
    if service.tables.get("results") is None:
        raise Problem(404, f"Dataset '{table_id}' has no results yet.")
    return service.tables["results"]


@router.get("/jobs/{job_id}/results")
def job_results(service: ServiceDep, job_id: str) -> Any:
    return results(service, job_id)


@router.post("/predict/{model_id}")
async def predict(service: ServiceDep, model_id: str, body: Annotated[dict[str, Any], Body()]) -> Any:
    service.predictions_asked.append(body)
    if body["rows"][0].get("age") == "old":
        return {
            "predictions": [{"prediction": "no", "confidence": 0.6, "probabilities": {"no": 0.6}, "unusual": ["age"]}]
        }
    chances = {"yes": 0.8, "no": 0.2}
    return {"predictions": [{"prediction": "yes", "confidence": 0.8, "probabilities": chances, "unusual": []}]}


def registered(service: Any) -> list[dict[str, Any]]:
    """Two models, the newest first; the states are kept as for models of pictures."""
    found = []
    for name in ("model-table", "model-older"):
        state = (
            "promoted" if service.promoted[-1:] == [name] else "archived" if name in service.archived else "candidate"
        )
        model = {
            "model_id": name,
            "dataset_id": TABLE_ID,
            "job_id": "job-table",
            "name": "Linear model",
            "target": "buys",
            "task": "classification",
            "metric": "accuracy",
            "score": 0.91,
            "score_ci95": (0.87, 0.94),
            "size_mb": 0.1,
            "created_at": "2026-01-01T00:00:00Z",
            "state": state,
            "promoted_at": "2026-01-02T00:00:00Z" if state == "promoted" else None,
            "promoted_by": "ada" if state == "promoted" else None,
        }
        if name not in service.deleted and service.tables.get("results"):
            found.append(model)
    return found


@router.get("/models")
def models(service: ServiceDep, dataset_id: str | None = None) -> Any:
    return registered(service) if dataset_id in (None, TABLE_ID) else []


@router.get("/models/{model_id}")
def card(service: ServiceDep, model_id: str) -> Any:
    model = next((model for model in registered(service) if model["model_id"] == model_id), None)
    if model is None:
        raise Problem(404, f"There is no model '{model_id}'.")
    back = service.promoted[-2] if model["state"] == "promoted" and len(service.promoted) > 1 else None
    return {**model, "rollback_to": back}


@router.get("/models/{model_id}/history")
def history(service: ServiceDep, model_id: str) -> Any:
    one = {"kind": "promoted", "actor": "ada", "created_at": "2026-01-02T00:00:00Z", "undone_at": None}
    return [{**one, "model_id": name, "replaced_id": None} for name in reversed(service.promoted)]


@router.post("/models/{model_id}/{verb}")
def change(service: ServiceDep, model_id: str, verb: str) -> Any:
    if verb == "promote":
        service.promoted.append(model_id)
    elif verb == "rollback":
        service.promoted.pop()
    elif verb == "archive":
        service.archived.add(model_id)
    else:
        service.archived.discard(model_id)
    return card(service, model_id)


@router.delete("/models/{model_id}", status_code=204)
def delete(service: ServiceDep, model_id: str) -> Response:
    service.deleted.add(model_id)
    return Response(status_code=204)


@router.get("/models/{model_id}/download")
def download(model_id: str) -> Response:
    return Response(b"PK", media_type="application/zip")
