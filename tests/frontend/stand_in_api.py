"""A stand-in for the service, for tests of the screens and for looking at them: api.md over believable answers.

It trains nothing. A job moves on by `step` with every look at it, so that a test decides how far it is. The browser
tests use the real service instead.
"""

from __future__ import annotations

import base64
import io
import threading
import time
import zipfile
from typing import Annotated, Any, Self

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response, StreamingResponse
from PIL import Image
from stand_in_answers import (
    CANDIDATES,
    CLASSES,
    IMAGES_A_CLASS,
    OPTIONS,
    answers_of,
    candidates_at,
    drawing,
    heat,
    now,
    results_of,
)
from stand_in_stream import changes


class Problem(Exception):
    """Becomes problem+json."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Service:
    """The state of the stand-in; tests reach in to arrange a situation and to see what was sent."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.recipes: list[dict[str, Any]] = []
        self.promoted: list[str] = []
        self.archived: set[str] = set()
        self.deleted: set[str] = set()
        self.held_by = ""
        self.drift: dict[str, Any] = {}
        self.entries: list[dict[str, Any]] = []
        self.predictions_asked: list[dict[str, Any]] = []
        self.uploads = 0
        self.step = 0.25
        self.unfamiliar = False
        self.weak = False
        self.without_answers = False
        self.keys_seen: list[str | None] = []
        self.changes: list[dict[str, Any]] = []
        self.comparisons: dict[str, dict[str, Any]] = {}
        self.comparisons_asked: list[str] = []
        self.streams: list[str] = []
        self.looks = 0
        self.insights: dict[str, Any] = {}
        self.pages_asked: list[dict[str, Any]] = []
        self.tables: dict[str, Any] = {}

    def heatmap_test(self, label: str) -> dict[str, Any]:
        score, verdict = (0.07, "weak") if self.weak else (0.64, "evidence")
        return {"label": label, "score": score, "random": 0.09, "verdict": verdict}

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]

    def add_dataset(self, name: str = "shapes", **fields: Any) -> dict[str, Any]:
        identifier = f"ds-{len(self.datasets):010x}"
        counts = fields.pop("class_counts", CLASSES)
        dataset = {
            "dataset_id": identifier,
            "name": name,
            "version": 1,
            "task": "multiclass",
            "total_images": sum(counts.values()),
            "num_classes": len(counts),
            "class_counts": counts,
            "skipped": [],
            "warnings": [],
            "created_at": now(),
            "digest": "0" * 64,
            "samples": {
                label: [
                    f"/api/cv/datasets/{identifier}/images/{label}-{n}?size=96" for n in range(min(IMAGES_A_CLASS, c))
                ]
                for label, c in counts.items()
            },
        } | fields
        self.datasets = {identifier: dataset, **self.datasets}
        return dataset

    def add_job(self, dataset_id: str, *, state: str = "queued", **fields: Any) -> dict[str, Any]:
        identifier = f"job-{len(self.jobs):010x}"
        done = state == "succeeded"
        job = {
            "job_id": identifier,
            "kind": "train_images",
            "dataset_id": dataset_id,
            "state": state,
            "progress": 1.0 if done else 0.0,
            "stage": state,
            "message": "",
            "candidates": candidates_at(1.0 if done else 0.0),
            "created_at": now(),
            "started_at": "2026-01-01T10:00:00Z" if done else None,
            "ended_at": "2026-01-01T10:00:42Z" if done else None,
            "eta_s": None,
            "error": None,
            "queue_position": None,
            "links": {},
        } | fields
        self.jobs = {identifier: job, **self.jobs}
        return job

    def look(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job as it is now; an unfinished one has moved on by a step since the last look."""
        if job["state"] in ("queued", "running") and self.step:
            job["state"] = "running"
            job["started_at"] = job["started_at"] or now()
            job["progress"] = min(1.0, job["progress"] + self.step)
            job["message"] = "Training efficientnet_lite0"
            job["eta_s"] = round(40 * (1 - job["progress"]), 1)
            job["candidates"] = candidates_at(job["progress"])
            if job["progress"] >= 1.0:
                job |= {"state": "succeeded", "ended_at": now(), "eta_s": None, "message": "Done"}
        return job


def service_of(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


ServiceDep = Annotated[Service, Depends(service_of)]
router = APIRouter()


def create_stand_in(service: Service) -> FastAPI:
    app = FastAPI()
    app.state.service = service
    app.include_router(router)
    from stand_in_batch import router as batch
    from stand_in_tables import router as tables
    from stand_in_versions import router as versions  # it takes its parts from here

    app.include_router(batch)
    app.include_router(tables)
    app.include_router(versions)
    app.add_exception_handler(Problem, problem)
    from stand_in_insights import router as insights  # it imports this file

    app.include_router(insights)
    from stand_in_registry import router as registry  # it imports this file

    app.include_router(registry)
    return app


def problem(_: Request, error: Problem) -> JSONResponse:
    body = {"type": "about:blank", "title": "Refused", "status": error.status, "detail": error.detail}
    return JSONResponse(body, status_code=error.status, media_type="application/problem+json")


def dataset_of(service: Service, identifier: str) -> dict[str, Any]:
    if identifier not in service.datasets:
        raise Problem(404, f"There is no dataset '{identifier}'. Upload one, or choose from GET /api/cv/datasets.")
    return service.datasets[identifier]


def job_of(service: Service, identifier: str) -> dict[str, Any]:
    if identifier not in service.jobs:
        raise Problem(404, f"There is no job '{identifier}'.")
    return service.jobs[identifier]


@router.get("/health")
def health(service: ServiceDep, request: Request) -> Any:
    service.keys_seen.append(request.headers.get("x-api-key"))
    states = [job["state"] for job in service.jobs.values()]
    jobs = {"queued": states.count("queued"), "running": states.count("running")}
    return {
        "status": "ok",
        "version": "0.1.0",
        "device": "cpu",
        "torch_threads": 2,
        "jobs": jobs,
        "default_model": service.promoted[-1] if service.promoted else None,
    }


@router.get("/api/cv/candidates")
def candidates(service: ServiceDep) -> Any:
    return CANDIDATES


@router.get("/api/cv/options")
def options(service: ServiceDep) -> Any:
    return OPTIONS


@router.post("/api/cv/upload", status_code=201)
def upload(service: ServiceDep, file: Annotated[UploadFile, File()], name: Annotated[str | None, Form()] = None) -> Any:
    service.uploads += 1
    try:
        members = zipfile.ZipFile(file.file).namelist()
    except zipfile.BadZipFile:
        raise Problem(422, f"'{file.filename}' is not a ZIP archive. Send a .zip with a folder a class.") from None
    skipped = [{"file": member, "reason": "not an image"} for member in members if member.endswith(".txt")]
    return service.add_dataset(name or (file.filename or "upload").removesuffix(".zip"), skipped=skipped)


@router.post("/api/cv/import", status_code=202)
def import_path(service: ServiceDep, asked: dict[str, str]) -> Any:
    if asked["path"] != "pets":
        raise Problem(404, f"There is no '{asked['path']}' in the folders that may be imported: '/srv/pictures'.")
    return service.add_job("ds-imported", state="running", kind="import_dataset", progress=0.4, recipe={"name": "pets"})


@router.get("/api/cv/datasets")
def datasets(service: ServiceDep) -> Any:
    return list(service.datasets.values())


@router.get("/api/cv/datasets/{dataset_id}")
def dataset(service: ServiceDep, dataset_id: str) -> Any:
    return dataset_of(service, dataset_id)


@router.delete("/api/cv/datasets/{dataset_id}", status_code=204)
def delete(service: ServiceDep, dataset_id: str) -> None:
    dataset_of(service, dataset_id)
    if any(j["dataset_id"] == dataset_id and j["state"] in ("queued", "running") for j in service.jobs.values()):
        raise Problem(409, f"A job is running on dataset '{dataset_id}'. Cancel it first.")
    del service.datasets[dataset_id]


@router.get("/api/cv/datasets/{dataset_id}/images/{image_id}")
def image(service: ServiceDep, dataset_id: str, image_id: str, size: int = 256) -> Response:
    dataset_of(service, dataset_id)
    label, _, number = image_id.rpartition("-")
    return Response(drawing(label, int(number), side=size), media_type="image/png")


@router.post("/api/cv/train/start", status_code=202)
def start(service: ServiceDep, recipe: dict[str, Any]) -> Any:
    dataset_of(service, recipe["dataset_id"])
    for name in recipe.get("overrides", {}):
        if name not in [entry["name"] for entry in OPTIONS["override_keys"]]:
            raise Problem(422, f"There is no setting '{name}'. Did you mean 'probe.folds'?")
    if len(recipe.get("classes", ["a", "b"])) < 2:
        raise Problem(422, "A run needs at least two classes; 1 was chosen.")
    service.recipes.append(recipe)
    return service.add_job(recipe["dataset_id"])


@router.get("/api/cv/jobs")
def jobs(service: ServiceDep) -> Any:
    return list(service.jobs.values())


@router.get("/api/cv/jobs/{job_id}")
def job(service: ServiceDep, job_id: str) -> Any:
    service.looks += 1
    return service.look(job_of(service, job_id))


@router.get("/api/cv/jobs/{job_id}/events")
async def events(service: ServiceDep, job_id: str) -> Response:
    found = job_of(service, job_id)
    service.streams.append(job_id)
    return StreamingResponse(changes(service, found), media_type="text/event-stream")


@router.post("/api/cv/jobs/{job_id}/cancel", status_code=202)
def cancel(service: ServiceDep, job_id: str) -> Any:
    found = job_of(service, job_id)
    found |= {"state": "cancelled", "ended_at": now()}
    return found


@router.get("/api/cv/jobs/{job_id}/results")
def job_results(service: ServiceDep, job_id: str) -> Any:
    found = job_of(service, job_id)
    if found["state"] != "succeeded" and not found.get("kept_results"):
        raise Problem(404, f"Job '{job_id}' has no results; it is {found['state']}.")
    return results_of(found, dataset_of(service, found["dataset_id"]))


@router.get("/api/cv/jobs/{job_id}/test-predictions")
def answers(service: ServiceDep, job_id: str, label: str, predicted: str, offset: int = 0, limit: int = 100) -> Any:
    if service.without_answers:
        raise Problem(404, "This model has no answers to single test images. Train again to have them.")
    every = answers_of(job_results(service, job_id))
    found = [answer for answer in every if (answer["label"], answer["predicted"]) == (label, predicted)]
    return {"total": len(found), "offset": offset, "limit": limit, "images": found[offset : offset + limit]}


@router.get("/api/cv/results/{dataset_id}")
def results(service: ServiceDep, dataset_id: str) -> Any:
    dataset_of(service, dataset_id)
    for found in service.jobs.values():
        if found["dataset_id"] == dataset_id and found["state"] == "succeeded":
            return results_of(found, dataset_of(service, dataset_id))
    raise Problem(404, f"Nothing has been trained on dataset '{dataset_id}' yet. Start with POST train/start.")


@router.post("/api/cv/predict/{model_id}")
def predict(
    service: ServiceDep, model_id: str, file: Annotated[UploadFile, File()], top_k: int = 3, explain: str = "false"
) -> Any:
    service.predictions_asked.append({"model_id": model_id, "top_k": top_k, "explain": explain == "true"})
    data = file.file.read()
    try:
        Image.open(io.BytesIO(data)).verify()
    except OSError:
        raise Problem(422, "The file is not a picture that can be opened. Send PNG, JPEG or WebP.") from None
    answers = [("circle", 0.91), ("square", 0.06), ("triangle", 0.03)]
    if service.unfamiliar:
        answers = [("square", 0.55), ("circle", 0.31), ("triangle", 0.14)]
    dataset_id = next(iter(service.datasets))
    return {
        "predictions": [{"label": label, "confidence": share} for label, share in answers[:top_k]],
        "model": {"model_id": model_id, "name": "efficientnet_lite0", "accuracy": 0.903},
        "unfamiliar": service.unfamiliar,
        "unfamiliarity": 0.83 if service.unfamiliar else 0.21,
        "latency_ms": 31.4,
        "heatmap_png": base64.b64encode(heat(data)).decode() if explain == "true" else None,
        "heatmap": service.heatmap_test(answers[0][0]) if explain == "true" else None,
        "similar": [
            {"image_id": f"circle-{n}", "label": "circle", "similarity": 0.98 - 0.02 * n, "dataset_id": dataset_id}
            for n in range(4)
        ],
    }


@router.post("/api/cv/explain/{model_id}")
def explain_class(
    service: ServiceDep,
    model_id: str,
    file: Annotated[UploadFile, File()],
    class_name: str = "",
    form: Annotated[str, Query(alias="format")] = "png",
) -> Any:
    service.predictions_asked.append({"model_id": model_id, "class_name": class_name})
    drawn = heat(file.file.read())
    if form == "png":
        return Response(drawn, media_type="image/png")
    test = service.heatmap_test(class_name)
    return {"label": class_name, "heatmap_png": base64.b64encode(drawn).decode(), "heatmap": test}


STARTS_WITHIN_S = 90.0


class RunningStandIn:
    """The stand-in behind a real port; `with` starts and stops it."""

    def __init__(self, port: int = 0) -> None:
        self.service = Service()
        config = uvicorn.Config(
            create_stand_in(self.service), host="127.0.0.1", port=port, log_level="error", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        end = time.monotonic() + STARTS_WITHIN_S
        while not self._server.started:
            if time.monotonic() > end:
                raise TimeoutError(f"the stand-in did not start within {STARTS_WITHIN_S:.0f} s")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.service.reset()  # streams of jobs that are gone end, and the server waits for no stream
        self._server.should_exit = True
        self._thread.join(timeout=STARTS_WITHIN_S)


if __name__ == "__main__":
    with RunningStandIn(port=8000):
        threading.Event().wait()
