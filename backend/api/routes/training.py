"""Start a training; read its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Body, Depends, Query, Response
from fastapi.openapi.models import Example

from backend.api.deps import Auditor, AuditorDep, CatalogDep, DatasetId, JobId, ServicesDep, Version
from backend.api.problems import problems
from backend.api.schemas import AnswerPage, JobView, answer_view
from backend.api.services import Services
from backend.api.training_answer import answer_when_ended
from backend.api.uploads import LimitedRoute
from backend.contracts import Job, Recipe, Results, TestPrediction, TestPredictions
from backend.data.manifest import require_stored
from backend.data.names import clean_name
from backend.errors import InputError
from backend.registry import nearest
from backend.storage.answers import read_answers

router = APIRouter(prefix="/api/cv", tags=["training"], route_class=LimitedRoute)

Verdict = Literal["found", "missed", "false_alarm"]  # of one label on one image
VERDICTS: dict[Verdict, tuple[bool, bool]] = {  # whether it is there, whether the model said so
    "found": (True, True),
    "missed": (True, False),
    "false_alarm": (False, True),
}

LONGEST_WAIT_S = 3600
DATASET = {"dataset_id": "ds-0123456789"}
EXAMPLES: dict[str, Example] = {
    "defaults": {"summary": "Everything by default", "value": DATASET},
    "search": {
        "summary": "The longest search, in fifteen minutes and without an ensemble",
        "value": {**DATASET, "preset": "best", "time_budget_s": 900, "ensemble": False},
    },
    "uneven": {
        "summary": "Uneven classes, and only the share of right answers counts",
        "value": {**DATASET, "class_balance": "plain", "rank_by": "accuracy"},
    },
    "finetune": {
        "summary": "One network, trained as a whole",
        "value": {**DATASET, "strategy": "finetune", "models": ["resnet18"], "num_epochs": 5},
    },
}


@router.post(
    "/train/start",
    status_code=202,
    response_model=JobView,
    responses={
        200: {"model": Results, "description": "With `wait`: the job ended in time; its results."},
        **problems(400, 404, 409, 413),
    },
)
async def start_training(
    recipe: Annotated[Recipe, Body(openapi_examples=EXAMPLES)],
    services: ServicesDep,
    auditor: AuditorDep,
    response: Response,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the results; 0: not at all.")
    ] = 0,
) -> Response:
    """Put a training in the queue; everything about the recipe that can be known now is checked now."""
    del response
    job = await to_thread.run_sync(_enqueue, recipe, services, auditor)
    return await answer_when_ended(job, services, within_s=wait, results=services.catalog.results_for_job)


@router.get("/results/{dataset_id}", responses=problems(404))
def results_of_dataset(dataset_id: DatasetId, services: ServicesDep, version: Version = None) -> Results:
    """The results of the dataset's newest finished job; with `version`, of the newest that trained on it."""
    if version is not None:
        services.versions.describe(dataset_id, version)
    return services.catalog.results_for_dataset(dataset_id, version=version)


@router.get("/jobs/{job_id}/results", responses=problems(404))
def results_of_job(job_id: JobId, catalog: CatalogDep) -> Results:
    """The results of one job."""
    return catalog.results_for_job(job_id)


@dataclass(frozen=True, slots=True)
class AnswerFilter:
    """Which of a job's test images are meant."""

    label: Annotated[str | None, Query(description="Only images that are of this class.")] = None
    predicted: Annotated[str | None, Query(description="Only images that were taken for this class.")] = None
    verdict: Annotated[
        Verdict | None,
        Query(description="Of a model of several labels, with label: only where it was found, missed or said wrongly."),
    ] = None

    def check(self, answers: TestPredictions) -> None:
        """Raise on a class that the job does not know, and on a verdict that does not fit.

        Raises:
            InputError: names what is allowed.
        """
        for name in (self.label, self.predicted):
            if name is not None:
                _check_class(name, answers.class_names)
        if self.verdict is not None and (self.label is None or answers.task != "multilabel"):
            raise InputError("'verdict' is for models of several labels, together with 'label': name both, or neither.")

    def takes(self, answer: TestPrediction) -> bool:
        """Whether an image is meant."""
        if answer.labels is None or answer.predicted_labels is None:
            return self.label in (None, answer.label) and self.predicted in (None, answer.predicted)
        there, said = self.label in answer.labels, self.label in answer.predicted_labels
        if self.verdict is not None:
            return (there, said) == VERDICTS[self.verdict]
        return (self.label is None or there) and (self.predicted is None or self.predicted in answer.predicted_labels)


@router.get("/jobs/{job_id}/test-predictions", responses=problems(404))
def answers_of_job(
    job_id: JobId,
    services: ServicesDep,
    asked: Annotated[AnswerFilter, Depends()],
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AnswerPage:
    """The test images behind the confusion matrix, with the best model's answers, the most confident first.

    Where an image may have several labels, `label` and `predicted` each ask for those that carry one.
    """
    results = services.catalog.results_for_job(job_id)
    answers = read_answers(services.model_folder(results.model_id))
    asked.check(answers)
    found = [answer for answer in answers.images if asked.takes(answer)]
    found.sort(key=lambda answer: (-answer.confidence, answer.image_id))
    page = [answer_view(results.dataset_id, answer) for answer in found[offset : offset + limit]]
    return AnswerPage(total=len(found), offset=offset, limit=limit, images=page)


def _check_class(name: str, class_names: Sequence[str]) -> None:
    if name not in class_names:
        known = list(class_names)
        raise InputError(
            f"The job knows no class '{clean_name(name)}'.{nearest(name, known)} It has: {', '.join(known)}."
        )


def _enqueue(recipe: Recipe, services: Services, auditor: Auditor) -> Job:
    dataset = services.versions.describe(recipe.dataset_id, recipe.dataset_version)
    recipe = recipe.model_copy(update={"dataset_version": dataset.version})  # what is queued means one version
    require_stored(services.settings.datasets_dir, recipe.dataset_id, folders=services.folders, images=False)
    services.verbs.check_recipe(recipe, dataset, settings=services.settings)
    if services.verbs.names_of_timm(recipe):  # timm itself knows its networks, and lives in the other process
        services.pool.call(services.verbs.check_timm_networks, recipe)
    payload = recipe.model_dump(mode="json")
    job = services.queue.enqueue(services.verbs.train_kind, payload, dataset_id=recipe.dataset_id)
    auditor.note("trained", job.job_id, dataset_id=recipe.dataset_id, detail=f"version {dataset.version}")
    return job
