"""Predictions: a picture in, an answer out. A dataset's id stands for its promoted or newest model."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import Header, Query, Request, Response, UploadFile

from backend.api.deps import DatasetOrModelId, ServicesDep, Thresholds
from backend.api.problems import problems
from backend.api.quick_image import PredictionRoute, respond
from backend.api.schemas import PlainPrediction
from backend.api.services import Services
from backend.api.uploads import ImageRoute, file_router, read_image
from backend.contracts import Explanation, Prediction
from backend.workflows.thresholds import decided

router = file_router(PredictionRoute, prefix="/api/cv", tag="predictions")
explain_router = file_router(ImageRoute, prefix="/api/cv", tag="predictions")
plain_router = file_router(PredictionRoute, tag="predictions")

PROBLEMS = problems(400, 404, 413)
PNG, JSON = "image/png", "application/json"
EVIDENCE_HEADERS = {
    "X-Heatmap-Evidence": {"description": "evidence or weak", "schema": {"type": "string"}},
    "X-Heatmap-Score": {"description": "Share lost without the marked places.", "schema": {"type": "number"}},
    "X-Heatmap-Random": {"description": "Share lost without other places.", "schema": {"type": "number"}},
}


@router.post("/predict/{dataset_or_model_id}", response_model=Prediction, responses=PROBLEMS)
async def predict(
    dataset_or_model_id: DatasetOrModelId,
    request: Request,
    choice: Thresholds,
    file: UploadFile,
    top_k: Annotated[int, Query(ge=1, le=1000, description="How many labels, the likeliest first.")] = 3,
    *,
    explain: Annotated[bool, Query(description="Adds the heat map of the likeliest label.")] = False,
) -> Response:
    """The likeliest labels of one picture, and whether it is unlike what the model was trained on.

    A model of several labels tells all of them, each with whether it is `present`: by its own thresholds, or by those
    of this request, which change nothing but this answer.

    503 with `Retry-After` while too many pictures wait already.
    """
    services: Services = request.app.state.services
    image = await read_image(file)
    if not explain and not choice:
        return await respond(services, dataset_or_model_id, image, top_k=top_k, request=request)
    found = await services.serving.names.find(dataset_or_model_id)
    thresholds = choice.of(found.model) if choice else None
    answer = await services.serving.answer(dataset_or_model_id, image, top_k=top_k)
    body = answer.body if thresholds is None else decided(answer.body, thresholds)
    if explain:
        body = await to_thread.run_sync(partial(_explained, body, image, services, folder=found.folder))
    return Response(body, media_type="application/json")


@explain_router.post(
    "/explain/{dataset_or_model_id}",
    response_class=Response,
    responses={
        200: {"content": {PNG: {}, JSON: {"schema": Explanation.model_json_schema()}}, "headers": EVIDENCE_HEADERS},
        **PROBLEMS,
    },
)
async def explain(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    file: UploadFile,
    class_name: Annotated[str | None, Query(description="Without it, the likeliest class.")] = None,
    form: Annotated[
        Literal["png", "json"] | None, Query(alias="format", description="Without it, as the Accept header says.")
    ] = None,
    accept: Annotated[str, Header()] = "*/*",
) -> Response:
    """Where in the picture the network sees a class: Grad-CAM over the image, as PNG, and whether its test holds.

    The deletion test stands in the headers, and in the JSON. `weak`: the answer falls no more without the marked places
    than without others.
    """
    image = await read_image(file)
    found = await services.serving.names.find(dataset_or_model_id)

    def work() -> Explanation:
        return services.pool.call(
            services.verbs.explain_image, services.settings, found.folder, image, class_name=class_name or None
        )

    explanation = await to_thread.run_sync(work)
    if form == "json" or (form is None and _wants_json(accept)):
        return Response(explanation.model_dump_json(), media_type=JSON, headers={"Vary": "Accept"})
    test = explanation.heatmap
    headers = dict(zip(EVIDENCE_HEADERS, (test.verdict, f"{test.score:.4f}", f"{test.random:.4f}"), strict=True))
    return Response(base64.b64decode(explanation.heatmap_png), media_type=PNG, headers={**headers, "Vary": "Accept"})


def _wants_json(accept: str) -> bool:
    """Whether JSON is named and no kind of picture is: a caller who takes anything gets the PNG."""
    return JSON in accept.lower() and "image/" not in accept.lower()


@plain_router.post("/predict", response_model=PlainPrediction, responses=PROBLEMS)
async def predict_plainly(services: ServicesDep, request: Request, file: UploadFile) -> Response:
    """The answer of the default model: the one promoted last, else the newest.

    503 with `Retry-After` while too many pictures wait already.
    """
    return await respond(services, "", await read_image(file), top_k=None, request=request)


def _explained(body: bytes, image: bytes, services: Services, *, folder: Path) -> bytes:
    """An answer with the heat map of its likeliest label, and its test; drawn in the process beside."""
    content = json.loads(body)
    label = content["predictions"][0]["label"]
    drawn: Explanation = services.pool.call(
        services.verbs.explain_image, services.settings, folder, image, class_name=label
    )
    content |= {"heatmap_png": drawn.heatmap_png, "heatmap": drawn.heatmap.model_dump(mode="json")}
    return json.dumps(content, ensure_ascii=False).encode()
