"""Every loss against the formula of its paper, written out in float64, and its behaviour where numbers get extreme."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from backend.contracts.losses import LOSS_CATALOGUE, LossSettings
from backend.engine.losses import LOSSES, ClassCounts, Loss, LossContext, make_loss
from backend.errors import RecipeError

CLASSES = 4
GENERATOR = torch.Generator().manual_seed(3)
SCORES = torch.randn(9, CLASSES, generator=GENERATOR, dtype=torch.float64) * 3
CLASS_TARGETS = torch.randint(0, CLASSES, (9,), generator=GENERATOR)
LABEL_TARGETS = (torch.rand(9, CLASSES, generator=GENERATOR) < 0.3).double()


def make(task: str, *, counts: ClassCounts | None = None, balanced: bool = False, **settings: object) -> Loss:
    context = LossContext(task=task, num_classes=CLASSES, counts=counts, balanced=balanced)  # type: ignore[arg-type]
    return make_loss(LossSettings.model_validate(settings), context)


def focal_of_labels(scores: torch.Tensor, targets: torch.Tensor, alpha: list[float] | None, gamma: float) -> float:
    """Lin et al. 2017, equation 5, pair by pair."""
    total = 0.0
    for row, wanted in zip(scores.tolist(), targets.tolist(), strict=True):
        for place, (score, truth) in enumerate(zip(row, wanted, strict=True)):
            p = 1 / (1 + math.exp(-score))
            of_truth = p if truth else 1 - p
            weight = 1.0 if alpha is None else alpha[place] if truth else 1 - alpha[place]
            total -= weight * (1 - of_truth) ** gamma * math.log(of_truth)
    return total / scores.numel()


def focal_of_classes(scores: torch.Tensor, targets: torch.Tensor, alpha: list[float], gamma: float) -> float:
    total = 0.0
    for row, truth in zip(scores.tolist(), targets.tolist(), strict=True):
        p = math.exp(row[truth]) / sum(math.exp(score) for score in row)
        total -= alpha[truth] * (1 - p) ** gamma * math.log(p)
    return total / len(scores)


def test_catalogue_and_functions_agree() -> None:
    assert LOSSES.names() == LOSS_CATALOGUE.names()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", ["none", 0.25, (0.9, 0.5, 0.1, 0.7)])
def test_focal_of_labels_is_the_papers(gamma: float, alpha: object) -> None:
    loss = make("multilabel", type="focal", alpha=alpha, gamma=gamma)
    weights = None if alpha == "none" else [alpha] * CLASSES if isinstance(alpha, float) else list(alpha)  # type: ignore[call-overload]

    expected = focal_of_labels(SCORES, LABEL_TARGETS, weights, gamma)

    assert loss(SCORES, LABEL_TARGETS).item() == pytest.approx(expected, rel=1e-12)
    assert loss(SCORES.float(), LABEL_TARGETS.float()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", ["none", (0.9, 0.5, 0.1, 0.7)])
def test_focal_of_classes_is_the_papers(gamma: float, alpha: object) -> None:
    weights = [1.0] * CLASSES if alpha == "none" else list(alpha)  # type: ignore[call-overload]

    found = make("multiclass", type="focal", alpha=alpha, gamma=gamma)(SCORES, CLASS_TARGETS)

    assert found.item() == pytest.approx(focal_of_classes(SCORES, CLASS_TARGETS, weights, gamma), rel=1e-9)


def test_dynamic_alpha_comes_from_how_often_each_class_occurs() -> None:
    labels = np.zeros((100, CLASSES))
    for place, count in enumerate((2, 10, 50, 90)):
        labels[:count, place] = 1
    counts = ClassCounts.of(labels, num_classes=CLASSES)

    found = make("multilabel", counts=counts, type="focal", alpha="dynamic")(SCORES, LABEL_TARGETS)

    expected = focal_of_labels(SCORES, LABEL_TARGETS, [0.98, 0.9, 0.5, 0.1], 2.0)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_dynamic_alpha_of_classes_weighs_the_rare_more_and_one_on_average() -> None:
    targets = np.repeat(np.arange(CLASSES), (10, 20, 30, 40))
    counts = ClassCounts.of(targets, num_classes=CLASSES)

    found = make("multiclass", counts=counts, type="focal", alpha="dynamic")(SCORES, CLASS_TARGETS)

    expected = focal_of_classes(SCORES, CLASS_TARGETS, [2.5, 1.25, 2.5 / 3, 0.625], 2.0)
    assert found.item() == pytest.approx(expected, rel=1e-9)
    assert counts.class_weights()[targets].mean() == pytest.approx(1.0)


def test_focal_without_its_gamma_is_bce_and_cross_entropy() -> None:
    labels = make("multilabel", type="focal", gamma=0.0)(SCORES, LABEL_TARGETS)
    classes = make("multiclass", type="focal", gamma=0.0)(SCORES, CLASS_TARGETS)

    assert labels.item() == pytest.approx(make("multilabel", type="bce")(SCORES, LABEL_TARGETS).item())
    assert classes.item() == pytest.approx(make("multiclass")(SCORES, CLASS_TARGETS).item())


def test_bce_and_cross_entropy_are_torchs() -> None:
    bce = make("multilabel", type="bce")(SCORES, LABEL_TARGETS)
    smooth = make("multiclass", label_smoothing=0.1)(SCORES, CLASS_TARGETS)

    assert bce.item() == pytest.approx(functional.binary_cross_entropy_with_logits(SCORES, LABEL_TARGETS).item())
    assert smooth.item() == pytest.approx(functional.cross_entropy(SCORES, CLASS_TARGETS, label_smoothing=0.1).item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("settings", [{"type": "bce"}, {"type": "focal"}, {"type": "focal", "gamma": 0.3}])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_extreme_scores_leave_the_loss_and_its_slope_finite(
    task: str, settings: dict[str, object], dtype: torch.dtype
) -> None:
    scores = torch.tensor([[60.0, -60.0, 0.0, 1e4], [-1e4, 30.0, 90.0, -90.0]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([0, 2]) if task == "multiclass" else torch.tensor([[1.0, 0, 1, 1], [1, 1, 0, 0]])

    loss = make(task, **settings)(scores, targets)
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.dtype == torch.float32
    assert math.isfinite(loss.item())
    assert loss.item() > 1
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad.abs().max() > 0


def test_the_slope_is_that_of_the_formula() -> None:
    for task, targets in (("multilabel", LABEL_TARGETS), ("multiclass", CLASS_TARGETS)):
        loss = make(task, type="focal", gamma=1.5, label_smoothing=0.1)
        scores = SCORES.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda rows, loss=loss, wanted=targets: loss(rows, wanted), (scores,))


def test_scores_in_half_precision_lose_only_their_own_rounding() -> None:
    rough = SCORES.to(torch.bfloat16)
    loss = make("multilabel", type="focal", alpha="none")

    assert loss(rough, LABEL_TARGETS).item() == pytest.approx(loss(rough.double(), LABEL_TARGETS).item(), rel=1e-6)


def test_shares_of_a_mixed_picture_are_taken_for_targets() -> None:
    """Half of one class and half of another is the mean of the two losses, for a loss is linear in its targets."""
    for settings in ({}, {"type": "focal"}, {"type": "bce"}):
        loss = make("multiclass", **settings)
        one, other = torch.tensor([1]), torch.tensor([3])
        shares = torch.tensor([[0.0, 0.5, 0.0, 0.5]], dtype=torch.float64)
        mean = (loss(SCORES[:1], one) + loss(SCORES[:1], other)) / 2
        assert loss(SCORES[:1], shares).item() == pytest.approx(mean.item())


def test_balanced_gives_positives_and_negatives_the_same_say() -> None:
    labels = np.zeros((10, CLASSES))
    labels[0] = 1  # one positive in ten
    counts = ClassCounts.of(labels, num_classes=CLASSES)
    loss = make("multilabel", counts=counts, balanced=True, type="bce")
    undecided = torch.zeros(10, CLASSES, dtype=torch.float64)

    positive = loss(undecided[:1], torch.tensor(labels[:1])) * 1
    negative = loss(undecided[1:], torch.tensor(labels[1:])) * 9

    assert positive.item() == pytest.approx(negative.item())
    assert loss(undecided, torch.tensor(labels)).item() == pytest.approx(math.log(2))


def test_a_label_that_never_occurs_does_not_explode() -> None:
    counts = ClassCounts.of(np.zeros((10, CLASSES)), num_classes=CLASSES)
    for settings in ({"type": "bce"}, {"type": "focal", "alpha": "dynamic"}):
        loss = make("multilabel", counts=counts, balanced=True, **settings)
        assert math.isfinite(loss(SCORES, torch.zeros_like(SCORES)).item())


def test_as_many_alphas_as_classes_or_one() -> None:
    with pytest.raises(RecipeError, match="lists 3 numbers for 4 classes"):
        make("multilabel", type="focal", alpha=(0.1, 0.2, 0.3))
