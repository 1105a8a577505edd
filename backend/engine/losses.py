"""What a network is told about its scores: cross-entropy, binary cross-entropy, focal loss. It trains nothing.

Every loss takes scores [N, C] and targets, and gives one number in nats. Targets are class indices int64 [N], or floats
[N, C]: with one class a picture the shares of a mixed image, with many labels 0, 1 or between. Scores in bfloat16 or
float16 are lifted to float32 first: a sum of exponentials has 8 bits of precision otherwise.

To add a loss: its parameters and entry in `backend.contracts.losses`, its function here, registered under the name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from backend.contracts import Task
from backend.contracts.losses import LOSS_CATALOGUE, BceParams, CrossEntropyParams, FocalParams, LossSettings
from backend.data.targets import images_by_class
from backend.engine.batches import TrainingData
from backend.engine.network import Network
from backend.registry import Registry

NEARLY_ONE = 1e-6  # a probability nearer to 1 counts as this far from it: the power below 1 has no slope at 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """How often each class occurs among `images` training pictures [C]."""

    positives: npt.NDArray[np.integer]
    images: int

    @classmethod
    def of(cls, targets: npt.NDArray[Any], *, num_classes: int) -> ClassCounts:
        """Count class indices [N], or labels [N, C]."""
        return cls(positives=images_by_class(targets, num_classes), images=len(targets))

    def class_weights(self) -> npt.NDArray[np.float64]:
        """Weights [C] that give every class of a one-class dataset the same say; 1 on average over the pictures."""
        return np.asarray(self.images / (len(self.positives) * np.maximum(self.positives, 1)))

    def positive_shares(self) -> npt.NDArray[np.float64]:
        """Share of the pictures that carry each label [C]."""
        return self.positives / max(1, self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossContext:
    """What a loss must know beside its parameters.

    Attributes:
        task: whether a picture has one class or any number of labels.
        num_classes: C.
        counts: of the training part; needed by what is `dynamic` or balanced.
        balanced: every class counts alike: a rare class's pictures, or a rare label's positives, weigh more.
    """

    task: Task
    num_classes: int
    counts: ClassCounts | None = None
    balanced: bool = False

    def known_counts(self) -> ClassCounts:
        if self.counts is None:
            raise ValueError("weights from frequencies need the counts of the training part")
        return self.counts


Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: Registry[Callable[[Any, LossContext], Loss]] = Registry("loss")


def make_loss(settings: LossSettings, context: LossContext) -> Loss:
    """Return the recipe's loss: (scores [N, C], targets [N] or [N, C]) to a scalar, the mean over the batch, in nats.

    Raises:
        RecipeError: the loss does not fit the dataset, or its parameters do not fit it.
    """
    entry = settings.entry(context.task)
    return LOSSES.get(entry.name)(settings.check(context.task, num_classes=context.num_classes), context)


def loss_for(network: Network, data: TrainingData, *, said: LossSettings, smoothing: float) -> Loss:
    """The loss of a fine-tune; a cross-entropy that says nothing of `smoothing` takes the fine-tune's.

    Raises:
        RecipeError: as `make_loss`.
    """
    if said.entry(network.task).name == "cross_entropy" and said.label_smoothing is None:
        said = said.model_copy(update={"label_smoothing": smoothing})
    context = LossContext(
        task=network.task,
        num_classes=network.num_classes,
        counts=ClassCounts.of(data.targets[data.train], num_classes=network.num_classes),
        balanced=data.balanced,
    )
    return make_loss(said, context)


def _cross_entropy(params: CrossEntropyParams, context: LossContext) -> Loss:
    weights = torch.tensor(context.known_counts().class_weights()) if context.balanced else None

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        scores = _lifted(scores)
        return functional.cross_entropy(
            scores,
            targets if targets.ndim == 1 else targets.to(scores.dtype),
            weight=None if weights is None else weights.to(scores),
            label_smoothing=params.label_smoothing,
        )

    return loss


def _bce(params: BceParams, context: LossContext) -> Loss:
    positive, negative = _balancing(context)

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        scores = _lifted(scores)
        wanted = _labels(targets, scores, smoothing=params.label_smoothing)
        misses, alarms = functional.softplus(-scores), functional.softplus(scores)
        return (positive.to(scores) * wanted * misses + negative.to(scores) * (1 - wanted) * alarms).mean()

    return loss


def _focal(params: FocalParams, context: LossContext) -> Loss:
    weights = torch.tensor(_alphas(params, context))
    if context.task == "multilabel":
        return _focal_of_labels(params, *_with_balance(weights, params, context))
    return _focal_of_classes(params, weights)


def _focal_of_labels(params: FocalParams, positive: Tensor, negative: Tensor) -> Loss:
    """Mean over pictures and labels of -alpha (1 - p)^gamma log p, p the probability of the truth of each label.

    From the logarithms: (1 - sigmoid(s))^gamma is exp(-gamma softplus(s)), which neither rounds to 0 nor divides.
    """

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        scores = _lifted(scores)
        wanted = _labels(targets, scores, smoothing=params.label_smoothing)
        misses, alarms = functional.softplus(-scores), functional.softplus(scores)  # -log p, -log (1 - p)
        present = positive.to(scores) * wanted * torch.exp(-params.gamma * alarms) * misses
        absent = negative.to(scores) * (1 - wanted) * torch.exp(-params.gamma * misses) * alarms
        return (present + absent).mean()

    return loss


def _focal_of_classes(params: FocalParams, weights: Tensor) -> Loss:
    """Mean over pictures of -alpha_c (1 - p_c)^gamma log p_c, p_c the softmax's probability of the true class c."""

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        scores = _lifted(scores)
        count = scores.shape[1]
        wanted = functional.one_hot(targets, count) if targets.ndim == 1 else targets
        wanted = wanted.to(scores) * (1 - params.label_smoothing) + params.label_smoothing / count
        logs = functional.log_softmax(scores, dim=1)
        doubt = -torch.expm1(logs.clamp(max=-NEARLY_ONE))  # 1 - p
        return (weights.to(scores) * wanted * doubt.pow(params.gamma) * -logs).sum(dim=1).mean()

    return loss


