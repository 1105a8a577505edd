"""Fine-tuning: the head is solved first, then the stages below it train, and the best epoch or the last is kept.

A ladder: `finetune` > `_Finetune.run` > `_run_phase` > `_run_epoch` > `Stepper.step`. It reports epochs and obeys
`control`; it does not choose networks, data or settings. Where `control` brings a journal, a training that was cut
short goes on after its last checkpoint, and ends as if it had never been.

The head comes first because a random one distorts good features (Kumar et al. 2022, "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution"). It is solved, not stepped: on 130 Fashion-MNIST images one
epoch of steps leaves Lite0's head at 43% of the validation images, the solved one stands at 81%.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backend.contracts import EpochRecord, FinetuneSettings, RunControl
from backend.data.targets import images_by_class, is_multilabel
from backend.engine.activation import activate_array
from backend.engine.batch_memory import fitting_batch
from backend.engine.batches import Pixels, TrainingBatches, TrainingData
from backend.engine.best_checkpoint import keep_best
from backend.engine.epoch_checkpoint import (
    EpochCheckpoints,
    Standing,
    optimiser_state,
    random_state,
    restore_optimiser,
    restore_random_state,
)
from backend.engine.finetune_plan import FinetuneOutcome, FinetunePlan
from backend.engine.head_start import start_from_shares
from backend.engine.input_answers import features_before_head, forward, predict_inputs
from backend.engine.judging import judge, unjudged
from backend.engine.kept_weights import Best, Score, between, copy_of
from backend.engine.losses import loss_for
from backend.engine.memory import halving
from backend.engine.network import Network
from backend.engine.probe import HeadPlan, solve_head
from backend.engine.schedule import (
    Phase,
    freeze_below_head,
    make_optimiser,
    make_scheduler,
    plan_phases,
    set_training_mode,
    thaw,
)
from backend.engine.steps import Average, LossExplodedError, Stepper, make_mixing
from backend.errors import DeadlineExceeded, RecipeError

__all__ = ["FinetuneOutcome", "FinetunePlan", "Pixels", "TrainingData", "finetune", "predict_inputs"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.floating]
OnEpoch = Callable[[EpochRecord], None]


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
    start = copy_of(network.module)
    control = control or RunControl()
    checkpoints = EpochCheckpoints(control.journal, identity=_identity(network, data, settings=settings, plan=plan))
    standing = checkpoints.read()

    def attempt(batch_size: int) -> FinetuneOutcome:
        network.module.load_state_dict(start)
        run = _Finetune(network, data, settings=settings, plan=plan, control=control)
        run.checkpoints = checkpoints
        run.standing = standing if standing is not None and standing.batch_size == batch_size else None
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(plan.seed)
            return run.run(batch_size, on_epoch or (lambda _: None))

    if standing is None:
        batch_size = fitting_batch(network, data.inputs, min(plan.batch_size, max(1, len(data.train))))
    else:
        batch_size = standing.batch_size
    return halving(attempt, batch_size, what=f"training {network.spec.name}")


def _identity(network: Network, data: TrainingData, *, settings: FinetuneSettings, plan: FinetunePlan) -> str:
    """What a checkpoint must be of, to be gone on from."""
    known = (network.spec.timm_name, network.weights, network.num_classes, settings.model_dump_json(), plan)
    digest = hashlib.sha256(repr(known).encode())
    for places in (data.train, data.val, data.targets):
        digest.update(np.ascontiguousarray(places).astype(np.int64).tobytes())
    return digest.hexdigest()


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
        self._history: list[EpochRecord] = []
        self._by_epoch: list[npt.NDArray[np.float64]] = []
        self.checkpoints: EpochCheckpoints | None = None
        self.standing: Standing | None = None
        self._best: Best | None = None
        self._head_solved = False
        self._solved: dict[str, torch.Tensor] | None = None

    def run(self, batch_size: int, on_epoch: OnEpoch) -> FinetuneOutcome:
        stopped: str | None = None
        batches = TrainingBatches(self._data, batch_size=batch_size, seed=self._plan.seed, device=self._network.device)
        try:
            standing = self.standing
            if standing is None:
                self._prepare_head(on_epoch)
            else:
                self._take_up(standing, on_epoch)
            for number, phase in enumerate(self._phases()):
                if standing is None or number >= standing.phase:
                    self._run_phase(number, phase, batches, on_epoch)
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
        data, control = self._data, self._control
        if not self._head_is_solved():
            if is_multilabel(data.targets):
                start_from_shares(self._network, data.targets[data.train])
            return
        if data.features is None:
            features = features_before_head(self._network, data.inputs, data.train, control=control)
        else:
            features = data.features[data.train]
        head_plan = HeadPlan(seed=self._plan.seed, balanced=data.balanced)
        solve_head(self._network, features, data.targets[data.train], plan=head_plan, control=control)
        self._tread_gently()
        self._validate(0, None, on_epoch)
        self._solved = copy_of(self._network.module)

    def _tread_gently(self) -> None:
        """A head at its optimum has nothing to gain from epochs of its own, and much to lose by long steps."""
        self._head_solved = True
        gentle = min(self._settings.head_lr, self._settings.backbone_lr)
        self._settings = self._settings.model_copy(update={"head_epochs": 0, "head_lr": gentle})

    def _take_up(self, standing: Standing, on_epoch: OnEpoch) -> None:
        """Go on where an earlier attempt stood; what it told is told again."""
        self._network.module.load_state_dict(standing.tensors["module"])
        self._history, self._by_epoch = list(standing.history), list(standing.by_epoch)
        self._solved = standing.tensors.get("solved")
        if standing.facts["solved"]:
            self._tread_gently()
        groups = standing.tensors
        state = groups.get("best") or groups.get("average") or groups["module"]
        epoch = standing.facts["best_epoch"]
        place = next(place for place, record in enumerate(self._history) if record.epoch == epoch)
        self._best = Best(epoch, Score(*standing.facts["best_score"]), self._by_epoch[place], state)
        for record in self._history:
            on_epoch(record)

    def _blended(self, best: Best, share: float) -> npt.NDArray[np.float64]:
        """Load weights on the straight line between the start and the training's end; their validation answers.

        Half way they often answer better than at either end, the more so the fewer the images (Wortsman et al. 2022,
        "Robust fine-tuning of zero-shot models").
        """
        state = best.state if self._solved is None else between(self._solved, best.state, share=share)
        self._network.module.load_state_dict(state)
        return predict_inputs(self._network, self._data.inputs, self._data.val, control=self._control)

    def _head_is_solved(self) -> bool:
        """A network from scratch has no features to solve a head on; a class of one image cannot be held out."""
        counts = images_by_class(self._data.targets[self._data.train], self._network.num_classes)
        return self._settings.head == "solve" and self._pretrained and bool(counts.min() >= 2)

    @property
    def _pretrained(self) -> bool:
        """From scratch there is nothing to protect: all epochs train everything, BatchNorm statistics too."""
        return self._network.weights != "scratch"

    def _phases(self) -> list[Phase]:
        return plan_phases(self._plan.num_epochs, head_epochs=self._settings.head_epochs if self._pretrained else 0)

    def _run_phase(self, number: int, phase: Phase, batches: TrainingBatches, on_epoch: OnEpoch) -> None:
        settings, network = self._settings, self._network
        optimiser = make_optimiser(network, settings)
        accumulate = settings.accumulate * math.ceil(self._plan.batch_size / batches.batch_size)
        accumulate = max(1, min(accumulate, len(batches)))
        steps = phase.epochs * math.ceil(len(batches) / accumulate)
        averaged = settings.ema_decay > 0 and phase.whole_network
        stepper = Stepper(
            network=network,
            optimiser=optimiser,
            scheduler=make_scheduler(optimiser, steps=steps, warmup_fraction=self._warmup(phase)),
            settings=settings,
            mixing=make_mixing(settings, num_classes=network.num_classes),
            average=Average(network.module, decay=settings.ema_decay) if averaged else None,
            loss=loss_for(network, self._data, said=self._plan.loss, smoothing=settings.label_smoothing),
            accumulate=accumulate,
        )
        log.debug("phase begins", extra={"phase": phase.name, "epochs": phase.epochs, "steps": steps})
        for index in range(self._epochs_done(number, stepper, batches), phase.epochs):
            self._unfreeze(phase, index)
            epoch = self._next_epoch()
            loss = self._run_epoch(batches, stepper)
            self._validate(epoch, loss, on_epoch, judged=stepper.average.module if stepper.average else None)
            self._keep_standing((number, index + 1), stepper, batches)
            self._check_enough(epoch)

    def _epochs_done(self, number: int, stepper: Stepper, batches: TrainingBatches) -> int:
        """Epochs of a phase that an earlier attempt has done; what steps is then as it was after them."""
        standing = self.standing
        if standing is None or standing.phase != number:
            return 0
        groups, facts = standing.tensors, standing.facts
        restore_optimiser(stepper.optimiser, groups.get("optimiser", {}), facts["rates"])
        stepper.scheduler.last_epoch = facts["steps"]
        if stepper.average is not None:
            stepper.average.module.load_state_dict(groups["average"])
            stepper.average.steps = facts["averaged"]
        batches.random_state = groups["random"]["batches"]
        restore_random_state(self._network.device, groups["random"])
        self._check_enough(self._history[-1].epoch)
        return standing.epochs_done

    def _keep_standing(self, place: tuple[int, int], stepper: Stepper, batches: TrainingBatches) -> None:
        """Write down how all stands after an epoch, where that is worth its time."""
        best, average = self._best, stepper.average
        if self.checkpoints is None or best is None or not self.checkpoints.due:
            return
        moments, rates = optimiser_state(stepper.optimiser)
        random = random_state(self._network.device) | {"batches": batches.random_state}
        groups = {"module": self._network.module.state_dict(), "optimiser": moments, "random": random}
        if average is not None:
            groups["average"] = average.module.state_dict()
        if best.epoch != self._history[-1].epoch:
            groups["best"] = best.state
        if self._solved is not None and (self._plan.blends or self._plan.share != 1.0):
            groups["solved"] = self._solved
        facts = {
            "solved": self._head_solved,
            "rates": rates,
            "steps": stepper.scheduler.last_epoch,
            "averaged": average.steps if average is not None else 0,
            "best_epoch": best.epoch,
            "best_score": (best.score.quality, best.score.negative_loss),
        }
        standing = Standing(
            batch_size=batches.batch_size,
            phase=place[0],
            epochs_done=place[1],
            history=tuple(self._history),
            by_epoch=tuple(self._by_epoch),
            facts=facts,
            tensors=groups,
        )
        self.checkpoints.write(standing)

    def _warmup(self, phase: Phase) -> float:
        """The share of a phase's steps in which the rate rises."""
        epochs = self._settings.warmup_epochs
        return self._settings.warmup_fraction if epochs is None else min(1.0, epochs / phase.epochs)

    def _unfreeze(self, phase: Phase, index: int) -> None:
        """The head alone, or the last stages first, one more each epoch until all are free."""
        if not phase.whole_network or self._settings.freeze_backbone:
            freeze_below_head(self._network, frozen=True, but_attention=self._settings.freeze_backbone)
            return
        slow = self._settings.unfreeze_epochs if self._pretrained else 0
        thaw(self._network, share=min(1.0, (index + 1) / (slow + 1)))

    def _run_epoch(self, batches: TrainingBatches, stepper: Stepper) -> float:
        """One pass over the training images; the mean loss in nats."""
        set_training_mode(self._network, follow=self._settings.batch_norm == "train")
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
        stepper.end_epoch()
        return total / seen

    def _validate(
        self, epoch: int, train_loss: float | None, on_epoch: OnEpoch, *, judged: nn.Module | None = None
    ) -> None:
        """Score the weights (or their average, `judged`) on validation, keep them where they are wanted, and tell."""
        module = judged or self._network.module
        data = self._data
        record = EpochRecord(epoch=epoch, train_loss=train_loss, val_loss=None, val_accuracy=None)
        score, probabilities = unjudged(epoch), np.zeros((0, self._network.num_classes))
        if len(data.val):
            rows = forward(self._network, data.inputs, data.val, control=self._control, part=module)
            probabilities = activate_array(rows, self._network.task)
            score, found = judge(probabilities, data.targets[data.val], by=self._plan.judged_by)
            record = record.model_copy(update=found)
        if self._plan.keep == "last" or self._best is None or score > self._best.score:
            self._best = Best(epoch, score, probabilities, copy_of(module))
            self._write_best(record)
        self._history.append(record)
        self._by_epoch.append(probabilities)
        on_epoch(record)

    def _write_best(self, record: EpochRecord) -> None:
        """The best epoch's weights as a file, where they are wanted."""
        best, folder = self._best, self._plan.keep_in
        if folder is not None and best is not None:
            by = "accuracy" if record.val_macro_f1 is None else "macro_f1"
            keep_best(folder, best.state, epoch=best.epoch, score=best.score.quality, by=by)

    def _check_enough(self, epoch: int) -> None:
        if self._plan.stop_after is not None and epoch >= self._plan.stop_after:
            raise _Stop
        patience = self._settings.patience
        if self._plan.keep == "best" and self._best is not None and epoch - self._best.epoch >= patience:
            if patience == 1:
                raise _Stop("No better validation score for 1 epoch.")
            raise _Stop(f"No better validation score for {patience} epochs.")

    def _next_epoch(self) -> int:
        return 1 + (self._history[-1].epoch if self._history else 0)

    def _keep_something(self, stopped: str | None, on_epoch: OnEpoch) -> Best:
        """The best so far; an interrupted first epoch is validated as it is, for it is all there is."""
        if self._best is None and all(p.isfinite().all() for p in self._network.module.parameters()):
            self._validate(self._next_epoch(), None, on_epoch)
        if self._best is None:
            raise RecipeError(stopped or "The training left nothing to keep.")
        return self._best
