"""Turns of networks: whatever happens in one becomes a trial, is noted, shown and tracked. It ranks nothing.

One at a time in this process; where a pool of machines does the work, as many as it has room for. A turn whose trial
stands in the journal, because an earlier attempt at the same run came so far, is not taken again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from backend.contracts import Candidate, LeaderboardRow, TrialStrategy
from backend.engine.memory import is_out_of_memory
from backend.errors import DeadlineExceeded, Interruption, OutOfMemory, SightglassError
from backend.search.leaderboard import preview
from backend.search.runner import InProcess
from backend.search.trial import Trial
from backend.search.trial_notes import let_model_go, note_trial, recalled_trial
from backend.search.watch import TrialControl, TrialWatch, shown_score
from backend.storage.files import is_disk_full

if TYPE_CHECKING:
    from backend.contracts import RunControl
    from backend.contracts.journal import Journal
    from backend.contracts.run import CandidateState
    from backend.search.runner import TrialRunner
    from backend.search.study import Study
    from backend.tracking import Tracker

log = logging.getLogger(__name__)

WORK = "work"  # the page of what a turn writes down on its way; it goes when the turn ends
NO_MEMORY = "Not enough memory for this network; try a smaller one or a smaller batch_size."
STATES: Final[dict[str, CandidateState]] = {"ok": "succeeded", "skipped": "skipped", "failed": "failed"}


class Work(Protocol):
    """What a turn does."""

    def __call__(self, *, watch: TrialWatch) -> Trial:
        """Try it, telling `watch` how it stands."""
        ...


def _as_it_is(trial: Trial) -> Trial:
    return trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose turn it is, and its share of the job's progress bar, 0..1.

    `must` finishes whatever the budget says: a run that ends with nothing helps nobody. `revive` gives a trial from the
    journal back what it can only do with its surroundings.
    """

    candidate: Candidate
    strategy: TrialStrategy
    share: tuple[float, float]
    must: bool = False
    revive: Callable[[Trial], Trial] = _as_it_is


Offer = tuple[Turn, Work]


class Turns:
    """Takes turns, shows them and hands their ends to the tracker. `runner` does the heavy part of the work."""

    def __init__(
        self, study: Study, *, control: RunControl, tracker: Tracker, runner: TrialRunner | None = None
    ) -> None:
        self._study = study
        self._control = control
        self._tracker = tracker
        self.runner: TrialRunner = runner or InProcess()
        self._taken: Counter[str] = Counter()
        self._pages: dict[str, Journal] = {}

    def take_all(self, offers: Iterable[Offer]) -> Iterator[tuple[Turn, Trial]]:
        """Take turns, as many at once as the runner has room for, each as it ends.

        The next offer is asked for when there is room, so that with one turn at a time it knows all that went before.
        """
        room = self.runner.width
        if room == 1:
            for turn, work in offers:
                yield turn, self.take(turn, work)
            return
        with ThreadPoolExecutor(room, thread_name_prefix="turn") as threads:
            try:
                yield from self._side_by_side(threads, offers, room)
            except BaseException:
                self.runner.stop()  # else leaving the block would wait for all of them
                raise

    def _side_by_side(
        self, threads: ThreadPoolExecutor, offers: Iterable[Offer], room: int
    ) -> Iterator[tuple[Turn, Trial]]:
        running: dict[Future[Trial], Turn] = {}
        coming = iter(offers)
        more = True
        while more or running:
            while more and len(running) < room:
                offer = next(coming, None)
                more = offer is not None
                if offer is not None:
                    running[threads.submit(self.take, *offer)] = offer[0]
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in [one for one in running if one in done]:
                yield running.pop(future), future.result()

    def take(self, turn: Turn, work: Work) -> Trial:
        """Do the work, unless the journal has it; a failure is a trial that says why. Cancelling goes through."""
        page = self._page(turn)
        control = (self._control if turn.must else TrialControl(self._control)).at(page).at(WORK)
        watch = TrialWatch(turn.candidate, control=control, share=turn.share)
        self._pages[turn.candidate.name] = journal = self._control.journal.at(page)
        known = recalled_trial(journal)
        if known is not None:
            trial = turn.revive(known)
        else:
            trial = self._new(turn, work, watch=watch)
            note_trial(journal, trial)
            control.journal.forget()
        watch.wait(score=shown_score(self._row(trial)))
        if trial.status == "ok":
            self._control.keep_what_is_done()
        return trial

    def let_model_go(self, trial: Trial) -> Trial:
        """The trial without its network, in the journal too."""
        if trial.model is not None and trial.candidate.name in self._pages:
            let_model_go(self._pages[trial.candidate.name])
        return trial.without_model()

    def _page(self, turn: Turn) -> str:
        """A name for the turn's page that another attempt at the same run finds again."""
        name = f"{turn.strategy} {turn.candidate.name}"
        self._taken[name] += 1
        return f"{name} {self._taken[name]}"

    def _new(self, turn: Turn, work: Work, *, watch: TrialWatch) -> Trial:
        started = time.perf_counter()
        trial = self._guarded(turn, work, watch=watch)
        return trial if trial.train_seconds else replace(trial, train_seconds=time.perf_counter() - started)

    def close(self, trial: Trial) -> Trial:
        """Show and track the end of a candidate's way."""
        row = self._row(trial)
        self._tracker.candidate(row, trial.history, {"strategy": trial.strategy, "family": trial.candidate.family})
        TrialWatch(trial.candidate, control=self._control).done(STATES[trial.status], row=row)
        return trial

    def _row(self, trial: Trial) -> LeaderboardRow:
        places = self._study.ranking if trial.places is None else trial.places
        return preview(trial, self._study.targets[places])

    def _guarded(self, turn: Turn, work: Work, *, watch: TrialWatch) -> Trial:
        try:
            return work(watch=watch)
        except (DeadlineExceeded, OutOfMemory) as error:
            return Trial(candidate=turn.candidate, strategy=turn.strategy, status="skipped", reason=error.detail)
        except Interruption:
            raise
        except Exception as error:  # the trial's edge: one network's failure is a row, not the end of the run
            if is_disk_full(error):
                raise  # nor would another network have room
            if is_out_of_memory(error):
                return Trial(candidate=turn.candidate, strategy=turn.strategy, status="skipped", reason=NO_MEMORY)
            log.exception("trial failed", extra={"candidate": turn.candidate.name})
            return Trial(candidate=turn.candidate, strategy=turn.strategy, status="failed", reason=_sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, SightglassError):
        return error.detail
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
