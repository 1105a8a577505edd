"""Fine-tuning: the head is solved first, then the stages below it train, and the best epoch or the last is kept.

A ladder: `finetune` > `_Finetune.run` > `_run_phase` > `_run_epoch` > `Stepper.step`. It reports epochs and obeys
`control`; it does not choose networks, data or settings.

The head comes first because a random one distorts good features (Kumar et al. 2022, "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution"). It is solved, not stepped: on 130 Fashion-MNIST images one
epoch of steps leaves Lite0's head at 43% of the validation images, the solved one stands at 81%.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backend.contracts import EpochRecord, FinetuneSettings, RunControl
from backend.engine.arithmetic import autocast
from backend.engine.batches import Inputs, Pixels, TrainingBatches, TrainingData, loss_weights
from backend.engine.memory import halving
from backend.engine.metrics import accuracy, log_loss
from backend.engine.network import Network
from backend.engine.probe import HeadPlan, solve_head
from backend.engine.schedule import Phase, freeze_below_head, make_optimiser, make_scheduler, plan_phases, thaw
from backend.engine.steps import Average, LossExplodedError, Stepper, make_mixing
from backend.errors import DeadlineExceeded, RecipeError

__all__ = ["FinetuneOutcome", "FinetunePlan", "Pixels", "TrainingData", "finetune", "predict_inputs"]

log = logging.getLogger(__name__)

PREDICTED_AT_ONCE = 32  # images

Floats = npt.NDArray[np.floating]
OnEpoch = Callable[[EpochRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunePlan:
    """How long, on how many images a step, and which epoch's weights stay: the best on validation, or the last.

    `stop_after`: end after so many epochs of a schedule laid out for `num_epochs`; None: run through.
    `blends`: shares of the training, 0..1, that are judged on validation too: 0.5 is half way from the weights that a
    solved head began with to the trained ones. `share`: the one that stays.
    """

    num_epochs: int
    batch_size: int
    seed: int
    keep: Literal["best", "last"] = "best"
    stop_after: int | None = None
    blends: tuple[float, ...] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOutcome:
    """The network itself holds the weights of `best_epoch`; `val_probabilities` [V, C] are theirs.

    Epoch 0 is the state before training, with a head that was solved. `stopped_early` says why, or is None.
    `by_epoch` are the validation probabilities after each epoch of `history`, `by_blend` those of each share of the
    training that was asked for.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    val_probabilities: npt.NDArray[np.float64]
    stopped_early: str | None
    by_epoch: tuple[npt.NDArray[np.float64], ...] = ()
    by_blend: Mapping[float, npt.NDArray[np.float64]] = field(default_factory=dict)


def finetune(
    network: Network,
    data: TrainingData,
    *,
    settings: FinetuneSettings,
    plan: FinetunePlan,
    control: RunControl | None = None,
    on_epoch: OnEpoch | None = None,
) -> FinetuneOutcome:
    """Train a network in place; the same seed on the same machine gives the same weights.

    Where the memory is too small, all begins again, once, with half the batch.

    Raises:
        JobCancelled: through `control`, between batches.
        DeadlineExceeded: where `control.check` raises it before anything was worth keeping.
        OutOfMemory: half a batch did not fit either.
        RecipeError: the loss was no number from the start: the learning rate is too high.
    """
    devices = [network.device] if network.device.type == "cuda" else []
    start = _copy_of(network.module)

    def attempt(batch_size: int) -> FinetuneOutcome:
        network.module.load_state_dict(start)
        run = _Finetune(network, data, settings=settings, plan=plan, control=control or RunControl())
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(plan.seed)
            return run.run(batch_size, on_epoch or (lambda _: None))

    return halving(attempt, plan.batch_size, what=f"training {network.spec.name}")


def predict_inputs(
    network: Network, inputs: Inputs, places: npt.NDArray[np.integer], *, control: RunControl
) -> npt.NDArray[np.float64]:
    """Class probabilities [N, C] of inputs as they are, in the training's own arithmetic.

    Raises:
        JobCancelled: through `control`, between batches.
    """
    rows = _forward(network, inputs, places, control=control, part=network.module)
    return np.exp(rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)) if len(rows) else rows


class _Stop(Exception):
    """Ends the training early; the text says why."""


