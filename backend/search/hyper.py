"""The search for a fine-tune's numbers: Optuna proposes, cross-fitting judges, what begins badly is pruned.

It knows no network. The same seed proposes the same numbers in the same order; only the time may end it sooner. Losses
stand in the journal, so that a search that was cut short proposes and prunes again what it had, without training.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts.journal import Note
from backend.engine.metrics import log_loss

if TYPE_CHECKING:
    import numpy.typing as npt
    import optuna

    from backend.contracts import FinetuneSettings, RunControl
    from backend.search.crossfit import Course

    Ints = npt.NDArray[np.integer]

log = logging.getLogger(__name__)

LOSS = "loss"
STARTUP_TRIALS = 2  # before them there is no median to be worse than


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What was found: the course with the best numbers, and how many others were tried, pruned ones included."""

    course: Course
    trials: int
    pruned: int

    @property
    def words(self) -> str:
        """A few words for the leaderboard's row."""
        settings = self.course.settings
        mixing = "mixup" if settings.mixup_alpha else "cutmix" if settings.cutmix_alpha else "no mixing"
        return (
            f"best of {self.trials} settings (learning rate {settings.backbone_lr:.1g}, layer decay "
            f"{settings.layer_decay:.2f}, {mixing})"
        )


def tune(course: Course, *, trials: int, folds: int, seconds: float, control: RunControl) -> Tuning:
    """Try settings on cross-validation folds, the plain ones first; the smallest log-loss wins.

    A trial whose folds so far are worse than the median of the others' is pruned. None begins that would end after
    `seconds`.

    Raises:
        JobCancelled, DeadlineExceeded: through `control`, between batches.
    """
    import optuna  # half a second, and only the best preset needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=course.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    study.enqueue_trial(_as_proposed(course.settings))
    clock = _Clock(seconds, control=control)
    tried: list[FinetuneSettings] = []
    while len(tried) < trials and clock.has_time_for_another(len(tried)):
        trial = study.ask()
        tried.append(_proposed(trial, course.settings))
        candidate = replace(course, settings=tried[-1])
        value = _judge(candidate, trial, folds=folds, control=control.at(f"trial {trial.number}"))
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)
        log.debug("settings tried", extra={"params": trial.params, "log_loss": value})
    pruned = len(study.get_trials(states=[optuna.trial.TrialState.PRUNED]))
    best = tried[study.best_trial.number]
    return Tuning(course=replace(course, settings=best), trials=len(tried), pruned=pruned)


class _Clock:
    """Whether another trial as long as those before fits; what was decided once stands."""

    def __init__(self, seconds: float, *, control: RunControl) -> None:
        self._begin = time.monotonic()
        self._seconds = seconds
        self._journal = control.journal

    def has_time_for_another(self, done: int) -> bool:
        known = self._journal.recall(f"after {done}")
        if known is None:
            used = time.monotonic() - self._begin
            known = Note({"more": not done or used + used / done <= self._seconds, "used_s": used})
            self._journal.note(f"after {done}", known.facts)
        else:  # what an earlier attempt has used
            self._begin = min(self._begin, time.monotonic() - known.facts["used_s"])
        return bool(known.facts["more"])


def _judge(course: Course, trial: optuna.Trial, *, folds: int, control: RunControl) -> float | None:
    """Mean log-loss of the held-out answers in nats, or None where the trial was pruned."""
    losses: list[float] = []
    for fold, (learn, held_out) in enumerate(course.folds(folds, judged=folds)):
        losses.append(_loss(course, learn, held_out, control=control.at(f"fold {fold}")))
        trial.report(float(np.mean(losses)), step=len(losses))
        if len(losses) < folds and trial.should_prune():
            return None
    return float(np.mean(losses))


def _loss(course: Course, learn: Ints, held_out: Ints, *, control: RunControl) -> float:
    """Log-loss of one fold's held-out answers in nats, by the journal where it was trained before."""
    known = control.journal.recall(LOSS)
    if known is None:
        training = control.at("training")
        outcome = course.train(course.start(), learn, held_out, control=training)
        # the share of the training that is kept is chosen afterwards, so it is left out of the comparison
        loss = min(log_loss(rows, course.targets[held_out]) for rows in outcome.by_blend.values())
        known = Note({"nats": float(loss)})
        control.journal.note(LOSS, known.facts)
        training.journal.forget()
    return float(known.facts["nats"])


def _proposed(trial: optuna.Trial, settings: FinetuneSettings) -> FinetuneSettings:
    """Settings that a trial proposes. The ranges reach a factor of ten around values that served many sets."""
    mixing = trial.suggest_categorical("mixing", ["none", "mixup", "cutmix"])
    update = {
        "backbone_lr": trial.suggest_float("backbone_lr", 1e-4, 5e-3, log=True),
        "layer_decay": trial.suggest_float("layer_decay", 0.4, 1.0),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.3, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "mixup_alpha": 0.2 if mixing == "mixup" else 0.0,
        "cutmix_alpha": 1.0 if mixing == "cutmix" else 0.0,
    }
    return settings.model_copy(update=update)


def _as_proposed(settings: FinetuneSettings) -> dict[str, float | str]:
    """The plain settings, as the first trial; Optuna clips nothing, so they are brought into the ranges."""
    mixing = "mixup" if settings.mixup_alpha else "cutmix" if settings.cutmix_alpha else "none"
    return {
        "mixing": mixing,
        "backbone_lr": min(max(settings.backbone_lr, 1e-4), 5e-3),
        "layer_decay": max(settings.layer_decay, 0.4),
        "weight_decay": min(max(settings.weight_decay, 1e-4), 0.3),
        "label_smoothing": min(settings.label_smoothing, 0.2),
    }
