"""The scores on a model card: how good it is, class by class, and what it mistakes for what. Knows no training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from backend.contracts import ClassScore, ConfusionMatrix, LabelConfusion, ModelInfo, Results, TestScores
from backend.inference.exporters import card_words as words
from backend.inference.exporters.card_page import bullets, matrix_drawing, paragraph, section, table
from backend.inference.exporters.request import Subject

MOST_DRAWN = 40  # classes of a matrix that is drawn; beyond, cells are too small to read and the list below says more

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What is known of the test, from the results or from the model's own metadata."""

    test: TestScores | None
    per_class: tuple[ClassScore, ...]
    confusion: ConfusionMatrix | None
    labels: tuple[LabelConfusion, ...]


def how_good(subject: Subject, scores: Scores) -> str:
    test, info = scores.test, subject.info
    f1_bounds = words.macro_f1_interval(subject.folder)
    several = info.task == "multilabel"
    rows = [
        (
            "All labels right" if several else "Accuracy",
            words.percent(info.accuracy),
            words.interval(test.accuracy_ci95) if test else "",
        ),
        ("Macro F1", words.percent(info.macro_f1), words.interval(f1_bounds)),
    ]
    if test is not None:
        named = [
            ("Micro F1", test.micro_f1, True),
            ("Mean average precision", test.mean_average_precision, True),
            ("Wrong labels (Hamming loss)", test.hamming_loss, True),
            ("Log-loss, in nats", test.log_loss, False),
            ("Calibration error", test.expected_calibration_error, True),
        ]
        rows += [
            (name, words.percent(value) if share else f"{value:.3f}", "")
            for name, value, share in named
            if value is not None
        ]
    said = "On test pictures. Intervals: Wilson for accuracy, bootstrap for macro F1."
    return section("How good it is", table(("Measure", "Value", "95% interval"), rows, caption=said))


def class_by_class(scores: Scores) -> str:
    if not scores.per_class:
        return ""
    several = any(score.threshold is not None for score in scores.per_class)
    extra = ("Present from", "Average precision") if several else ()
    columns = ("Class", "Test pictures", "Found (recall)", "95% interval", "Right when said (precision)", "F1", *extra)
    weakest_first = sorted(scores.per_class, key=lambda score: (score.f1, score.label))
    weak = words.weak_classes(scores.per_class, scores.confusion)
    said = "Known weak classes:" if weak else "No class stands out as weak on these test pictures."
    return section(
        "Class by class",
        f'<div class="warn">{paragraph(said)}{bullets(weak)}</div>' if weak else paragraph(said),
        paragraph(words.hardly_judged(scores.per_class), kind="soft"),
        table(columns, [_class_row(score, several=several) for score in weakest_first], caption="The weakest first."),
    )


def _class_row(score: ClassScore, *, several: bool) -> tuple[object, ...]:
    row: tuple[object, ...] = (
        score.label,
        score.support,
        words.percent(score.recall),
        words.interval(words.recall_interval(score)),
        words.percent(score.precision),
        words.percent(score.f1),
    )
    if not several:
        return row
    limit = "" if score.threshold is None else f"{score.threshold:.2f}"
    precision = "" if score.average_precision is None else words.percent(score.average_precision)
    return (*row, limit, precision)


def mistakes_of(scores: Scores) -> str:
    if scores.labels:
        rows = [
            (one.label, one.matrix[1][1], one.matrix[1][0], one.matrix[0][1], one.matrix[0][0]) for one in scores.labels
        ]
        columns = ("Label", "Found", "Missed", "False alarms", "Rightly not said")
        return section("What it mistakes", table(columns, rows, caption="Test pictures, by label."))
    confusion = scores.confusion
    if confusion is None:
        return ""
    mistakes = words.frequent_mistakes(confusion)
    said = "Rows: the truth. Columns: the answer. Darker: a larger share of the row."
    drawn = matrix_drawing(
        confusion.labels,
        confusion.matrix,
        described=f"Confusion matrix of {len(confusion.labels)} classes on test pictures; the table lists mistakes.",
    )
    return section(
        "What it mistakes for what",
        f'<div class="wide" tabindex="0">{drawn}</div>{paragraph(said, kind="soft")}'
        if len(confusion.labels) <= MOST_DRAWN
        else "",
        table(("Truth", "Answer", "Test pictures"), mistakes, caption="The most frequent mistakes.")
        if mistakes
        else paragraph("It made no mistake on the test pictures."),
    )


def scores_of(info: ModelInfo, results: Results | None) -> Scores:
    if results is not None:
        return Scores(
            test=results.test,
            per_class=results.per_class,
            confusion=results.confusion_matrix,
            labels=results.label_confusion,
        )
    kept = info.metrics
    return Scores(
        test=_read(TestScores, kept.get("test")),
        per_class=tuple(_rows(ClassScore, kept.get("per_class"))),
        confusion=_read(ConfusionMatrix, kept.get("confusion_matrix")),
        labels=tuple(_rows(LabelConfusion, kept.get("label_confusion"))),
    )


def _rows(kind: type[R], values: Any) -> Iterator[R]:
    for value in values if isinstance(values, list | tuple) else ():
        found = _read(kind, value)
        if found is not None:
            yield found


def _read(kind: type[R], value: Any) -> R | None:
    """A record of the model's metadata; None where an older Sightglass wrote none, or another one."""
    try:
        return None if value is None else kind.model_validate(value)
    except ValidationError:
        return None
