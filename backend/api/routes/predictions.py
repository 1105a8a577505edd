"""Predictions: a picture in, an answer out. A dataset's id stands for its promoted or newest model."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import Query, Response, UploadFile

from backend.api.deps import DatasetOrModelId, ServicesDep
from backend.api.problems import problems
from backend.api.schemas import PlainPrediction
from backend.api.services import Services
from backend.api.uploads import ImageRoute, file_router, read_image
from backend.contracts import ModelInfo, Prediction
from backend.errors import NotFoundError

router = file_router(ImageRoute, prefix="/api/cv", tag="predictions")
plain_router = file_router(ImageRoute, tag="predictions")

PROBLEMS = problems(400, 404, 413)


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
    responses={200: {"content": {"image/png": {}}}, **PROBLEMS},
)
async def explain(
    dataset_or_model_id: DatasetOrModelId,
    services: ServicesDep,
    file: UploadFile,
    class_name: Annotated[str | None, Query(description="Without it, the likeliest class.")] = None,
) -> Response:
    """Where in the picture the network sees a class: Grad-CAM over the image, as PNG."""
    image = await read_image(file)

    def work() -> bytes:
        model = services.catalog.resolve_model(dataset_or_model_id)
        folder = services.model_folder(model.model_id)
        return services.pool.call(
            services.verbs.explain_image, services.settings, folder, image, class_name=class_name or None
        )

    return Response(await to_thread.run_sync(work), media_type="image/png")


@plain_router.post("/predict", responses=PROBLEMS)
async def predict_plainly(services: ServicesDep, file: UploadFile) -> PlainPrediction:
    """The answer of the default model: the one promoted last, else the newest."""
    image = await read_image(file)

    def work() -> dict[str, float]:
        model = _default_model(services)
        folder = services.model_folder(model.model_id)
        probs = services.pool.call(services.verbs.predict_probabilities, services.settings, folder, image)
        likeliest = max(probs, key=lambda label: probs[label])
        services.tally.add(model.model_id, labels=[likeliest], confidence=probs[likeliest])
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
