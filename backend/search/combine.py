"""Several networks that answer together: greedy selection, kept only where it wins by more than chance. Pure.

It works on probabilities for the run's ranking images, which no network had learned from, and knows no networks.
Fine-tunes were stopped early on some of these images; that flatters them alone and together alike.

Source: Caruana et al. 2004, "Ensemble Selection from Libraries of Models".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.contracts import RankBy
from backend.data.targets import Targets, is_multilabel, strata
from backend.engine.label_metrics import truth_probability
from backend.engine.metrics import SMALLEST, image_losses, log_loss, score_by
from backend.search.calibrate import apply_calibration, calibrate, calibrate_together
from backend.search.leaderboard import SCORE_NAMES
from backend.search.trial import Trial

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

MOST_MEMBERS = 3  # an answer takes as long as all members together
ROUNDS = 20  # weights in steps of a twentieth are finer than some hundred images can tell
REPEATS = 5  # of dividing the images into halves, so that one lucky division decides nothing
LEVEL = 0.05
LEAST_GAIN = 0.005  # of the score: under half a point is not worth the time of several networks at every answer
ENSEMBLE = "ensemble"  # its name on the leaderboard


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """What came of combining.

    Attributes:
        members: trials with their weights, the heaviest first; the weights add up to 1. Empty where none is kept.
        reason: one sentence for the leaderboard: what was gained, or why one network answers alone.
        held_out, test_probabilities: of the members together, [R, C] and [T, C]; None where none is kept.
    """

    members: tuple[tuple[Trial, float], ...] = ()
    reason: str
    held_out: Floats | None = None
    test_probabilities: Floats | None = None

    @property
    def kept(self) -> bool:
        return bool(self.members)

    def as_trial(self) -> Trial:
        """The ensemble as a row like any other, under its leading member's architecture; costs are all members' sums.

        Raises:
            ValueError: none was kept.
        """
        if not self.members:
            raise ValueError("there is no ensemble")
        trials = [trial for trial, _ in self.members]
        leader = trials[0].candidate
        shares = ", ".join(f"{trial.candidate.name} {weight:.0%}" for trial, weight in self.members)
        return Trial(
            candidate=leader.model_copy(update={"name": ENSEMBLE, "default": False}),
            strategy="ensemble",
            reason=self.reason,
            tried=f"weighted average of {shares}",
            train_images=trials[0].train_images,
            held_out=self.held_out,
            places=trials[0].places,
            test_probabilities=self.test_probabilities,
            predict_ms_per_image=_sum(trial.predict_ms_per_image for trial in trials),
            size_mb=_sum(trial.size_mb for trial in trials),
            parameters=None if (total := _sum(trial.parameters for trial in trials)) is None else int(total),
            members=self.members,
        )


def combine(trials: Sequence[Trial], targets: Targets, *, by: RankBy, seed: int = 42) -> Combination:
    """Choose trials that are better together, and weigh them; the same trials and seed give the same answer.

    `held_out` of all trials and `targets` are of the same images in the same order; a trial with fewer takes no part.

    Whether they are better is judged on halves of the images that had no say in the choice, against the best single
    trial, both with a temperature of their own: an average that is merely less sure of itself gains nothing. Kept is
    what lowers the log-loss by more than chance (95%) and raises the score `by` which the leaderboard ranks by half a
    point; that gain of the score alone may still be within chance, and the rows then stand as a tie.
    """
    able = _able(trials, targets, by=by)
    if len(able) < 2:
        return Combination(reason="There are not two networks to combine.")
    answers = [trial.held_out for trial in able if trial.held_out is not None]
    weights = select(answers, targets)
    if np.count_nonzero(weights) == 1:
        return Combination(reason=f"No other network made {_best_of(able, weights)} better, so it answers alone.")
    verdict = _judge(answers, targets, by=by, seed=seed)
    if not verdict.wins:
        return Combination(reason=verdict.words)
    order = sorted(np.flatnonzero(weights), key=lambda place: -weights[place])
    members = tuple((able[place], float(weights[place])) for place in order)
    return Combination(
        members=members,
        reason=f"{len(members)} networks together. {verdict.words}",
        held_out=_average(answers, weights),
        test_probabilities=_average([trial.test_probabilities for trial in able], weights),
    )


def select(answers: Sequence[Floats], targets: Targets) -> Floats:
    """Weights [M] of M models, few of them above 0, adding up to 1, for the smallest log-loss of their average.

    Begins with the best, then adds one at a time, the same again too, as long as any time makes it better; ties go to
    the earlier. `answers` are M times [N, C].
    """
    truth = np.stack([_of_truth(one, targets) for one in answers])
    counts = np.zeros(len(answers), dtype=np.int64)
    best, least = counts.copy(), np.inf
    for size in range(1, ROUNDS + 1):
        allowed = counts > 0 if np.count_nonzero(counts) == MOST_MEMBERS else np.ones(len(counts), dtype=bool)
        losses = -np.log(np.clip((counts @ truth + truth) / size, SMALLEST, 1.0)).mean(axis=1)
        chosen = int(np.where(allowed, losses, np.inf).argmin())
        counts[chosen] += 1
        if losses[chosen] < least - 1e-12:
            best, least = counts.copy(), float(losses[chosen])
    return np.asarray(best / best.sum())


def _of_truth(answers: Floats, targets: Targets) -> Floats:
    """What is given to the truth: one number an image [N], of several labels one for each of them [N * C]."""
    if is_multilabel(targets):
        return truth_probability(answers, targets).ravel()
    return answers[np.arange(len(targets)), targets]


@dataclass(frozen=True, slots=True)
class _Verdict:
    wins: bool
    words: str


def _judge(answers: Sequence[Floats], targets: Targets, *, by: RankBy, seed: int) -> _Verdict:
    """Compare selection with the first of the models, on images that had no say in either's weights or temperature."""
    score = score_by(by)
    gains, together_scores, alone_scores = [], [], []
    for number in range(REPEATS):
        together, alone = np.zeros_like(answers[0], dtype=np.float64), np.zeros_like(answers[0], dtype=np.float64)
        halves = _halves(targets, seed=seed + number)
        for choosing, judging in (halves, halves[::-1]):
            together[judging], alone[judging] = _answer(answers, targets, choosing=choosing, judging=judging)
        gains.append(image_losses(alone, targets) - image_losses(together, targets))
        together_scores.append(score(together, targets))
        alone_scores.append(score(alone, targets))
    gain = np.mean(gains, axis=0)
    from scipy.stats import ttest_1samp  # takes a second, and most runs combine nothing

    # Equal gains everywhere, such as none at all, have no spread to test against.
    sure = gain.std() > 0 and float(ttest_1samp(gain, 0.0, alternative="greater").pvalue) < LEVEL
    name = SCORE_NAMES[by]
    ours, theirs = float(np.mean(together_scores)), float(np.mean(alone_scores))
    figures = (
        f"{name} {100 * ours:.1f}% together, {100 * theirs:.1f}% for the best alone, log-loss changed by "
        f"{-gain.mean():+.3f}, cross-validated"
    )
    if not sure:
        return _Verdict(
            wins=False,
            words=f"Several networks together gained nothing beyond chance ({figures}), so one answers alone.",
        )
    if ours - theirs < LEAST_GAIN:
        return _Verdict(
            wins=False, words=f"Several networks together gained too little for their time ({figures}); one answers."
        )
    return _Verdict(wins=True, words=f"Surer of what is right than the best alone, by more than chance: {figures}.")


