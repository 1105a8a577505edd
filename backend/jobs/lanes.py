"""Lanes: which kinds of job wait for each other, and how many of each run at once. Knows kinds by name only.

A training may take hours, a look through a new dataset seconds: in one line the second would wait for the first. Each
lane is a line of its own, first come first served, with its own limit. The limit holds for the whole database, whatever
number of processes and machines work on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, true

from backend.storage.tables import jobs


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A line of jobs. `kinds`: only these; None: every kind but `except_kinds`. `limit`: how many run; None: all."""

    name: str
    kinds: frozenset[str] | None = None
    except_kinds: frozenset[str] = frozenset()
    limit: int | None = None

    def holds(self, kind: str) -> bool:
        return kind in self.kinds if self.kinds is not None else kind not in self.except_kinds

    def condition(self) -> ColumnElement[bool]:
        """True of the rows that stand in this lane."""
        if self.kinds is not None:
            return jobs.c.kind.in_(sorted(self.kinds))
        return jobs.c.kind.not_in(sorted(self.except_kinds)) if self.except_kinds else true()


EVERY_KIND = Lane(name="every")


def make_lanes(
    light_kinds: frozenset[str],
    *,
    concurrent_jobs: int,
    light_jobs: int = 1,
    answering_kinds: frozenset[str] = frozenset(),
) -> tuple[Lane, ...]:
    """The heavy lane, which takes whatever is in no other, the light one, and the one of jobs that answer pictures.

    Those load a network and take minutes, so that they stand in nobody's way in a line of their own.
    """
    heavy = Lane(name="training", except_kinds=light_kinds | answering_kinds, limit=concurrent_jobs)
    light = Lane(name="light", kinds=light_kinds, limit=light_jobs)
    answering = Lane(name="answering", kinds=answering_kinds, limit=1)
    return (heavy, *(lane for lane in (light, answering) if lane.kinds))
