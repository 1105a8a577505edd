"""What a run writes down of itself, so that a run that was cut short goes on where it was. Null where nobody will.

A journal has pages, one for each piece of work, and notes on them: what was decided by the clock, what was computed at
length. It does not know what a note means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Note:
    """What was written under one key: plain data and arrays."""

    facts: Mapping[str, Any]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begun:
    """How a run begins: which attempt this is, the first is 1, and the seconds that earlier ones have used."""

    attempt: int = 1
    used_s: float = 0.0


class Journal(Protocol):
    """A page of the journal, and the way to the pages below it."""

    @property
    def folder(self) -> Path | None:
        """Where large files of this page may be kept; None where nothing is kept."""

    def begin(self, identity: Mapping[str, Any]) -> Begun:
        """Open the journal of a run. One that was written for another `identity` is of no use, and is emptied.

        Raises:
            ConflictError: another process is at work on the same run.
        """

    def at(self, name: str) -> Journal:
        """The page of that name below this one."""

    def recall(self, key: str) -> Note | None:
        """What was noted under a key, or None."""

    def note(self, key: str, facts: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """Write a note: once this returns, neither a kill nor a power cut takes it away."""

    def forget(self) -> None:
        """Remove this page with all below it."""

    def tick(self) -> None:
        """Keep the time that the run has used. Cheap: to be called often."""

    def close(self) -> None:
        """Let go of the journal; what was written stays."""


class NullJournal:
    """Keeps nothing: of a run that nobody will take up again."""

    @property
    def folder(self) -> Path | None:
        return None

    def begin(self, identity: Mapping[str, Any]) -> Begun:  # noqa: ARG002 - the seam's shape
        return Begun()

    def at(self, name: str) -> Journal:  # noqa: ARG002
        return self

    def recall(self, key: str) -> Note | None:  # noqa: ARG002
        return None

    def note(self, key: str, facts: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """Nothing is kept."""

    def forget(self) -> None:
        """There is nothing."""

    def tick(self) -> None:
        """Nobody will ask."""

    def close(self) -> None:
        """Nothing is open."""


def decided(journal: Journal, key: str, decide: Callable[[], T]) -> T:
    """What was decided under this key before, else what `decide` says now, kept. JSON-ready values only.

    For whatever the clock decides: an attempt that goes on from another must not decide it otherwise.
    """
    known = journal.recall(key)
    if known is not None:
        value: T = known.facts["value"]
        return value
    value = decide()
    journal.note(key, {"value": value})
    return value
