"""The report: the one reading of the test labels, and the record that API, UI and CLI show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.contracts import (
    BestModel,
    LeaderboardRow,
    Leak,
    ModelInfo,
    Results,
    SplitSizes,
    TestPrediction,
    TestPredictions,
)
from backend.engine.environment import environment
from backend.engine.metrics import Evaluation, evaluate
from backend.search.candidates import DEFECTS_CHOICE, DEFECTS_FALLBACK
from backend.search.leaderboard import rows
from backend.search.leak import measure_leak
from backend.search.look_in import LookIn
from backend.search.study import Study
from backend.search.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.search.study import Ints


INSTEAD = (
    f"The ImageNet weights of {DEFECTS_CHOICE}, the network for defects, are not to be had here: {DEFECTS_FALLBACK}, "
    "whose weights come with the installation, took its place. Put convnext_tiny.safetensors into "
    "SIGHTGLASS_WEIGHTS_DIR, or let the machine reach the Hugging Face hub."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReading:
    """What the test images said: all rows, and the winner in detail."""

    __test__ = False

    ranked: tuple[Trial, ...]
    winner: Trial
    leaderboard: tuple[LeaderboardRow, ...]
    evaluation: Evaluation
    places: Ints
    leak: Leak | None = None


def read_test(study: Study, ranked: Sequence[Trial], winner: Trial, *, places: Ints) -> TestReading:
    """Score the ranked trials on the test images. Called once a run, when the ranking can no longer change.

    `places` are those of the images that ranked them.
    """
    test_targets = study.targets[study.test]
    if winner.test_probabilities is None:
        raise ValueError("a winner has test probabilities")

    def targets_of(trial: Trial) -> Ints:
        return study.targets[study.ranking if trial.places is None else trial.places]

    leaderboard = rows(ranked, held_out_targets=study.targets[places], test_targets=test_targets, targets_of=targets_of)
    return TestReading(
        ranked=tuple(ranked),
        winner=winner,
        leaderboard=tuple(leaderboard),
        evaluation=evaluate(winner.test_probabilities, test_targets, study.dataset.class_names),
        places=places,
        leak=measure_leak(study, ranked, winner),
    )


def winning_row(reading: TestReading) -> LeaderboardRow:
    """The winner's own row of the leaderboard."""
    return reading.leaderboard[reading.ranked.index(reading.winner)]


def answers(study: Study, winner: Trial) -> TestPredictions:
    """The winner's answer to each test image: what the counts of the confusion matrix are made of."""
    if winner.test_probabilities is None:
        raise ValueError("a winner has test probabilities")
    names, items = study.dataset.class_names, study.dataset.items
    images = []
    for place, probabilities in zip(study.test, winner.test_probabilities, strict=True):
        best = int(probabilities.argmax())
        images.append(
            TestPrediction(
                image_id=items[place].image_id,
                label=items[place].label,
                predicted=names[best],
                confidence=round(float(probabilities[best]), 6),
            )
        )
    return TestPredictions(class_names=names, images=tuple(images))


def build_results(
    study: Study, reading: TestReading, *, model: ModelInfo, look: LookIn, notes: Sequence[str] = ()
) -> Results:
    """Put everything that a person may ask about the run into one record; its time is for the caller to set."""
    evaluation = reading.evaluation
    return Results(
        job_id=model.job_id or model.model_id,
        dataset_id=model.dataset_id,
        dataset_version=model.dataset_version,
        model_id=model.model_id,
        best_model=_best_model(reading, model),
        leaderboard=reading.leaderboard,
        test=evaluation.test,
        confusion_matrix=evaluation.confusion_matrix,
        per_class=evaluation.per_class,
        history={trial.candidate.name: trial.history for trial in reading.ranked if trial.history},
        split=_split_sizes(study),
        preprocessing=model.preprocessing,
        class_names=study.dataset.class_names,
        recipe=study.recipe.model_dump(mode="json"),
        environment=environment(study.settings) | _machines(study, reading),
        notes=(*_notes(study, reading), *look.notes, *notes),
        suspect_labels=look.suspects,
        learning_curve=look.curve,
        learning_curve_advice=look.advice,
        calibration=look.calibration,
        imbalance=look.imbalance,
        leak=reading.leak,
        total_seconds=0.0,
    )


def _best_model(reading: TestReading, model: ModelInfo) -> BestModel:
    row = winning_row(reading)
    if row.val_accuracy is None:
        raise ValueError("a winner was ranked")
    return BestModel(
        name=model.name,
        timm_name=model.timm_name,
        strategy=model.strategy,
        weights=model.weights,
        weights_source=model.weights_source,
        accuracy=model.accuracy,
        macro_f1=model.macro_f1,
        val_accuracy=row.val_accuracy,
        input_size=model.preprocessing.height,
        predict_ms_per_image=row.predict_ms_per_image,
        members=model.members,
    )


def _machines(study: Study, reading: TestReading) -> dict[str, object]:
    """Who computed, and which machine of a pool tried which network."""
    nodes = {trial.candidate.name: trial.ran_on for trial in reading.ranked if trial.ran_on is not None}
    return {"executor": study.settings.executor} | ({"nodes": nodes} if nodes else {})


def _split_sizes(study: Study) -> SplitSizes:
    split = study.split
    return SplitSizes(
        train=len(split.train), val=len(split.val), test=len(split.test), seed=split.seed, strategy=split.strategy
    )


def _notes(study: Study, reading: TestReading) -> list[str]:
    metric = "macro-F1" if study.ranked_by == "macro_f1" else "accuracy"
    images = f"{len(reading.places):,}"
    where = (
        f"{images} validation images"
        if study.recipe.strategy == "finetune"
        else f"cross-validation over {images} training and validation images"
    )
    notes = [f"Networks were ranked by {metric}, in {where}; the test images were read once, after that."]
    if len(reading.places) < len(study.ranking):
        notes.append(
            f"The time budget allowed to learn from {images} of {len(study.ranking):,} images; a larger one makes "
            "the model better."
        )
    ran = {row.name for row in reading.leaderboard}
    if study.recipe.preset == "defects" and not study.recipe.models and DEFECTS_FALLBACK in ran:
        notes.append(INSTEAD)
    scratch = [row.name for row in reading.leaderboard if row.weights == "scratch" and row.status != "failed"]
    if scratch:
        notes.append(
            f"Trained from scratch, without ImageNet weights, because none could be found: {', '.join(scratch)}. "
            "Expect far less from them than from a pretrained network; put weights files into SIGHTGLASS_WEIGHTS_DIR."
        )
    if reading.leaderboard[0].strategy == "baseline":
        notes.append("No network beat the baseline that always answers with the most frequent class.")
    if len(study.test) < 30:  # below it a 95% interval is wider than 30 points
        notes.append(f"Only {len(study.test)} test images: the scores are rough. More pictures make them sharper.")
    return notes
