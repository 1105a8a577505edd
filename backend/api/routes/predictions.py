"""Predictions: a picture in, an answer out. A dataset's id stands for its promoted or newest model."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import Header, Query, Response, UploadFile

from backend.api.deps import DatasetOrModelId, ServicesDep
from backend.api.problems import problems
from backend.api.schemas import PlainPrediction
from backend.api.services import Services
from backend.api.uploads import ImageRoute, file_router, read_image
from backend.contracts import Explanation, ModelInfo, Prediction
from backend.errors import NotFoundError

router = file_router(ImageRoute, prefix="/api/cv", tag="predictions")
plain_router = file_router(ImageRoute, tag="predictions")

PROBLEMS = problems(400, 404, 413)
PNG, JSON = "image/png", "application/json"
EVIDENCE_HEADERS = {
    "X-Heatmap-Evidence": {"description": "evidence or weak", "schema": {"type": "string"}},
    "X-Heatmap-Score": {"description": "Share lost without the marked places.", "schema": {"type": "number"}},
    "X-Heatmap-Random": {"description": "Share lost without other places.", "schema": {"type": "number"}},
}


@router.post("/predict/{dataset_or_model_id}", response_model_exclude_none=True, responses=PROBLEMS)
async def predict(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    file: UploadFile,
    top_k: Annotated[int, Query(ge=1, le=1000, description="How many labels, the likeliest first.")] = 3,
    *,
    explain: Annotated[bool, Query(description="Adds the heat map of the likeliest label.")] = False,
) -> Prediction:
    """The likeliest labels of one picture, and whether it is unlike what the model was trained on."""
    image = await read_image(file)

    def work() -> Prediction:
        model = services.catalog.resolve_model(dataset_or_model_id)
        folder = services.model_folder(model.model_id)
        verb = services.verbs.predict_image
        prediction = services.pool.call(verb, services.settings, folder, image, top_k=top_k, explain=explain)
        services.tally.count(prediction)
        return prediction

    return await to_thread.run_sync(work)


@router.post(
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

    def work() -> Explanation:
        model = services.catalog.resolve_model(dataset_or_model_id)
        folder = services.model_folder(model.model_id)
        return services.pool.call(
            services.verbs.explain_image, services.settings, folder, image, class_name=class_name or None
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


@plain_router.post("/predict", responses=PROBLEMS)
async def predict_plainly(services: ServicesDep, file: UploadFile) -> PlainPrediction:
    """The answer of the default model: the one promoted last, else the newest."""
    image = await read_image(file)

    def work() -> dict[str, float]:
        model = _default_model(services)
        folder = services.model_folder(model.model_id)
        probs = services.pool.call(services.verbs.predict_probabilities, services.settings, folder, image)
        services.tally.count_probabilities(model, probs)
        return probs

    probs = await to_thread.run_sync(work)
    return PlainPrediction(pred_class=max(probs, key=lambda label: probs[label]), probs=probs)


def _default_model(services: Services) -> ModelInfo:
    model = services.catalog.default_model()
    if model is None:
        raise NotFoundError(
            "There is no model yet. Upload a ZIP (POST /api/cv/upload) and train on it (POST /api/cv/train/start)."
        )
    return model
