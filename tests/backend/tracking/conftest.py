from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contracts import (
    BestModel,
    ClassScore,
    ConfusionMatrix,
    EpochRecord,
    LeaderboardRow,
    Preprocessing,
    Results,
    SplitSizes,
    TestScores,
)
from backend.tracking import mlflow_tracker

PREPROCESSING = Preprocessing(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
HISTORY = tuple(
    EpochRecord(epoch=epoch, train_loss=1.0 / epoch, val_loss=1.5 / epoch, val_accuracy=0.5 + epoch / 10)
    for epoch in (1, 2, 3)
)


def make_row(name: str = "resnet18", **changes: object) -> LeaderboardRow:
    fields = {"name": name, "timm_name": f"{name}.tv", "strategy": "finetune", "status": "ok", "val_accuracy": 0.8}
    return LeaderboardRow.model_validate({**fields, **changes})


def make_results(**changes: object) -> Results:
    best = BestModel(
        name="resnet18",
        timm_name="resnet18.tv",
        strategy="finetune",
        weights="scratch",
        weights_source=None,
        accuracy=0.75,
        macro_f1=0.7,
        val_accuracy=0.8,
        input_size=32,
    )
    fields: dict[str, object] = {
        "job_id": "job-1",
        "dataset_id": "ds-1",
        "model_id": "model-1",
        "best_model": best,
        "leaderboard": (make_row(rank=1, accuracy=0.75, macro_f1=0.7),),
        "test": TestScores(
            accuracy=0.75, accuracy_ci95=(0.3, 0.95), macro_f1=0.7, log_loss=0.6, expected_calibration_error=0.1
        ),
        "confusion_matrix": ConfusionMatrix(labels=("cat $5", "dog $6"), matrix=((3, 1), (0, 4))),
        "per_class": (ClassScore(label="cat $5", precision=1.0, recall=0.75, f1=0.86, support=4),),
        "history": {"resnet18": HISTORY},
        "split": SplitSizes(train=10, val=4, test=8, seed=1, strategy="stratified"),
        "preprocessing": PREPROCESSING,
        "class_names": ("cat $5", "dog $6"),
        "recipe": {},
        "environment": {},
        "leak": {
            "images": 6,
            "groups": 3,
            "by_chance": {"test_images": 8, "leaked": 2, "accuracy": 0.875, "accuracy_without": 0.75},
        },
        "total_seconds": 1.0,
    }
    return Results.model_validate({**fields, **changes})


@pytest.fixture(scope="session", autouse=True)
def _patience():
    """What the product gives a store has no part in what these tests show: a busy machine needs more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_tracker, "FINISH_TIMEOUT_S", 240.0)
        patch.setattr(mlflow_tracker, "ABORT_TIMEOUT_S", 240.0)
        yield


@pytest.fixture(scope="session")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="session")
def row() -> Callable[..., LeaderboardRow]:
    return make_row


@pytest.fixture(scope="session")
def history() -> tuple[EpochRecord, ...]:
    return HISTORY


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all tests: a new SQLite store takes MLflow seconds."""
    return tmp_path_factory.mktemp("mlflow")
