"""The report: the one reading of the test labels, and the record that API, UI and CLI show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import (
    BestModel,
    FeatureUse,
    LeaderboardRow,
    Leak,
    ModelInfo,
    Results,
    SplitSizes,
    TestPrediction,
    TestPredictions,
)
from backend.data.augmentation_catalogue import as_applied
from backend.engine.environment import environment
from backend.engine.metrics import Evaluation, evaluate
from backend.engine.models import CBAM_SUFFIX
from backend.engine.thresholds import decide
from backend.search.candidates import DEFECTS_CHOICE, DEFECTS_FALLBACK
from backend.search.experiment import experiment_of
from backend.search.leaderboard import SCORE_NAMES, rows, thresholds_of
from backend.search.leak import measure_leak
from backend.search.look_in import LookIn
from backend.search.study import Study
from backend.search.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from backend.data.targets import Targets
    from backend.search.study import Ints


INSTEAD = (
    f"The ImageNet weights of {DEFECTS_CHOICE}, the network for defects, are not to be had here: {DEFECTS_FALLBACK}, "
    "whose weights come with the installation, took its place. Put convnext_tiny.safetensors into "
    "SIGHTGLASS_WEIGHTS_DIR, or let the machine reach the Hugging Face hub."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReading:
    """What the test images said: all rows, and the winner in detail.

    `thresholds` [C] are the winner's, where an image may have several labels; they were tuned on held-out answers.
    """

    __test__ = False

    ranked: tuple[Trial, ...]
    winner: Trial
    leaderboard: tuple[LeaderboardRow, ...]
    evaluation: Evaluation
    places: Ints
    thresholds: tuple[float, ...] | None = None
    leak: Leak | None = None


def read_test(study: Study, ranked: Sequence[Trial], winner: Trial, *, places: Ints) -> TestReading:
    """Score the ranked trials on the test images. Called once a run, when the ranking can no longer change.

    `places` are those of the images that ranked them.
    """
    test_targets = study.targets[study.test]
    if winner.test_probabilities is None:
        raise ValueError("a winner has test probabilities")

    def targets_of(trial: Trial) -> Targets:
        return study.targets[study.ranking if trial.places is None else trial.places]

    thresholds = None if winner.held_out is None else thresholds_of(winner.held_out, targets_of(winner))
    leaderboard = rows(ranked, held_out_targets=study.targets[places], test_targets=test_targets, targets_of=targets_of)
    return TestReading(
        ranked=tuple(ranked),
        winner=winner,
        leaderboard=tuple(leaderboard),
        evaluation=evaluate(winner.test_probabilities, test_targets, study.dataset.class_names, thresholds=thresholds),
        places=places,
        thresholds=thresholds,
        leak=measure_leak(study, ranked, winner),
    )


def winning_row(reading: TestReading) -> LeaderboardRow:
    """The winner's own row of the leaderboard."""
    return reading.leaderboard[reading.ranked.index(reading.winner)]


def answers(study: Study, winner: Trial, *, thresholds: tuple[float, ...] | None = None) -> TestPredictions:
    """The winner's answer to each test image: what the counts of the confusion matrix are made of."""
    if winner.test_probabilities is None:
        raise ValueError("a winner has test probabilities")
    if thresholds is not None:
        return _label_answers(study, winner.test_probabilities, thresholds)
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


def _label_answers(
    study: Study, probabilities: npt.NDArray[np.floating], thresholds: tuple[float, ...]
) -> TestPredictions:
    names, items = study.dataset.class_names, study.dataset.items
    present = decide(probabilities, thresholds)
    images = []
    for place, row, there in zip(study.test, probabilities, present, strict=True):
        said = tuple(name for name, one in zip(names, there, strict=True) if one)
        images.append(
            TestPrediction(
                image_id=items[place].image_id,
                label=in_one_line(items[place].labels),
                predicted=in_one_line(said),
                confidence=round(float(np.where(there, row, 1.0 - row).min()), 6),
                labels=items[place].labels,
                predicted_labels=said,
                confidences=tuple(round(float(value), 6) for value in row),
            )
        )
    return TestPredictions(class_names=names, images=tuple(images), task="multilabel", thresholds=thresholds)