def _answer(answers: Sequence[Floats], targets: Targets, *, choosing: Ints, judging: Ints) -> tuple[Floats, Floats]:
    """Answers to the judging images: of what the choosing images select, and of the first model alone."""
    weights = select([one[choosing] for one in answers], targets[choosing])
    places = np.flatnonzero(weights).tolist()
    chosen = [answers[place] for place in places]
    heavy = calibrate_together([one[choosing] for one in chosen], list(weights[places]), targets[choosing])
    together = sum(
        weight * apply_calibration(one[judging], heavy) for one, weight in zip(chosen, weights[places], strict=True)
    )
    own = calibrate(answers[0][choosing], targets[choosing])
    return np.asarray(together), apply_calibration(answers[0][judging], own)


def _halves(targets: Targets, *, seed: int) -> tuple[Ints, Ints]:
    """Two stratified halves; a class with an odd number of images leans to either at random."""
    targets = strata(targets)
    random = np.random.default_rng(seed)
    order = random.permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    swapped = random.random(len(order) // 2 + 1) < 0.5
    places = np.arange(len(order))
    first = (places % 2 == 0) != swapped[places // 2]
    return np.sort(order[first]), np.sort(order[~first])


def _able(trials: Sequence[Trial], targets: Targets, *, by: RankBy) -> list[Trial]:
    """Networks with answers to all images and to the test images, best first."""
    able = [
        (trial, trial.held_out)
        for trial in trials
        if trial.strategy not in {"baseline", "ensemble"}
        and trial.status == "ok"
        and trial.held_out is not None
        and len(trial.held_out) == len(targets)
        and trial.test_probabilities is not None
    ]
    score = score_by(by)
    able.sort(key=lambda one: (-round(score(one[1], targets), 9), log_loss(one[1], targets)))
    return [trial for trial, _ in able]


def _average(answers: Sequence[Floats | None], weights: Floats) -> Floats:
    parts = [weight * one for one, weight in zip(answers, weights, strict=True) if one is not None and weight > 0]
    return np.asarray(sum(parts))


def _sum(parts: Iterable[float | None]) -> float | None:
    """The sum, or None where a part is unknown."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def _best_of(able: Sequence[Trial], weights: Floats) -> str:
    return able[int(weights.argmax())].candidate.name
