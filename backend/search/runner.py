"""Where a candidate's turn is done: in this process, or wherever a pool of machines has room.

Turns, screen and contest decide who is tried and when; a runner only decides where. It ranks nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from backend.search.probing import answer_test, run_probe
from backend.search.refine import run_refinement
from backend.search.tuning import run_finetune

if TYPE_CHECKING:
    from backend.contracts import Candidate
    from backend.search.entrant import Entrant
    from backend.search.presets import Depth
    from backend.search.probing import Rung
    from backend.search.study import Study
    from backend.search.trial import Trial
    from backend.search.watch import TrialWatch


class TrialRunner(Protocol):
    """Does the heavy part of a turn. Every way of doing it gives the same trial on the same kind of machine."""

    @property
    def width(self) -> int:
        """How many turns may be taken at the same time."""
        ...

    def probe(self, study: Study, entrant: Entrant, rung: Rung, *, watch: TrialWatch) -> Trial: ...

    def answer(self, study: Study, entrant: Entrant, trial: Trial, *, watch: TrialWatch) -> Trial: ...

    def refine(self, study: Study, candidate: Candidate, *, probe: Trial, depth: Depth, watch: TrialWatch) -> Trial: ...

    def finetune(self, study: Study, candidate: Candidate, *, epochs: int, watch: TrialWatch) -> Trial: ...

    def stop(self) -> None:
        """End what runs elsewhere: nobody waits for it any more."""


class InProcess:
    """One turn after the other, right here."""

    @property
    def width(self) -> int:
        return 1

    def probe(self, study: Study, entrant: Entrant, rung: Rung, *, watch: TrialWatch) -> Trial:
        return run_probe(study, entrant, rung, watch=watch)

    def answer(self, study: Study, entrant: Entrant, trial: Trial, *, watch: TrialWatch) -> Trial:
        return answer_test(study, entrant, trial, watch=watch)

    def refine(self, study: Study, candidate: Candidate, *, probe: Trial, depth: Depth, watch: TrialWatch) -> Trial:
        return run_refinement(study, candidate, probe=probe, depth=depth, watch=watch)

    def finetune(self, study: Study, candidate: Candidate, *, epochs: int, watch: TrialWatch) -> Trial:
        return run_finetune(study, candidate, epochs=epochs, watch=watch)

    def stop(self) -> None:
        """Nothing runs elsewhere."""