def in_one_line(labels: Sequence[str]) -> str:
    """All labels of an image as one name, the same whatever their order; "" where there is none."""
    return ", ".join(sorted(labels))


def build_results(
    study: Study, reading: TestReading, *, model: ModelInfo, look: LookIn, notes: Sequence[str] = ()
) -> Results:
    """Put everything that a person may ask about the run into one record; its time is for the caller to set."""
    evaluation = reading.evaluation
    return Results(
        job_id=model.job_id or model.model_id,
        dataset_id=model.dataset_id,
        dataset_version=model.dataset_version,
        task=model.task,
        model_id=model.model_id,
        best_model=_best_model(reading, model),
        leaderboard=reading.leaderboard,
        test=evaluation.test,
        confusion_matrix=evaluation.confusion_matrix,
        label_confusion=evaluation.label_confusion,
        per_class=evaluation.per_class,
        history={trial.candidate.name: trial.history for trial in reading.ranked if trial.history},
        split=_split_sizes(study),
        preprocessing=model.preprocessing,
        class_names=study.dataset.class_names,
        recipe=as_applied(study.recipe).model_dump(mode="json"),
        environment=environment(study.settings) | _machines(study, reading),
        notes=(*_notes(study, reading), *look.notes, *notes),
        suspect_labels=look.suspects,
        learning_curve=look.curve,
        learning_curve_advice=look.advice,
        calibration=look.calibration,
        imbalance=look.imbalance,
        leak=reading.leak,
        experiment=experiment_of(study, reading.winner, winning_row(reading)),
        features=_feature_use(reading.ranked),
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
        mean_average_precision=row.mean_average_precision,
    )


def _feature_use(ranked: Sequence[Trial]) -> FeatureUse | None:
    """What all probes together found there, those that were stopped early too."""
    uses = [trial.feature_use for trial in ranked if trial.feature_use is not None]
    if not uses:
        return None
    return FeatureUse(
        images=sum(use.images for use in uses), at_hand=sum(use.at_hand for use in uses), networks=len(uses)
    )


def _machines(study: Study, reading: TestReading) -> dict[str, object]:
    """Who computed, and which machine of a pool tried which network."""
    nodes = {trial.candidate.name: trial.ran_on for trial in reading.ranked if trial.ran_on is not None}
    return {"executor": study.settings.executor} | ({"nodes": nodes} if nodes else {})


def _split_sizes(study: Study) -> SplitSizes:
    split = study.split
    counts = None
    if study.task == "multilabel":
        parts = [study.targets[part].sum(axis=0) for part in (study.train, study.val, study.test)]
        counts = {
            name: (int(parts[0][place]), int(parts[1][place]), int(parts[2][place]))
            for place, name in enumerate(study.dataset.class_names)
        }
    return SplitSizes(
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        seed=split.seed,
        strategy=split.strategy,
        grouped_by=split.grouped_by,
        label_counts=counts,
    )


def _notes(study: Study, reading: TestReading) -> list[str]:
    metric = SCORE_NAMES[study.ranked_by]
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
    if (
        study.recipe.preset == "defects"
        and not study.recipe.models
        and {DEFECTS_FALLBACK, f"{DEFECTS_FALLBACK}{CBAM_SUFFIX}"} & ran
    ):
        notes.append(INSTEAD)
    scratch = [row.name for row in reading.leaderboard if row.weights == "scratch" and row.status != "failed"]
    if scratch:
        notes.append(
            f"Trained from scratch, without ImageNet weights, because none could be found: {', '.join(scratch)}. "
            "Expect far less from them than from a pretrained network; put weights files into SIGHTGLASS_WEIGHTS_DIR."
        )
    if reading.leaderboard[0].strategy == "baseline":
        said = (
            "gives every label its share"
            if study.task == "multilabel"
            else "always answers with the most frequent class"
        )
        notes.append(f"No network beat the baseline that {said}.")
    if len(study.test) < 30:  # below it a 95% interval is wider than 30 points
        notes.append(f"Only {len(study.test)} test images: the scores are rough. More pictures make them sharper.")
    return notes
