import numpy as np
import pytest

from backend.contracts import Candidate
from backend.engine.label_metrics import mean_average_precision
from backend.engine.metrics import accuracy, log_loss
from backend.search.calibrate import apply_temperature
from backend.search.combine import combine, select
from backend.search.trial import Trial

CLASSES = 4


def truth_of(images, seed=0):
    return np.random.default_rng(seed).integers(0, CLASSES, images)


def opinion(targets, seed, *, skill=1.6, noise=1.0):
    """Probabilities of a model that errs on its own images: scores with a push towards the truth and its own noise."""
    random = np.random.default_rng(seed)
    scores = noise * random.normal(size=(len(targets), CLASSES)) + skill * np.eye(CLASSES)[targets]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def trial(name, held_out, *, strategy="probe", **changes):
    return Trial(
        candidate=Candidate(name=name, family="f", timm_name=name),
        strategy=strategy,
        held_out=held_out,
        test_probabilities=changes.pop("test", held_out[:7]),
        **changes,
    )


@pytest.fixture
def targets():
    return truth_of(400)


@pytest.fixture
def complementary(targets):
    return [trial(name, opinion(targets, seed)) for seed, name in enumerate("abcde")]


def test_networks_that_err_on_different_images_are_better_together(complementary, targets):
    found = combine(complementary, targets, by="accuracy")
    assert found.kept
    best_alone = max(accuracy(one.held_out, targets) for one in complementary)
    assert accuracy(found.held_out, targets) > best_alone + 0.03
    assert "networks together" in found.reason
    assert "cross-validated" in found.reason


def test_at_most_three_members_with_weights_that_add_up_to_one_the_heaviest_first(complementary, targets):
    found = combine(complementary, targets, by="accuracy")
    weights = [weight for _, weight in found.members]
    assert 2 <= len(weights) <= 3
    assert sum(weights) == pytest.approx(1.0)
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0


def test_the_answers_are_the_weighted_average_of_the_members(complementary, targets):
    found = combine(complementary, targets, by="accuracy")
    held_out = sum(weight * member.held_out for member, weight in found.members)
    test = sum(weight * member.test_probabilities for member, weight in found.members)
    np.testing.assert_allclose(found.held_out, held_out, atol=1e-12)
    np.testing.assert_allclose(found.test_probabilities, test, atol=1e-12)
    np.testing.assert_allclose(found.held_out.sum(axis=1), 1.0)


def test_the_same_trials_give_the_same_answer_in_any_order(complementary, targets):
    once, again = (combine(trials, targets, by="accuracy") for trials in (complementary, complementary[::-1]))
    assert [(one.candidate.name, weight) for one, weight in once.members] == [
        (one.candidate.name, weight) for one, weight in again.members
    ]
    assert once.reason == again.reason


def test_an_ensemble_is_a_row_that_costs_what_its_members_cost(targets):
    trials = [
        trial(name, opinion(targets, seed), predict_ms_per_image=2.0, size_mb=10.0, parameters=1000)
        for seed, name in enumerate("ab")
    ]
    found = combine(trials, targets, by="accuracy")
    row = found.as_trial()
    assert (row.strategy, row.status, row.candidate.name) == ("ensemble", "ok", "ensemble")
    assert row.candidate.timm_name == found.members[0][0].candidate.timm_name
    assert (row.predict_ms_per_image, row.size_mb, row.parameters) == (4.0, 20.0, 2000)
    assert row.members == found.members
    assert row.reason == found.reason
    assert all(f"{member.candidate.name} {weight:.0%}" in row.tried for member, weight in found.members)
    assert row.held_out is found.held_out


def test_what_a_member_does_not_know_the_ensemble_does_not_know(complementary, targets):
    row = combine(complementary, targets, by="accuracy").as_trial()
    assert (row.predict_ms_per_image, row.parameters) == (None, None)


def test_copies_of_one_network_are_refused(targets):
    answers = opinion(targets, 0)
    found = combine([trial("a", answers), trial("b", answers.copy())], targets, by="accuracy")
    assert not found.kept
    assert "answers alone" in found.reason
    assert found.held_out is None
    with pytest.raises(ValueError, match="no ensemble"):
        found.as_trial()


