"""A finished attempt in the journal, and back: the same numbers to the last bit, so that nothing is fitted twice.

What ended without an answer stands there too: the clock decided that, and whoever goes on must not decide it otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.contracts.journal import Journal, Note
from backend.tabular.fitting import Array

KEY = "trial"  # what the journal counts as work done


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: with answers for the training rows, in their order, or with a reason and none."""

    seconds: float
    answers: Array | None = None
    score: float = 0.0
    loss: float = 0.0
    status: Literal["ok", "skipped", "failed"] = "ok"
    reason: str | None = None


def note_attempt(page: Journal, ended: Ended) -> None:
    """Write it down; once this returns, a kill does not take it away."""
    facts = {name: getattr(ended, name) for name in ("seconds", "score", "loss", "status", "reason")}
    page.note(KEY, facts, {} if ended.answers is None else {"answers": ended.answers})


def recalled_attempt(page: Journal) -> Ended | None:
    """What an earlier attempt at the same job has written on this page."""
    note = page.recall(KEY)
    return None if note is None else _read(note)


def _read(note: Note) -> Ended:
    return Ended(**note.facts, answers=note.arrays.get("answers"))
