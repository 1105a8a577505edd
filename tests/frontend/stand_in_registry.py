"""The stand-in's routes for the registry of models: states as the service keeps them, without its checks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from stand_in_answers import model_of, now
from stand_in_api import Problem, Service, ServiceDep

router = APIRouter()


def all_models(service: Service) -> list[dict[str, Any]]:
    """The models of finished trainings, newest first, with their states."""
    found = []
    for job in service.jobs.values():
        model_id = f"model-{job['job_id'][4:]}"
        if job["state"] == "succeeded" and job["kind"] == "train_images" and model_id not in service.deleted:
            dataset = service.datasets[job["dataset_id"]]
            model = model_of(job, dataset, promoted=service.promoted[-1:] == [model_id])
            if model_id in service.archived:
                model["state"] = "archived"
            found.append(model)
    return found


def model_named(service: Service, model_id: str) -> dict[str, Any]:
    for model in all_models(service):
        if model["model_id"] == model_id:
            return model
    raise Problem(404, f"There is no model '{model_id}'.")


@router.get("/api/cv/models")
def models(service: ServiceDep, dataset_id: str | None = None) -> Any:
    return [model for model in all_models(service) if dataset_id in (None, model["dataset_id"])]


@router.get("/api/cv/models/{model_id}")
def card(service: ServiceDep, model_id: str) -> Any:
    model = model_named(service, model_id)
    back = service.promoted[-2] if model["state"] == "promoted" and len(service.promoted) > 1 else None
    split = {"train": 60, "val": 20, "test": 20}
    name = service.datasets[model["dataset_id"]]["name"]
    return {
        **model,
        "dataset_name": name,
        "test": model["metrics"]["test"],
        "split": split,
        "rollback_to": back,
        "trained_by": "bob",
    }


@router.post("/api/cv/models/{model_id}/promote")
def promote(service: ServiceDep, model_id: str) -> Any:
    service.promoted.append(model_id)
    return model_named(service, model_id)


@router.post("/api/cv/models/{model_id}/rollback")
def roll_back(service: ServiceDep, model_id: str) -> Any:
    if service.promoted[-1:] != [model_id]:
        raise Problem(409, f"Model '{model_id}' is not the promoted one, so there is nothing to take back.")
    service.promoted.pop()
    return model_named(service, service.promoted[-1])


@router.post("/api/cv/models/{model_id}/archive")
def archive(service: ServiceDep, model_id: str) -> Any:
    service.archived.add(model_id)
    return model_named(service, model_id)


@router.post("/api/cv/models/{model_id}/restore")
def restore(service: ServiceDep, model_id: str) -> Any:
    service.archived.discard(model_id)
    return model_named(service, model_id)


@router.delete("/api/cv/models/{model_id}", status_code=204)
def delete(service: ServiceDep, model_id: str) -> Response:
    model_named(service, model_id)
    if service.held_by:
        raise Problem(409, f"Job '{service.held_by}' still uses model '{model_id}'.")
    service.deleted.add(model_id)
    return Response(status_code=204)


@router.get("/api/cv/models/{model_id}/history")
def history(service: ServiceDep, model_id: str) -> Any:
    model_named(service, model_id)
    before = [None, *service.promoted]
    one = {"kind": "promoted", "actor": "ada", "created_at": now(), "undone_at": None}
    told = [{**one, "model_id": name, "replaced_id": before[place]} for place, name in enumerate(service.promoted)]
    return told[::-1]


def measure(verdict: str, words: str, bins: list[tuple[str, float | None, float, int]]) -> dict[str, Any]:
    names = ("name", "expected", "seen", "count")
    return {"verdict": verdict, "words": words, "bins": [dict(zip(names, one, strict=True)) for one in bins]}


@router.get("/api/cv/models/{model_id}/drift")
def drift(service: ServiceDep, model_id: str) -> Any:
    model_named(service, model_id)
    nothing = measure("too_few", "No prediction has been counted.", [])
    quiet = {
        "since": "2026-01-01",
        "predictions": 0,
        "test_images": 20,
        "verdict": "too_few",
        "headline": "Too few predictions to say whether anything has changed.",
        "labels": nothing,
        "confidence": nothing,
        "unfamiliar": {"verdict": "too_few", "words": "No answer has said yet.", "normal": 0.05},
        "days": [],
    }
    return {**quiet, **service.drift}


@router.get("/api/audit")
def audit(service: ServiceDep, limit: int = 100, subject: str | None = None) -> Any:
    found = [entry for entry in service.entries if subject in (None, entry["subject"], entry["dataset_id"])]
    more = found[limit - 1]["entry_id"] if len(found) > limit else None
    return {"entries": found[:limit], "next_before": more}


def entry(number: int, **fields: Any) -> dict[str, Any]:
    """One line of the audit log."""
    plain = {"actor": "ada", "action": "promoted", "subject": "model-0", "dataset_id": None, "detail": "resnet18"}
    where = {"address": "192.0.2.1", "request_id": f"req-{number}"}
    return {"entry_id": number, "created_at": now(), **plain, **where, **fields}