def test_better_probabilities_that_name_no_class_better_are_not_worth_the_time():
    """All name the same classes; each has its own error in how sure it is, which an average evens out."""
    targets = truth_of(1500)
    named = np.where(np.random.default_rng(0).random(1500) < 0.8, targets, (targets + 1) % CLASSES)

    def unsteady(seed):
        noise = np.random.default_rng(seed).normal(size=1500)
        surer = np.maximum(np.where(named == targets, 3.0, 1.0) + 1.5 * noise, 0.05)
        powers = np.exp(surer[:, None] * np.eye(CLASSES)[named])
        return powers / powers.sum(axis=1, keepdims=True)

    found = combine([trial(name, unsteady(seed)) for seed, name in enumerate("abc")], targets, by="accuracy")
    assert not found.kept
    assert "too little for their time" in found.reason


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_a_copy_that_is_only_more_or_less_sure_of_itself_is_refused(targets, temperature):
    answers = opinion(targets, 0, noise=2.0)
    other = apply_temperature(answers, temperature)
    assert not combine([trial("a", answers), trial("b", other)], targets, by="accuracy").kept


def test_a_far_better_network_answers_alone(targets):
    strong, weak = trial("strong", opinion(targets, 0, skill=9)), trial("weak", opinion(targets, 1, skill=0.3))
    assert not combine([weak, strong], targets, by="accuracy").kept


def test_chance_alone_is_seldom_taken_for_a_gain():
    """Weak variations of one network: what a selection finds among them on few images is mostly luck."""
    kept = 0
    for seed in range(20):
        targets = truth_of(60, seed)
        shared = opinion(targets, seed)
        jitter = np.random.default_rng(seed).normal(size=(6, *shared.shape)) * 0.15
        noisy = [np.exp(np.log(shared) + one) for one in jitter]
        trials = [trial(str(place), one / one.sum(axis=1, keepdims=True)) for place, one in enumerate(noisy)]
        kept += combine(trials, targets, by="accuracy").kept
    assert kept <= 2


def test_baseline_unfinished_and_failed_trials_take_no_part(targets):
    good, other = opinion(targets, 0), opinion(targets, 1)
    trials = [
        trial("alone", good),
        trial("baseline", other, strategy="baseline"),
        trial("skipped", other, status="skipped"),
        trial("untested", other, test=None),
        Trial(candidate=Candidate(name="failed", family="f", timm_name="t"), strategy="probe", status="failed"),
    ]
    found = combine(trials, targets, by="accuracy")
    assert not found.kept
    assert "not two" in found.reason


def test_under_imbalance_macro_f1_decides_and_is_named():
    random = np.random.default_rng(0)
    targets = random.choice(CLASSES, size=500, p=[0.85, 0.05, 0.05, 0.05])
    found = combine([trial(n, opinion(targets, s)) for s, n in enumerate("abc")], targets, by="macro_f1")
    assert found.kept
    assert "macro-F1" in found.reason


def test_greedy_selection_weighs_by_hand_computed_losses():
    targets = np.zeros(2, dtype=int)
    first, second = np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([[0.4, 0.6], [0.8, 0.2]])
    # each alone: -(ln 0.8 + ln 0.4) / 2 = 0.5697; together 0.6 on both: 0.5108, and no third makes that better
    np.testing.assert_allclose(select([first, second], targets), [0.5, 0.5])
    np.testing.assert_allclose(select([first, first], targets), [1.0, 0.0])


def test_selection_is_never_worse_than_the_best_alone_on_its_own_images():
    targets = truth_of(100, 5)
    answers = [opinion(targets, seed, skill=seed / 2) for seed in range(6)]
    weights = select(answers, targets)
    together = sum(weight * one for weight, one in zip(weights, answers, strict=True))
    assert log_loss(together, targets) <= min(log_loss(one, targets) for one in answers)
    assert np.count_nonzero(weights) <= 3


@pytest.fixture
def labels():
    """Three labels an image, by chance each."""
    return (np.random.default_rng(1).random((400, 3)) < 0.4).astype(np.int8)


def labels_seen(labels, seed, *, skill=1.6):
    """Probabilities [N, 3] of a model that errs on labels of its own."""
    scores = np.random.default_rng(seed).normal(size=labels.shape) + skill * (labels - 0.5)
    return 1 / (1 + np.exp(-scores))


def test_networks_that_miss_different_labels_are_better_together(labels):
    trials = [trial(name, labels_seen(labels, seed)) for seed, name in enumerate("abcd")]
    found = combine(trials, labels, by="mean_average_precision")
    assert found.kept
    assert 2 <= len(found.members) <= 3
    together = mean_average_precision(found.held_out, labels)
    assert together > max(mean_average_precision(one.held_out, labels) for one in trials) + 0.02
    held_out = sum(weight * member.held_out for member, weight in found.members)
    np.testing.assert_allclose(found.held_out, held_out, atol=1e-12)
    assert not np.allclose(found.held_out.sum(axis=1), 1.0)  # labels do not exclude each other
    assert "mean average precision" in found.reason


def test_copies_of_a_network_of_several_labels_are_refused(labels):
    answers = labels_seen(labels, 0)
    assert not combine([trial("a", answers), trial("b", answers.copy())], labels, by="macro_f1").kept