class _Finetune:
    """One run. Holds the weights to keep beside the network's own."""

    def __init__(
        self,
        network: Network,
        data: TrainingData,
        *,
        settings: FinetuneSettings,
        plan: FinetunePlan,
        control: RunControl,
    ) -> None:
        self._network = network
        self._data = data
        self._settings = settings
        self._plan = plan
        self._control = control
        weights = loss_weights(data, network.num_classes)
        self._loss_weights = None if weights is None else weights.to(network.device)
        self._history: list[EpochRecord] = []
        self._by_epoch: list[npt.NDArray[np.float64]] = []
        self._best: _Best | None = None
        self._solved: dict[str, torch.Tensor] | None = None

    def run(self, batch_size: int, on_epoch: OnEpoch) -> FinetuneOutcome:
        stopped: str | None = None
        batches = TrainingBatches(self._data, batch_size=batch_size, seed=self._plan.seed, device=self._network.device)
        try:
            self._prepare_head(on_epoch)
            for phase in self._phases():
                self._run_phase(phase, batches, on_epoch)
        except _Stop as stop:
            stopped = str(stop) or None
        except DeadlineExceeded as error:
            if self._best is None:
                raise
            stopped = error.detail
        finally:
            freeze_below_head(self._network, frozen=False)
        best = self._keep_something(stopped, on_epoch)
        by_blend = {share: self._blended(best, share) for share in self._plan.blends}
        probabilities = best.probabilities if self._plan.share == 1.0 else self._blended(best, self._plan.share)
        if self._plan.share == 1.0:
            self._network.module.load_state_dict(best.state)
        self._network.module.eval()
        return FinetuneOutcome(
            history=tuple(self._history),
            best_epoch=best.epoch,
            val_probabilities=probabilities,
            stopped_early=stopped,
            by_epoch=tuple(self._by_epoch),
            by_blend=by_blend,
        )

    def _prepare_head(self, on_epoch: OnEpoch) -> None:
        """Solve the head, where that is asked for and possible. It is epoch 0, best until training beats it."""
        if not self._head_is_solved():
            return
        data, control = self._data, self._control
        if data.features is None:
            features = _features(self._network, data.inputs, data.train, control=control)
        else:
            features = data.features[data.train]
        head_plan = HeadPlan(seed=self._plan.seed, balanced=data.balanced)
        solve_head(self._network, features, data.targets[data.train], plan=head_plan, control=control)
        # A head at its optimum has nothing to gain from epochs of its own, and much to lose by long steps.
        gentle = min(self._settings.head_lr, self._settings.backbone_lr)
        self._settings = self._settings.model_copy(update={"head_epochs": 0, "head_lr": gentle})
        self._validate(0, None, on_epoch)
        self._solved = _copy_of(self._network.module)

    def _blended(self, best: _Best, share: float) -> npt.NDArray[np.float64]:
        """Load weights on the straight line between the start and the training's end; their validation answers.

        Half way they often answer better than at either end, the more so the fewer the images (Wortsman et al. 2022,
        "Robust fine-tuning of zero-shot models").
        """
        state = best.state if self._solved is None else _between(self._solved, best.state, share=share)
        self._network.module.load_state_dict(state)
        return predict_inputs(self._network, self._data.inputs, self._data.val, control=self._control)

    def _head_is_solved(self) -> bool:
        """A network from scratch has no features to solve a head on; a class of one image cannot be held out."""
        counts = np.bincount(self._data.targets[self._data.train], minlength=self._network.num_classes)
        return self._settings.head == "solve" and self._pretrained and bool(counts.min() >= 2)

    @property
    def _pretrained(self) -> bool:
        """From scratch there is nothing to protect: all epochs train everything, BatchNorm statistics too."""
        return self._network.weights != "scratch"

    def _phases(self) -> list[Phase]:
        return plan_phases(self._plan.num_epochs, head_epochs=self._settings.head_epochs if self._pretrained else 0)

    def _run_phase(self, phase: Phase, batches: TrainingBatches, on_epoch: OnEpoch) -> None:
        settings, network = self._settings, self._network
        optimiser = make_optimiser(network, settings)
        steps = phase.epochs * len(batches)
        averaged = settings.ema_decay > 0 and phase.whole_network
        stepper = Stepper(
            network=network,
            optimiser=optimiser,
            scheduler=make_scheduler(optimiser, steps=steps, warmup_fraction=settings.warmup_fraction),
            settings=settings,
            mixing=make_mixing(settings, num_classes=network.num_classes),
            average=Average(network.module, decay=settings.ema_decay) if averaged else None,
            class_weights=self._loss_weights,
        )
        log.debug("phase begins", extra={"phase": phase.name, "epochs": phase.epochs, "steps": steps})
        for index in range(phase.epochs):
            self._unfreeze(phase, index)
            epoch = self._next_epoch()
            loss = self._run_epoch(batches, stepper)
            self._validate(epoch, loss, on_epoch, judged=stepper.average.module if stepper.average else None)
            self._check_enough(epoch)

    def _unfreeze(self, phase: Phase, index: int) -> None:
        """The head alone, or the last stages first, one more each epoch until all are free."""
        if not phase.whole_network:
            freeze_below_head(self._network, frozen=True)
            return
        slow = self._settings.unfreeze_epochs if self._pretrained else 0
        thaw(self._network, share=min(1.0, (index + 1) / (slow + 1)))

    def _run_epoch(self, batches: TrainingBatches, stepper: Stepper) -> float:
        """One pass over the training images; the mean loss in nats."""
        self._training_mode()
        total, seen = 0.0, 0
        for inputs, targets in batches:
            self._control.check()
            if self._control.deadline.expired():
                raise _Stop("The time budget was used up.")
            try:
                loss = stepper.step(inputs, targets)
            except LossExplodedError:
                raise _Stop(
                    "The loss was no longer a number; a lower finetune.backbone_lr or finetune.head_lr may help."
                ) from None
            total, seen = total + loss * len(targets), seen + len(targets)
        return total / seen

    def _training_mode(self) -> None:
        """Train mode, but pretrained BatchNorm statistics stay: small batches would only blur them."""
        self._network.module.train()
        if not self._pretrained:
            return
        for part in self._network.module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the common base of all BatchNorms
                part.eval()

    def _validate(
        self, epoch: int, train_loss: float | None, on_epoch: OnEpoch, *, judged: nn.Module | None = None
    ) -> None:
        """Score the weights (or their average, `judged`) on validation, keep them where they are wanted, and tell."""
        module = judged or self._network.module
        data = self._data
        record = EpochRecord(epoch=epoch, train_loss=train_loss, val_loss=None, val_accuracy=None)
        score, probabilities = _Score(0.0, float(epoch)), np.zeros((0, self._network.num_classes))
        if len(data.val):
            rows = _forward(self._network, data.inputs, data.val, control=self._control, part=module)
            probabilities = np.exp(rows - np.logaddexp.reduce(rows, axis=1, keepdims=True))
            targets = data.targets[data.val]
            score = _Score(accuracy(probabilities, targets), -log_loss(probabilities, targets))
            record = record.model_copy(update={"val_loss": -score.negative_loss, "val_accuracy": score.accuracy})
        if self._plan.keep == "last" or self._best is None or score > self._best.score:
            self._best = _Best(epoch, score, probabilities, _copy_of(module))
        self._history.append(record)
        self._by_epoch.append(probabilities)
        on_epoch(record)

    def _check_enough(self, epoch: int) -> None:
        if self._plan.stop_after is not None and epoch >= self._plan.stop_after:
            raise _Stop
        patience = self._settings.patience
        if self._plan.keep == "best" and self._best is not None and epoch - self._best.epoch >= patience:
            raise _Stop(f"No better validation score for {patience} epochs.")

    def _next_epoch(self) -> int:
        return 1 + (self._history[-1].epoch if self._history else 0)

    def _keep_something(self, stopped: str | None, on_epoch: OnEpoch) -> _Best:
        """The best so far; an interrupted first epoch is validated as it is, for it is all there is."""
        if self._best is None and all(p.isfinite().all() for p in self._network.module.parameters()):
            self._validate(self._next_epoch(), None, on_epoch)
        if self._best is None:
            raise RecipeError(stopped or "The training left nothing to keep.")
        return self._best


