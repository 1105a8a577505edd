"""A change is said where there is one, and not where chance alone would look like it."""

import numpy as np
import pytest
from scipy.stats import chi2

from backend.contracts import PredictionCounts
from backend.inference import drift as module
from backend.inference.drift import (
    chance_index,
    confidence_drift,
    label_drift,
    stability_index,
    unfamiliar_share,
    worst,
)

THREE = (0.5, 0.3, 0.2)
SURE = (0, 0, 0, 0, 0.01, 0.02, 0.02, 0.05, 0.1, 0.8)


def counts(labels=None, confidence=None, *, judged=0, unfamiliar=0):
    labels = labels or {}
    bins = tuple(confidence) if confidence is not None else (0,) * 9 + (sum(labels.values()),)
    total = sum(bins)
    return PredictionCounts(predictions=total, labels=labels, confidence=bins, judged=judged, unfamiliar=unfamiliar)


def named(numbers):
    return {f"class {place}": int(number) for place, number in enumerate(numbers)}


def test_the_index_is_what_its_definition_says():
    """Large counts, where the half that is added to each bin is nothing."""
    expected = (0.7 - 0.5) * np.log(0.7 / 0.5) + (0.3 - 0.5) * np.log(0.3 / 0.5)
    assert stability_index([500_000, 500_000], [700_000, 300_000]) == pytest.approx(expected, rel=1e-4)
    assert stability_index([500, 500], [700, 300]) == pytest.approx(stability_index([700, 300], [500, 500]))
    assert stability_index([10, 20, 30], [10, 20, 30]) == 0.0


@pytest.mark.parametrize("bins", [2, 3, 5, 10, 50, 1000])
def test_chance_is_the_quantile_that_scipy_knows(bins):
    exact = (1 / 200 + 1 / 300) * chi2.ppf(0.99, bins - 1)
    assert chance_index(200, 300, bins=bins) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("noun", ["labels", "confidence"])
@pytest.mark.parametrize(("tested", "used"), [(60, 60), (200, 500), (1000, 100), (5000, 5000)])
def test_what_has_not_changed_is_rarely_called_changed(noun, tested, used):
    """300 draws of one and the same distribution: one in a hundred is what the rule allows, three what is accepted."""
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        shares = THREE if noun == "labels" else SURE
        before, after = random.multinomial(tested, shares), random.multinomial(used, shares)
        if noun == "labels":
            verdict = label_drift(counts(named(before)), counts(named(after))).verdict
        else:
            verdict = confidence_drift(counts(confidence=before), counts(confidence=after)).verdict
        alarms += verdict in ("shifting", "drifted")
    assert alarms <= 9


@pytest.mark.parametrize("used", [60, 300, 5000])
def test_a_large_change_is_found_in_few_predictions(used):
    random = np.random.default_rng(5)
    before = counts(named(random.multinomial(200, THREE)))
    measure = label_drift(before, counts(named(random.multinomial(used, (0.1, 0.1, 0.8)))))
    assert measure.verdict == "drifted"
    assert "'class 2'" in measure.words
    assert "instead of" in measure.words


def test_a_small_change_is_said_only_where_there_are_enough_to_tell():
    """PSI of 0.14 by the shares alone."""
    before = counts(named((500, 300, 200)))
    assert label_drift(before, counts(named((34, 26, 40)))).verdict == "shifting"
    few = label_drift(counts(named((15, 9, 6))), counts(named((11, 8, 12))))
    assert (few.verdict, few.chance > few.psi) == ("too_few", True)


def test_a_model_that_grew_unsure_is_noticed_where_it_was_always_sure():
    before = counts(confidence=(0,) * 9 + (200,))
    assert confidence_drift(before, counts(confidence=(0, 0, 0, 0, 0, 10, 20, 20, 30, 40))).verdict == "drifted"
    assert confidence_drift(before, counts(confidence=(0,) * 9 + (120,))).verdict == "steady"


def test_few_predictions_are_called_few():
    before = counts(named((100, 60, 40)))
    assert label_drift(before, counts()).words == "No prediction has been counted."
    assert (
        label_drift(before, counts({"class 0": 1})).words == "1 prediction is too few to say whether labels have moved."
    )
    assert (
        label_drift(before, counts({"class 2": 29})).words
        == "29 predictions are too few to say whether labels have moved."
    )


def test_a_label_that_the_test_images_never_had_counts_too():
    measure = label_drift(counts({"cat": 100, "dog": 100}), counts({"cat": 50, "fox": 50}))
    assert measure.verdict == "drifted"
    assert [(one.name, one.expected, one.seen) for one in measure.bins] == [
        ("cat", 0.5, 0.5),
        ("dog", 0.5, 0.0),
        ("fox", 0.0, 0.5),
    ]


def test_many_rare_labels_do_not_add_up_to_an_alarm():
    random = np.random.default_rng(7)
    shares = np.full(300, 1 / 300)
    verdicts = {
        label_drift(
            counts(named(random.multinomial(400, shares))), counts(named(random.multinomial(400, shares)))
        ).verdict
        for _ in range(20)
    }
    assert verdicts <= {"steady", "too_few"}


def test_without_a_yardstick_the_counts_are_shown_and_nothing_is_judged():
    seen = counts({"cat": 30, "dog": 10})
    for measure in (label_drift(None, seen), confidence_drift(None, seen)):
        assert (measure.verdict, measure.psi) == ("no_yardstick", None)
        assert measure.bins[-1].expected is None
        assert "Train again" in measure.words
    assert [one.count for one in label_drift(None, seen).bins] == [30, 10]


@pytest.mark.parametrize(
    ("judged", "unfamiliar", "verdict"),
    [
        (3, 1, "too_few"),
        (9, 9, "too_few"),
        (10, 9, "drifted"),
        (0, 0, "too_few"),
        (12, 0, "too_few"),
        (12, 8, "drifted"),
        (200, 8, "steady"),
        (200, 14, "steady"),  # 7% of 200 may be 5% of all
        (2000, 140, "shifting"),
        (200, 60, "drifted"),
    ],
)
def test_unfamiliar_pictures_are_judged_by_what_their_share_may_be(judged, unfamiliar, verdict):
    share = unfamiliar_share(counts(judged=judged, unfamiliar=unfamiliar))
    assert share.verdict == verdict
    if judged:
        assert f"{unfamiliar} of {judged} pictures" in share.words


def test_the_worst_is_said_first():
    assert worst(["steady", "drifted", "too_few"]) == "drifted"
    assert worst(["steady", "too_few"]) == "too_few"
    assert worst(["steady", "steady"]) == "steady"
    assert set(module.ORDER) == {"steady", "shifting", "drifted", "too_few", "no_yardstick"}
