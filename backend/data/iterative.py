"""Iterative stratification: units that carry several labels, dealt out so that each part gets its share of every label.

First the greedy way of Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data": the rarest
label first, each unit to the part that lacks that label most. Then units are swapped between parts as long as that
brings the counts nearer to what was wanted: what the greedy way decided early it could not foresee. Szymański and
Kajdanowicz 2017 stratify pairs of labels too; with swaps, pairs changed no share by more than it had already.

Pure arithmetic: it knows counts, and neither images nor what a unit is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STARTS = 30  # the swaps end where no single one helps; of several ends the best is kept
GOOD = 0.01  # difference of a share, with which another start is not worth its time
EXACT = 0.001  # and another swap neither
MOST_CELLS = 20_000  # units times labels, above which one image too many is no share to speak of
MOST_SWAPS = 500
MOST_KINDS = 150  # of units at a time: pairs of kinds are tried, and real sets have some dozen
RARE = 10.0  # images: a label of so few counts twice as much as a frequent one when units are swapped
LEAST_GAIN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What each part should hold in the end, and what it holds already.

    Attributes:
        have, want: [P, L]; columns are counts, the last one the number of images.
        open: [P]; whether a part takes units at all.
    """

    have: Floats
    want: Floats
    open: npt.NDArray[np.bool_]


def stratify(units: Floats, demand: Demand, *, seed: str) -> Ints:
    """The part [U] of each unit.

    `units` [U, L] say how much of each column a unit brings; the last column is its number of images. The same units in
    the same order, demand and seed give the same parts.

    Raises:
        ValueError: no part is open, or shapes do not agree.
    """
    if demand.have.shape != demand.want.shape or units.shape[1:] != demand.have.shape[1:] or not demand.open.any():
        raise ValueError(f"units {units.shape}, parts {demand.have.shape} and {demand.want.shape}, {demand.open}")
    draw = random.Random(seed)
    best, least = np.zeros(0, dtype=np.int64), np.inf
    for _ in range(STARTS if units.size <= MOST_CELLS else 1):
        shuffled = np.array(draw.sample(range(len(units)), len(units)), dtype=np.int64)
        order = shuffled[np.argsort(-units[shuffled, -1], kind="stable")]  # the large ones first: small ones fill up
        part_of = _greedy(units, demand, order)
        _swap(units, demand, part_of, order)
        apart = _apart(units, demand, part_of)
        if apart < least:
            best, least = part_of, apart
        if least <= GOOD:
            break
    return best


def _apart(units: Floats, demand: Demand, part_of: Ints) -> float:
    """The largest difference between a label's share in an open part and what it should be there."""
    held = demand.have.copy()
    np.add.at(held, part_of, units)
    shares = held / np.maximum(held[:, -1:], 1.0)
    wanted = demand.want / np.maximum(demand.want[:, -1:], 1e-9)
    return float(np.abs(shares - wanted)[demand.open].max())


def _greedy(units: Floats, demand: Demand, order: Ints) -> Ints:
    lacking = demand.want - demand.have
    lacking[~demand.open] = -np.inf
    part_of = np.full(len(units), -1, dtype=np.int64)
    waiting = np.array([int((units[:, column] > 0).sum()) for column in range(units.shape[1])])
    carriers = [order[units[order, column] > 0] for column in range(units.shape[1])]
    while (part_of < 0).any():
        # the images' own column last: every unit has it
        column = min(
            (place for place in range(units.shape[1]) if waiting[place]),
            key=lambda place: (place == units.shape[1] - 1, waiting[place], place),
        )
        for unit in carriers[column]:
            if part_of[unit] >= 0:
                continue
            part = max(range(len(lacking)), key=lambda one: (round(lacking[one, column], 9), lacking[one, -1], -one))
            part_of[unit] = part
            lacking[part] -= units[unit]
            waiting -= units[unit] > 0
    return part_of