@dataclass(frozen=True, slots=True, order=True)
class _Score:
    """Accuracy first; among equals, common on few images, the smaller loss. Without validation later is better."""

    accuracy: float
    negative_loss: float


@dataclass(frozen=True, slots=True)
class _Best:
    epoch: int
    score: _Score
    probabilities: npt.NDArray[np.float64]
    state: dict[str, torch.Tensor]


def _between(start: dict[str, torch.Tensor], end: dict[str, torch.Tensor], *, share: float) -> dict[str, torch.Tensor]:
    """Weights at this share of the way from `start` to `end`; counters, which are no weights, as at the end."""
    return {
        name: torch.lerp(start[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def _copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _features(
    network: Network, inputs: Inputs, places: npt.NDArray[np.integer], *, control: RunControl
) -> npt.NDArray[np.float64]:
    """What the head reads [N, D] of inputs as they are."""
    module = network.module

    def before_head(batch: torch.Tensor) -> torch.Tensor:
        spatial = module.forward_features(batch)  # type: ignore[operator]
        return module.forward_head(spatial, pre_logits=True)  # type: ignore[operator,no-any-return]

    return _forward(network, inputs, places, control=control, part=before_head)


def _forward(
    network: Network,
    inputs: Inputs,
    places: npt.NDArray[np.integer],
    *,
    control: RunControl,
    part: Callable[[torch.Tensor], torch.Tensor],
) -> npt.NDArray[np.float64]:
    """What a part of the network makes of the inputs at `places` [N, ...], without random changes."""
    rows = [np.zeros((0, network.num_classes))]
    for module in (network.module, part):
        if isinstance(module, nn.Module):
            module.eval()
    with torch.inference_mode(), autocast(network.device):
        for start in range(0, len(places), PREDICTED_AT_ONCE):
            control.check()
            batch = inputs.plain(places[start : start + PREDICTED_AT_ONCE])
            rows.append(part(batch).double().cpu().numpy())
    return np.concatenate(rows[1:] or rows)
