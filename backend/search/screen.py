"""The screen: every candidate probed on a growing share of the images, and who is worth the rest.

On few images there is one rung, and everyone stands on it to the end. It never sees a test label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import Candidate
from backend.contracts.journal import decided
from backend.engine.metrics import score_by
from backend.search.budget import Budget
from backend.search.candidates import cost
from backend.search.entrant import Entrant, enter
from backend.search.leaderboard import SCORE_NAMES
from backend.search.probing import Refusal, Rung, revive_probe
from backend.search.rungs import ladder, survivors
from backend.search.ties import is_tie
from backend.search.trial import Trial
from backend.search.turns import Offer, Turn, Turns, Work

if TYPE_CHECKING:
    from backend.search.study import Ints, Study
    from backend.search.watch import TrialWatch


CAUTION = 0.5  # of a guess: networks differ by as much in what one weight costs, and a wrong refusal loses a network
UNKNOWN_S = 5.0  # stands for a guess that nobody can make yet
TIGHT = 0.1  # share of the time left from which on a turn is worth timing beforehand


@dataclass(kw_only=True)
class _Climber:
    """A candidate with the features and the trial that it has so far."""

    candidate: Candidate
    entrant: Entrant | None = None
    trial: Trial | None = None
    held_back: str | None = None  # why it cannot climb on

    @property
    def standing(self) -> Trial | None:
        """Its score so far, where it has one that counts."""
        return self.trial if self.trial is not None and self.trial.status == "ok" else None

    @property
    def alive(self) -> bool:
        return self.held_back is None and (self.trial is None or self.standing is not None)


class Screen:
    """One screening. `span` is its part of the job's progress bar."""

    def __init__(self, study: Study, turns: Turns, *, budget: Budget, span: tuple[float, float]) -> None:
        self._study = study
        self._turns = turns
        self._budget = budget
        self._reached, self._end = span
        self._climbers: list[_Climber] = []

    def run(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Probe candidates, cheapest first; all trials, those that were stopped early too."""
        self._climbers = [_Climber(candidate=candidate) for candidate in candidates]
        sizes = ladder(len(self._study.learnable))
        for number, size in enumerate(sizes):
            last = number == len(sizes) - 1
            places = self._study.learnable if last else self._study.growing[:size]
            alive = self._in_order(first=number == 0)
            width = (self._end - self._reached) * (1.0 if last else 0.5)
            self._climb(alive, places, last=last, shares=self._shares(alive, width))
            if not last:
                self._halve(places)
        self._settle()
        return [climber.trial for climber in self._climbers if climber.trial is not None]

    def _in_order(self, *, first: bool) -> list[_Climber]:
        """Cheapest first on the first rung, so that a row shows early; then the most promising, while there is time."""
        alive = [climber for climber in self._climbers if climber.alive]
        return alive if first else sorted(alive, key=lambda climber: -self._score(climber))

    def _shares(self, alive: Sequence[_Climber], width: float) -> list[tuple[float, float]]:
        total = sum(cost(climber.candidate) for climber in alive)
        shares = []
        for climber in alive:
            begin = self._reached
            self._reached += width * cost(climber.candidate) / total
            shares.append((begin, self._reached))
        return shares

    def _climb(
        self, alive: Sequence[_Climber], places: Ints, *, last: bool, shares: Sequence[tuple[float, float]]
    ) -> None:
        """Let them look at the images; whoever is first must finish, for a run that ends with nothing helps nobody."""
        by_name = {climber.candidate.name: climber for climber in alive}
        under_way: set[str] = set()  # those that must, and have not ended

        def offers() -> Iterator[Offer]:
            for climber, share in zip(alive, shares, strict=True):
                must = not under_way and not any(one.standing for one in self._climbers)
                under_way.update([climber.candidate.name] if must else [])
                turn = self._turn(climber, share, must=must)
                yield turn, self._work(climber, places, last=last, must=must)

        refused: list[Turn] = []
        for turn, trial in self._turns.take_all(offers()):
            under_way.discard(turn.candidate.name)
            self._ended(by_name[turn.candidate.name], trial, last=last)
            refused.extend([turn] if trial.status == "skipped" and not turn.must else [])
        # Side by side, the one that had to finish may fail after the others were refused for lack of time.
        while refused and not any(one.standing for one in self._climbers):
            turn = replace(refused.pop(0), must=True)
            climber = by_name[turn.candidate.name]
            trial = self._turns.take(turn, self._work(climber, places, last=last, must=True))
            self._ended(climber, trial, last=last)

    def _ended(self, climber: _Climber, trial: Trial, *, last: bool) -> None:
        if trial.status == "skipped" and climber.standing is not None:
            climber.held_back = trial.reason or ""  # its score on fewer images stands
            return
        climber.trial = trial
        if last or trial.status != "ok":
            self._turns.close(trial)

    def _work(self, climber: _Climber, places: Ints, *, last: bool, must: bool) -> Work:
        def work(*, watch: TrialWatch) -> Trial:
            entrant = self._entrant(climber)
            guess = self._guess(climber, len(places) + (len(self._study.test) if last else 0))
            tight = decided(
                watch.control.journal,
                "tight",
                lambda: not must and max(guess, UNKNOWN_S) > self._budget.left() * TIGHT,
            )
            owed = 0.0 if last or self._answered() else self._owed()
            refusal = None if must else Refusal(budget=self._budget, images=len(places), owed=owed)
            rung = Rung(places=places, last=last, refusal=refusal, guess=guess, tight=tight)
            return self._turns.runner.probe(self._study, entrant, rung, watch=watch)

        return work

    def _turn(self, climber: _Climber, share: tuple[float, float], *, must: bool) -> Turn:
        def revive(trial: Trial) -> Trial:
            return revive_probe(self._study, self._entrant(climber), trial) if trial.status == "ok" else trial

        return Turn(candidate=climber.candidate, strategy="probe", share=share, must=must, revive=revive)

    def _entrant(self, climber: _Climber) -> Entrant:
        if climber.entrant is None:
            climber.entrant = enter(self._study, climber.candidate)
        return climber.entrant

    def _guess(self, climber: _Climber, images: int) -> float:
        """Seconds for a network that was never timed, by the quickest of the others, weight for weight."""
        paces = [
            pace / cost(one.candidate)
            for one in self._climbers
            if one.entrant is not None and (pace := one.entrant.source.seconds_per_image)
        ]
        return CAUTION * min(paces) * cost(climber.candidate) * images if paces else 0.0

    def _answered(self) -> bool:
        """Whether somebody stands on the last rung, with answers to the test images."""
        return any(one.standing is not None and one.standing.usable for one in self._climbers)

    def _owed(self) -> float:
        """Seconds that the cheapest standing candidate needs for the test images: somebody has to answer them."""
        known = [one.entrant.estimate(self._study.test) for one in self._climbers if one.standing and one.entrant]
        return min(known, default=0.0)

    def _halve(self, places: Ints) -> None:
        """Stop those that have lost on these images."""
        standing = [one for one in self._climbers if one.standing is not None and not one.held_back]
        if len(standing) < 2:
            return
        targets = self._study.targets[places]
        scores = [self._score(one) for one in standing]
        best = standing[int(np.argmax(scores))].standing
        if best is None or best.held_out is None:
            return
        ties = [
            one.standing is not None
            and one.standing.held_out is not None
            and is_tie(one.standing.held_out, best.held_out, targets)
            for one in standing
        ]
        kept = {id(standing[place]) for place in survivors(scores, ties)}
        for one, score in zip(standing, scores, strict=True):
            if id(one) not in kept:
                self._stop(
                    one,
                    f"Stopped after {len(places):,} of {len(self._study.learnable):,} images: "
                    f"{100 * score:.1f}% there, the best had {100 * max(scores):.1f}%"
                    f"{'' if self._study.task == 'multiclass' else f' {SCORE_NAMES[self._study.ranked_by]}'}.",
                )

    def _settle(self) -> None:
        """End the ways that were left open. Where nobody could look at all images, the best so far answers the test."""
        open_ways = [one for one in self._climbers if one.standing is not None and not one.standing.usable]
        if not open_ways:
            return
        if not self._answered():
            leader = max(open_ways, key=lambda one: (self._seen(one), self._score(one)))
            self._answer(leader)
            open_ways.remove(leader)
        for one in open_ways:
            self._stop(one, f"{one.held_back or 'Others were better.'} It has seen {self._seen(one):,} images.")

    def _answer(self, climber: _Climber) -> None:
        trial, entrant = climber.standing, climber.entrant
        if trial is None or entrant is None:
            raise ValueError("who answers has a trial")
        turn = self._turn(climber, (self._end, self._end), must=True)
        answered = self._turns.take(turn, partial(self._turns.runner.answer, self._study, entrant, trial))
        climber.trial = self._turns.close(replace(answered, reason=climber.held_back))

    def _stop(self, climber: _Climber, reason: str) -> None:
        if climber.trial is not None:
            climber.trial = self._turns.close(climber.trial.stopped(reason))
        climber.entrant = None

    def _seen(self, climber: _Climber) -> int:
        return (climber.standing.train_images or 0) if climber.standing else 0

    def _score(self, climber: _Climber) -> float:
        trial = climber.standing
        if trial is None or trial.held_out is None or trial.places is None:
            return 0.0
        return score_by(self._study.ranked_by)(trial.held_out, self._study.targets[trial.places])
