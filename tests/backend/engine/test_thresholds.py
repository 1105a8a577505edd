import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from backend.engine.thresholds import decide, held_out_decisions, threshold_of_costs, tune_thresholds


def calibrated(images, share, *, seed, spread=1.5):
    """Probabilities that mean what they say, and labels drawn by them."""
    random = np.random.default_rng(seed)
    probabilities = 1 / (1 + np.exp(-(np.log(share / (1 - share)) + random.normal(0, spread, images))))
    return probabilities[:, None], (random.random(images) < probabilities).astype(np.float32)[:, None]


def f1_at(threshold, probabilities, targets):
    """As scikit-learn has it, without the 3 ms that it takes to look at its arguments: 9,000 calls below."""
    said, there = probabilities[:, 0] >= threshold, targets[:, 0] > 0
    return 2 * (said & there).sum() / max(1, said.sum() + there.sum())


def test_f1_here_is_scikit_learn_s():
    probabilities, targets = calibrated(500, 0.1, seed=6)
    for threshold in (0.0, 0.1, 0.5, 2.0):
        theirs = f1_score(targets[:, 0] > 0, probabilities[:, 0] >= threshold, zero_division=0)
        assert f1_at(threshold, probabilities, targets) == pytest.approx(theirs)


def test_with_many_positives_the_threshold_has_the_best_f1():
    probabilities, targets = calibrated(6000, 0.3, seed=1)
    [threshold] = tune_thresholds(probabilities, targets)
    best = max(f1_at(one, probabilities, targets) for one in np.linspace(0.02, 0.98, 97))
    assert f1_at(threshold, probabilities, targets) > best - 0.005


def test_with_three_positives_it_stays_near_what_calibrated_probabilities_imply():
    probabilities, _ = calibrated(400, 0.02, seed=2)
    implied = tune_thresholds(probabilities, np.zeros((400, 1)))[0]
    spreads = []
    for seed in range(20):
        targets = np.zeros((400, 1), dtype=np.float32)
        targets[np.random.default_rng(seed).choice(400, 3, p=probabilities[:, 0] / probabilities.sum())] = 1
        spreads.append(abs(tune_thresholds(probabilities, targets)[0] - implied))
    assert max(spreads) < 0.12


def test_shrinking_a_rare_label_s_threshold_pays_on_images_that_it_did_not_see():
    gains = []
    for seed in range(40):
        probabilities, targets = calibrated(300, 0.012, seed=seed)
        fresh, truth = calibrated(20_000, 0.012, seed=1000 + seed)
        if not 3 <= targets.sum() <= 15:
            continue
        ours = tune_thresholds(probabilities, targets)[0]
        grid = np.unique(probabilities)
        fitted = grid[np.argmax([f1_at(one, probabilities, targets) for one in grid])]
        gains.append(f1_at(ours, fresh, truth) - f1_at(fitted, fresh, truth))
    assert len(gains) > 20
    assert np.mean(gains) > 0.01


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    images=st.integers(1, 60),
    labels=st.integers(1, 4),
    constant=st.booleans(),
    everybody=st.sampled_from([None, 0.0, 1.0]),
)
def test_a_threshold_is_always_a_probability(seed, images, labels, constant, everybody):
    random = np.random.default_rng(seed)
    probabilities = np.full((images, labels), 0.3) if constant else random.random((images, labels))
    targets = (
        (random.random((images, labels)) < 0.3).astype(float)
        if everybody is None
        else np.full((images, labels), everybody)
    )
    thresholds = tune_thresholds(probabilities, targets)
    assert len(thresholds) == labels
    assert all(0.01 <= one <= 0.99 for one in thresholds)
    assert held_out_decisions(probabilities, targets).shape == targets.shape


def test_held_out_decisions_are_not_flattered_by_noise():
    random = np.random.default_rng(0)
    probabilities, targets = random.random((60, 30)), (random.random((60, 30)) < 0.1).astype(float)
    own = decide(probabilities, tune_thresholds(probabilities, targets))
    honest = held_out_decisions(probabilities, targets)
    f1 = [f1_score(targets > 0, present, average="macro", zero_division=0) for present in (own, honest)]
    assert f1[0] > f1[1]


@pytest.mark.parametrize(
    ("miss", "false_alarm", "threshold"), [(1, 1, 0.5), (9, 1, 0.1), (1, 3, 0.75), (1e9, 1, 0.01), (1, 1e9, 0.99)]
)
def test_costs_give_the_threshold_of_least_cost(miss, false_alarm, threshold):
    assert threshold_of_costs(miss, false_alarm) == pytest.approx(threshold)
    probabilities, targets = calibrated(20_000, 0.3, seed=4)
    if 0.05 < threshold < 0.9:

        def cost(one):
            said, there = probabilities[:, 0] >= one, targets[:, 0] > 0
            return miss * (~said & there).sum() + false_alarm * (said & ~there).sum()

        assert cost(threshold) < 1.02 * min(cost(one) for one in np.linspace(0.02, 0.98, 49))


@pytest.mark.parametrize("costs", [(0, 1), (1, 0), (-1, 1)])
def test_a_mistake_that_costs_nothing_is_refused(costs):
    with pytest.raises(ValueError, match="positive"):
        threshold_of_costs(*costs)


def test_what_does_not_go_together_is_refused():
    for shapes in (((0, 2), (0, 2)), ((3, 2), (3, 1))):
        with pytest.raises(ValueError, match="targets"):
            tune_thresholds(np.zeros(shapes[0]), np.zeros(shapes[1]))
