"""From which probability on a label is present: the model's own thresholds, others by name, or by what mistakes cost.

A saved model never changes: whoever asks with other thresholds gets other decisions from the same probabilities. What
they would have come to is read from the answers to the test images, which lie in the bundle. It loads no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.contracts import ModelInfo, TestPredictions
from backend.contracts.thresholds import LabelAtThreshold, ThresholdReport
from backend.data.names import clean_name, shown
from backend.engine.label_metrics import average_precisions, label_counts, macro_f1
from backend.engine.thresholds import decide, threshold_of_costs
from backend.errors import InputError
from backend.registry import nearest
from backend.storage.answers import read_answers

MOST_POINTS = 100

Floats = npt.NDArray[np.floating]


class ThresholdChoice:
    """What a request asks for: nothing, costs of a miss and of a false alarm, thresholds of single labels, or both."""

    def __init__(
        self, miss_cost: float | None = None, false_alarm_cost: float | None = None, named: Iterable[str] = ()
    ) -> None:
        """`named` are `label=0.3`; they count before costs.

        Raises:
            InputError: a cost is no positive number, or one of the two is missing; a threshold cannot be read.
        """
        self.named = dict(_threshold(one) for one in named)
        if (miss_cost is None) != (false_alarm_cost is None):
            raise InputError("Give both miss_cost and false_alarm_cost: only their ratio says where to draw the line.")
        for name, cost in (("miss_cost", miss_cost), ("false_alarm_cost", false_alarm_cost)):
            if cost is not None and not (math.isfinite(cost) and cost > 0):
                raise InputError(f"{name} is {cost}; it must be a positive number, such as 10 for ten times as bad.")
        self.miss_cost, self.false_alarm_cost = miss_cost, false_alarm_cost

    def __bool__(self) -> bool:
        return bool(self.named) or self.miss_cost is not None

    def query(self) -> dict[str, float | list[str]]:
        """The same as a request's parameters."""
        costs = {"miss_cost": self.miss_cost, "false_alarm_cost": self.false_alarm_cost}
        named = {"threshold": [f"{label}={value}" for label, value in self.named.items()]} if self.named else {}
        return {name: cost for name, cost in costs.items() if cost is not None} | named

    def of(self, model: ModelInfo) -> dict[str, float]:
        """The thresholds of a model's labels.

        Raises:
            InputError: the model gives one class for each image, or knows no such label.
        """
        if model.thresholds is None:
            raise InputError(
                f"'{model.name}' ({model.model_id}) names one class for each image: the likeliest. Thresholds are for "
                "models of several labels."
            )
        for label in self.named:
            if label not in model.class_names:
                known = list(model.class_names)
                raise InputError(
                    f"The model knows no label '{shown(clean_name(label))}'.{nearest(label, known)} It knows: "
                    f"{', '.join(known[:20])}."
                )
        chosen = dict(zip(model.class_names, model.thresholds, strict=True))
        if self.miss_cost is not None and self.false_alarm_cost is not None:
            chosen = dict.fromkeys(chosen, threshold_of_costs(self.miss_cost, self.false_alarm_cost))
        return chosen | self.named


def decided(answer: bytes, thresholds: Mapping[str, float]) -> bytes:
    """A prediction as JSON: the same probabilities with the decisions of other thresholds."""
    content = json.loads(answer)
    for one in content["predictions"]:
        one["present"] = one["confidence"] >= thresholds[one["label"]]
    return json.dumps(content, ensure_ascii=False).encode()


def report(model: ModelInfo, folder: Path, choice: ThresholdChoice) -> ThresholdReport:
    """What the model's answers to its test images come to at the chosen thresholds.

    Raises:
        InputError: as `ThresholdChoice.of`; the answers are damaged.
        NotFoundError: the model's answers are gone.
    """
    thresholds = choice.of(model)
    probabilities, targets = _answers(read_answers(folder))
    order = [thresholds[name] for name in model.class_names]
    present = decide(probabilities, order)
    counts, precisions = label_counts(present, targets), average_precisions(probabilities, targets)
    labels = tuple(
        _label(name, order[place], counts[place]).model_copy(
            update={
                "average_precision": None if np.isnan(precisions[place]) else float(precisions[place]),
                "curve": _curve(probabilities[:, place], targets[:, place] > 0),
            }
        )
        for place, name in enumerate(model.class_names)
    )
    own = label_counts(decide(probabilities, model.thresholds or ()), targets)
    return ThresholdReport(
        model_id=model.model_id,
        chosen_by="costs" if choice.miss_cost is not None else "request" if choice.named else "model",
        miss_cost=choice.miss_cost,
        false_alarm_cost=choice.false_alarm_cost,
        cost=_cost(counts, choice),
        cost_of_model=_cost(own, choice),
        test_images=len(targets),
        accuracy=float((present == (targets > 0)).all(axis=1).mean()),
        macro_f1=macro_f1(probabilities, targets, present),
        labels=labels,
    )


def _answers(answers: TestPredictions) -> tuple[Floats, Floats]:
    """Probabilities and truth [N, C] of the test images."""
    place = {name: column for column, name in enumerate(answers.class_names)}
    probabilities = np.array([image.confidences or () for image in answers.images], dtype=np.float64)
    targets = np.zeros(probabilities.shape)
    for row, image in enumerate(answers.images):
        for label in image.labels or ():
            if label in place:
                targets[row, place[label]] = 1.0
    return probabilities, targets


def _label(name: str, threshold: float, counts: npt.NDArray[np.int64]) -> LabelAtThreshold:
    _, alarms, misses, finds = (int(count) for count in counts)
    return LabelAtThreshold(
        label=name,
        threshold=round(float(threshold), 6),
        precision=finds / (finds + alarms) if finds + alarms else 0.0,
        recall=finds / (finds + misses) if finds + misses else 0.0,
        f1=2 * finds / (2 * finds + alarms + misses) if finds + alarms + misses else 0.0,
        support=finds + misses,
        found=finds,
        missed=misses,
        false_alarms=alarms,
    )


def _curve(probabilities: Floats, present: npt.NDArray[np.bool_]) -> tuple[tuple[float, float, float], ...]:
    """Threshold, precision and recall where either changes, thinned out to `MOST_POINTS`."""
    steps = np.unique(probabilities)
    if len(steps) > MOST_POINTS:
        steps = steps[np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(int)]
    points = []
    for step in steps:
        said = probabilities >= step
        found = int((said & present).sum())
        points.append((round(float(step), 6), found / int(said.sum()), found / max(1, int(present.sum()))))
    return tuple(points)


def _cost(counts: npt.NDArray[np.int64], choice: ThresholdChoice) -> float | None:
    if choice.miss_cost is None or choice.false_alarm_cost is None:
        return None
    return float(choice.miss_cost * counts[:, 2].sum() + choice.false_alarm_cost * counts[:, 1].sum())


def _threshold(text: str) -> tuple[str, float]:
    label, equals, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not equals or not label or not 0 <= number <= 1:
        raise InputError(
            f"'{shown(clean_name(text))}' is no threshold. Write label=probability with a number from 0 to 1, such as "
            "crack=0.3."
        )
    return label, number
