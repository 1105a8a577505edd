"""What is to be taken of a source, and what became of it, as columns that travel between processes.

A record for each picture would take as long to make and to send as to look at a picture of 32 x 32 pixels. It reads
and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.data.fact_arrays import Measures, no_measures, put_together
from backend.data.members import Member
from backend.data.zip_reader import ZipPlace

DIGEST_BYTES = 32


class Task(NamedTuple):
    """A member to be taken; with its bytes, where only the caller can read them."""

    place: int
    member: Member
    data: bytes | None = None


Packed = tuple[Any, ...]


def packed(tasks: Sequence[Task]) -> Packed:
    """Tasks as columns, which travel to another process in a tenth of the time; `unpacked` is the way back."""
    members = [task.member for task in tasks]
    handles: Any = [one.handle for one in members]
    if all(type(handle) is ZipPlace for handle in handles):
        handles = np.array(handles, dtype=np.int64)
    columns = ([one.name for one in members], [one.size for one in members], handles)
    return ([task.place for task in tasks], *columns, [task.data for task in tasks])


def unpacked(columns: Packed) -> list[Task]:
    places, names, sizes, handles, data = columns
    if isinstance(handles, np.ndarray):
        handles = map(ZipPlace._make, handles.tolist())
    return list(map(Task, places, map(Member, names, sizes, handles), data))


class Taken(NamedTuple):
    """What became of some members, as columns: one row each sound picture. `places` are the caller's numbers.

    Columns, because a record for each picture would take as long to make and to send as to look at the picture.
    """

    places: npt.NDArray[np.int64]  # [N]
    digests: bytes  # 32 bytes a row, SHA-256
    paths: list[str]
    sizes: npt.NDArray[np.int64]  # [N, 2] width and height
    kinds: list[tuple[str, str]]  # format and mode
    measures: Measures
    problems: list[tuple[int, str]]  # place, and the reason why it is no picture


def joined(parts: Sequence[Taken]) -> Taken:
    """All parts as one, in the order of their places."""
    kept = [part for part in parts if len(part.places)]
    problems = sorted(problem for part in parts for problem in part.problems)
    if not kept:
        return nothing_taken(problems)
    places = np.concatenate([part.places for part in kept])
    order = np.argsort(places, kind="stable")
    rows = order.tolist()
    digests = np.frombuffer(b"".join(part.digests for part in kept), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    paths = [path for part in kept for path in part.paths]
    kinds = [kind for part in kept for kind in part.kinds]
    return Taken(
        places=places[order],
        digests=digests[order].tobytes(),
        paths=[paths[row] for row in rows],
        sizes=np.concatenate([part.sizes for part in kept])[order],
        kinds=[kinds[row] for row in rows],
        measures=put_together([part.measures for part in kept], order),
        problems=problems,
    )


def nothing_taken(problems: list[tuple[int, str]]) -> Taken:
    """No sound picture, and why."""
    none = np.empty(0, dtype=np.int64)
    return Taken(none, b"", [], none.reshape(0, 2), [], no_measures(), problems)
