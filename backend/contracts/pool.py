"""What a pool of machines is to those who have work for it: pieces of work go out, answers come back.

It knows neither what the work is nor what carries it. Without a pool, work is done where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from backend.contracts.run import RunControl

Parts = Callable[[], Iterable[Any]]


class NodeWork(Protocol):
    """Does one piece of work on a node. A top-level function, so that another process can import it by name."""

    def __call__(self, payload: Any, /, *, shared: Mapping[str, Iterable[Any]], control: RunControl) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTask:
    """One piece of work.

    Attributes:
        name: what people call it, as in "resnet18".
        payload: what is sent with it; small, for it is sent each time.
        shared: names of what was shared before and will be read.
        bounded: whether it has to end with the deadline; else it may overrun it.
    """

    name: str
    work: NodeWork
    payload: Any
    shared: tuple[str, ...] = ()
    bounded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAnswer:
    """What came back, and from where. `attempts` counts the starts, those on nodes that died included."""

    value: Any
    node: str
    host: str
    attempts: int


class TaskPool(Protocol):
    """Machines that take work. Safe to use from several threads."""

    @property
    def width(self) -> int:
        """How many pieces of work run at the same time.

        Raises:
            UnavailableError: the machines cannot be reached.
            InputError: no machine has what one piece of work needs.
        """
        ...

    def share(self, name: str, parts: Parts) -> None:
        """Keep the parts of something large where every node finds them; they reach a node when it reads them.

        What was shared under the same name before stands.
        """
        ...

    def run(self, task: PoolTask, *, control: RunControl) -> PoolAnswer:
        """Have work done; blocks. Work whose node dies is done again on another.

        Raises:
            JobCancelled: through `control`; the work is ended.
            DeadlineExceeded: bounded work did not end with the deadline.
            UnavailableError: every attempt lost its node, or no node is left that could do it.
            Exception: what the work raised, as it is.
        """
        ...

    def stop(self) -> None:
        """End whatever runs; waiting calls raise `JobCancelled`."""