def _swap(units: Floats, demand: Demand, part_of: Ints, order: Ints) -> None:
    """Exchange units between parts, or move one, while that brings the counts nearer to what is wanted. In place."""
    total = demand.want.sum(axis=0)
    weight = np.sqrt(1.0 + RARE / np.maximum(total, 1.0))
    kinds, kind_of = np.unique(units, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    table = _Table(np.vstack([kinds, np.zeros(units.shape[1])]) * weight, [{} for _ in demand.want])
    for unit in order:
        table.put(int(part_of[unit]), int(kind_of[unit]), int(unit))
    over = demand.have - demand.want
    np.add.at(over, part_of, units)
    close = EXACT * np.maximum(demand.want[:, -1:], 1.0)
    over *= weight
    # one image too many is a larger share of a small part
    says = np.where(demand.open, total[-1] / np.maximum(demand.want[:, -1], 1.0), 0.0)
    windows = -(-max(len(one) for one in table.members) // MOST_KINDS)
    without_gain = 0
    for turn in range(MOST_SWAPS):
        if without_gain == windows or (np.abs(over[demand.open] / weight) <= close[demand.open]).all():
            return
        best = _best_swap(table, over, says, turn=turn)
        without_gain = 0 if best is not None else without_gain + 1
        if best is not None:
            giver, taker, given, got = best
            change = table.scaled[got] - table.scaled[given]
            over[giver] += change
            over[taker] -= change
            table.exchange(part_of, (giver, given), (taker, got))


@dataclass(frozen=True, slots=True)
class _Table:
    """Units by part and kind. `scaled` [K + 1, L] is what a unit of each kind brings; the last kind is nobody."""

    scaled: Floats
    members: list[dict[int, list[int]]]

    @property
    def nobody(self) -> int:
        return len(self.scaled) - 1

    def put(self, part: int, kind: int, unit: int) -> None:
        self.members[part].setdefault(kind, []).append(unit)

    def kinds_in(self, part: int, *, turn: int) -> list[int]:
        """Kinds that a part has, where there are many a window of them, each turn the next."""
        there = list(self.members[part])
        begin = turn * MOST_KINDS % len(there) if len(there) > MOST_KINDS else 0
        return sorted(there[begin : begin + MOST_KINDS])

    def exchange(self, part_of: Ints, giver: tuple[int, int], taker: tuple[int, int]) -> None:
        """Move a unit of (part, kind), and one of the other the other way."""
        for (part, kind), other in ((giver, taker[0]), (taker, giver[0])):
            if kind == self.nobody:
                continue
            unit = self.members[part][kind].pop()
            if not self.members[part][kind]:
                del self.members[part][kind]
            part_of[unit] = other
            self.put(other, kind, unit)


def _best_swap(table: _Table, over: Floats, says: Floats, *, turn: int) -> tuple[int, int, int, int] | None:
    """The exchange that lowers the squared distances most: (part, other part, kind given, kind got).

    `says` [P] is how much a part's distance counts, 0 where it takes no units.
    """
    best, least = None, -LEAST_GAIN
    parts = np.flatnonzero(says).tolist()
    there = {part: table.kinds_in(part, turn=turn) for part in parts}
    scaled = table.scaled
    for giver in parts:
        for taker in parts:
            given, got = there[giver], [*there[taker], table.nobody]
            if giver == taker or not given:
                continue
            # a given unit leaves the giver and one that was got comes: with their difference d, the squares change by
            # 2 d (over / size - over' / size') + d d (1 / size + 1 / size')
            gap = over[giver] * says[giver] - over[taker] * says[taker]
            leave, come = scaled[given], scaled[got]
            apart = (leave**2).sum(axis=1)[:, None] + (come**2).sum(axis=1)[None, :] - 2.0 * (leave @ come.T)
            change = 2.0 * ((come @ gap)[None, :] - (leave @ gap)[:, None]) + (says[giver] + says[taker]) * apart
            place = int(change.argmin())
            if change.flat[place] < least:
                row, column = divmod(place, len(got))
                best, least = (giver, taker, given[row], got[column]), float(change.flat[place])
    return best
