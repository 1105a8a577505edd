"""Records and top-level functions that the service's tests hand in where the product hands in training and inference.

Top-level and in a module of its own, so that a spawned process can import them by name.
"""

import base64
import os
import signal
import time
from datetime import UTC, datetime

from backend.contracts import (
    BestModel,
    Calibration,
    CandidateProgress,
    ClassImbalance,
    ClassScore,
    ConfusionMatrix,
    DatasetInfo,
    EnsembleMember,
    Job,
    LeaderboardRow,
    LearningCurvePoint,
    ModelInfo,
    Preprocessing,
    Progress,
    Results,
    SplitSizes,
    SuspectLabel,
    TestScores,
)
from backend.errors import RecipeError

PREPROCESSING = Preprocessing(height=8, width=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), reason="as squares")


def dataset_info(dataset_id="ds-1", **changes):
    fields = {
        "dataset_id": dataset_id,
        "name": "shapes",
        "total_images": 4,
        "num_classes": 2,
        "class_counts": {"circle": 2, "square": 2},
        "digest": "d" * 64,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return DatasetInfo(**{**fields, **changes})


def model_info(model_id="md-1", **changes):
    fields = {
        "model_id": model_id,
        "dataset_id": "ds-1",
        "job_id": "job-1",
        "name": "resnet18",
        "timm_name": "resnet18",
        "strategy": "probe",
        "weights": "imagenet",
        "class_names": ("circle", "square"),
        "preprocessing": PREPROCESSING,
        "accuracy": 0.9,
        "macro_f1": 0.89,
        "metrics": {},
        "dataset_digest": "d" * 64,
        "parameters": 11,
        "size_mb": 1.0,
        "versions": {"torch": "2.0"},
        "created_at": "2026-01-01T00:00:00Z",
    }
    return ModelInfo(**{**fields, **changes})


def results_record(job_id="job-1", **changes):
    best = BestModel(
        name="resnet18",
        timm_name="resnet18",
        strategy="probe",
        weights="imagenet",
        weights_source="bundled",
        accuracy=0.9,
        macro_f1=0.89,
        val_accuracy=0.91,
        input_size=224,
    )
    fields = {
        "job_id": job_id,
        "dataset_id": "ds-1",
        "model_id": "md-1",
        "best_model": best,
        "leaderboard": (LeaderboardRow(rank=1, name="resnet18", strategy="probe", status="ok", accuracy=0.9),),
        "test": TestScores(
            accuracy=0.9, accuracy_ci95=(0.5, 1.0), macro_f1=0.89, log_loss=0.3, expected_calibration_error=0.1
        ),
        "confusion_matrix": ConfusionMatrix(labels=("circle", "square"), matrix=((1, 0), (0, 1))),
        "per_class": (ClassScore(label="circle", precision=1.0, recall=1.0, f1=1.0, support=1),),
        "history": {"resnet18": ()},
        "split": SplitSizes(train=2, val=1, test=1, seed=42, strategy="stratified"),
        "preprocessing": PREPROCESSING,
        "class_names": ("circle", "square"),
        "recipe": {"dataset_id": "ds-1"},
        "environment": {"device": "cpu"},
        "total_seconds": 1.5,
    }
    return Results(**{**fields, **changes})


def findings():
    """What a search may say beyond the scores, as changes of a results record."""
    members = (
        EnsembleMember(name="resnet18", timm_name="resnet18", weight=0.6),
        EnsembleMember(name="vit_tiny", timm_name="vit_tiny_patch16_224", weight=0.4),
    )
    row = LeaderboardRow(
        rank=1,
        name="resnet18",
        strategy="probe",
        status="ok",
        reason="Ended early: three others were clearly better.",
        tried="a linear head on features of 3 depths",
        train_images=60,
        tie=True,
        accuracy=0.9,
    )
    point = LearningCurvePoint(train_images=30, accuracy=0.8, accuracy_ci95=(0.7, 0.88), macro_f1=0.79)
    calibration = Calibration(
        temperature=1.5, images=60, log_loss_before=0.5, log_loss_after=0.4, ece_before=0.1, ece_after=0.02
    )
    suspect = SuspectLabel(image_id="img-1", label="circle", suggested="square", confidence=0.97)
    return {
        "best_model": results_record().best_model.model_copy(update={"strategy": "ensemble", "members": members}),
        "leaderboard": (row,),
        "suspect_labels": (suspect,),
        "learning_curve": (point,),
        "learning_curve_advice": "More pictures would probably help.",
        "calibration": calibration,
        "imbalance": ClassImbalance(ratio=7.0, balanced=True, ranked_by="macro_f1", automatic=True),
    }


def queue_nothing(queue, *, dataset_id, version):
    """Most tests of the service look at the only job there is: their own."""
    return Job(job_id="job-none", kind="check_quality", dataset_id=dataset_id, payload={"dataset_version": version})


def do_nothing():
    """A warm-up with nothing to warm."""


def refuse_to_warm():
    raise ImportError("no such room")


# -- handlers: (job, *, control, settings)


def run_publish(job, *, control, settings):
    """Two candidates, a little progress, published results: what a training job looks like from outside."""
    from backend.storage.catalog import Catalog
    from backend.storage.database import Database

    for index, name in enumerate(("resnet18", "vit_tiny")):
        control.check()
        row = CandidateProgress(name=name, state="succeeded", stage="done", epoch=1, epochs=1, score=0.9)
        control.report(Progress(stage="training", message=f"{name} done", progress=(index + 1) / 2, candidate=row))
        time.sleep(job.payload.get("pause_s", 0.0))
    model = model_info(f"md-{job.job_id}", dataset_id=job.dataset_id, job_id=job.job_id)
    outcome = results_record(job.job_id, dataset_id=job.dataset_id, model_id=model.model_id)
    database = Database(settings.resolved_database_url)
    Catalog(database).publish(outcome, model)
    database.close()


def run_process_id(job, *, control, settings):
    control.report(Progress(stage="where", message=str(os.getpid()), progress=0.5))


def run_request_id(job, *, control, settings):
    """Say on a thread of its own which request this is done for."""
    from concurrent.futures import ThreadPoolExecutor

    from backend.execution.trace import fields

    with ThreadPoolExecutor(1) as threads:
        seen = threads.submit(lambda: dict(fields())).result()
    control.report(Progress(stage="request", message=f"{seen['job_id']} {seen['request_id']}"))


def run_niceness(job, *, control, settings):
    control.report(Progress(stage="nice", message=str(os.nice(0))))


def run_recipe_error(job, *, control, settings):
    raise RecipeError("There is no network 'resnt18'. Did you mean 'resnet18'?")


def run_bug(job, *, control, settings):
    raise ZeroDivisionError("a bug")


def run_until_cancelled(job, *, control, settings):
    control.report(Progress(stage="waiting", message="started", candidate=CandidateProgress(name="a", state="running")))
    while True:
        control.check()
        time.sleep(0.01)


def run_deaf(job, *, control, settings):
    """Never looks at the control and does not listen to TERM either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control.report(Progress(stage="deaf", message="started"))
    time.sleep(60)


def run_busy(job, *, control, settings):
    """Never looks at the control, as a handler inside a long call of a library; TERM ends it."""
    control.report(Progress(stage="busy", message="started"))
    time.sleep(60)


def run_beating(job, *, control, settings):
    """Takes long and looks at its control all the while."""
    end = time.monotonic() + job.payload["seconds"]
    while time.monotonic() < end:
        control.check()
        time.sleep(0.05)


def run_frozen(job, *, control, settings):
    """Stands still as a whole: not even its threads run."""
    control.report(Progress(stage="frozen", message="started"))
    os.kill(os.getpid(), signal.SIGSTOP)


def run_with_budget(job, *, control, settings):
    from backend.contracts import Deadline

    control.report(Progress(stage="free", message="no budget"))
    control.deadline = Deadline(job.payload["seconds"])
    control.report(Progress(stage="bound", message="a budget"))


def run_dies(job, *, control, settings):
    os.kill(os.getpid(), signal.SIGKILL)


def run_exits(job, *, control, settings):
    os._exit(3)


# -- functions for the inference pool


def add(left, *, right):
    return left + right


def own_process_id():
    return os.getpid()


def request_of_this_call():
    from backend.execution.trace import request_id

    return request_id()


def fail_with_recipe_error():
    raise RecipeError("no")


def die_once(marker):
    """Kill the process on the first call, answer on the second."""
    if not os.path.exists(marker):  # noqa: PTH110 - a plain string crosses the process boundary
        with open(marker, "w"):  # noqa: PTH123
            pass
        os._exit(1)
    return "alive"


def die_always():
    os._exit(1)


def sleep_long():
    time.sleep(60)


def wait_for_file(path):
    from pathlib import Path

    while not Path(path).exists():
        time.sleep(0.01)
    return "open"


# -- verbs, as backend.workflows has them


class ExportedFile:
    def __init__(self, path, filename, media_type):
        self.path, self.filename, self.media_type = path, filename, media_type


def answer_of(ask, max_pixels):
    """What the predicting process answers to an `Ask`."""
    from pathlib import Path

    from backend.contracts import LabelConfidence, ModelRef, Prediction
    from backend.contracts.serving import Answer
    from backend.data.images import open_image

    open_image(ask.image, max_pixels=max_pixels)
    if ask.top_k is None:
        return Answer(b'{"pred_class":"square","probs":{"circle":0.25,"square":0.75}}', ("square",), 0.75, False)
    labels = [LabelConfidence(label="circle", confidence=0.7), LabelConfidence(label="square", confidence=0.3)]
    prediction = Prediction(
        predictions=tuple(labels[: ask.top_k]),
        model=ModelRef(model_id=Path(ask.model_folder).name, name="resnet18", accuracy=0.9),
        unfamiliar=False,
        unfamiliarity=0.1,
        latency_ms=1.0,
    )
    return Answer(prediction.model_dump_json(exclude_none=True).encode(), ("circle",), 0.7, False)


def explain_image(settings, model_folder, image, *, class_name=None):
    from backend.data.images import open_image

    open_image(image, max_pixels=settings.max_image_pixels)
    if class_name not in (None, "circle", "square"):
        raise RecipeError(f"The model has no class '{class_name}'.")
    return explanation(class_name or "circle")


def explanation(label, *, verdict="evidence"):
    from backend.contracts import Explanation, HeatmapEvidence

    test = HeatmapEvidence(label=label, score=0.5, random=0.125, verdict=verdict)
    return Explanation(label=label, heatmap_png=base64.b64encode(b"\x89PNG fake").decode(), heatmap=test)


def export_model(settings, model, *, format, results=None):  # noqa: A002
    from backend.errors import InputError

    if format != "pth":
        raise InputError(f"There is no format '{format}'. Allowed: pth.")
    path = settings.models_dir / f"{model.model_id}.pth"
    path.write_bytes(b"weights")
    return ExportedFile(path, f"{model.name}.pth", "application/octet-stream")


def names_of_timm(recipe):
    return [name for name in recipe.models or () if name.startswith("timm:")]


def check_timm_networks(recipe):
    for name in names_of_timm(recipe):
        if name != "timm:resnet10t":
            raise RecipeError(f"timm has no network '{name}'.")


def describe_machine():
    return {"device": "cpu"}


# -- targets for the supervisor


def note_and_sleep(folder):
    _note(folder)
    time.sleep(60)


def note_and_die(folder):
    _note(folder)
    os._exit(5)


def note_and_ignore_term(folder):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _note(folder)
    time.sleep(60)


def _note(folder):
    with open(f"{folder}/{os.getpid()}", "w"):  # noqa: PTH123
        pass