def _alphas(params: FocalParams, context: LossContext) -> npt.NDArray[np.float64]:
    """Weights [C]: of a label's positives (their negatives weigh 1 - alpha), or of a class's pictures.

    Dynamic: a label's positives weigh the share of its negatives, so that both sides have the same say in sum; a
    class's pictures weigh as much less as there are more of them, 1 on average over the pictures.
    """
    count, labels = context.num_classes, context.task == "multilabel"
    if params.alpha == "dynamic":
        known = context.known_counts()
        return 1 - known.positive_shares() if labels else known.class_weights()
    if params.alpha == "none":
        return np.full(count, 0.5) if labels else np.ones(count)
    return np.broadcast_to(np.asarray(params.alpha, dtype=np.float64), count).copy()


def _with_balance(alphas: Tensor, params: FocalParams, context: LossContext) -> tuple[Tensor, Tensor]:
    """Weights of positives and negatives. An alpha that was chosen is the balance; otherwise balance as BCE does."""
    if params.alpha == "none":
        return _balancing(context)
    return alphas, 1 - alphas


def _balancing(context: LossContext) -> tuple[Tensor, Tensor]:
    """Weights [C] of positives and negatives: 1, or so that both sides of a label have the same say, 1 on average."""
    ones = torch.ones(context.num_classes, dtype=torch.float64)
    if not context.balanced:
        return ones, ones
    share = context.known_counts().positive_shares()
    if context.task == "multiclass":
        share = np.full(context.num_classes, 1 / context.num_classes)
    least = 1 / (2 * max(1, context.known_counts().images))  # a label without positives, or without negatives
    share = np.clip(share, least, 1 - least)
    return torch.tensor(0.5 / share), torch.tensor(0.5 / (1 - share))


def _labels(targets: Tensor, scores: Tensor, *, smoothing: float) -> Tensor:
    """Targets as labels [N, C] of the scores' type: class indices become one label each."""
    wanted = functional.one_hot(targets, scores.shape[1]) if targets.ndim == 1 else targets
    return wanted.to(scores) * (1 - smoothing) + smoothing / 2


def _lifted(scores: Tensor) -> Tensor:
    return scores if scores.dtype == torch.float64 else scores.float()


for _name, _build in (("cross_entropy", _cross_entropy), ("bce", _bce), ("focal", _focal)):
    LOSSES.register(LOSS_CATALOGUE.get(_name).name, _build)
