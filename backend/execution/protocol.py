"""What an executor is: it takes a handler and a job, runs one on the other somewhere, and says how it ended.

It does not know queues or databases: progress leaves through `Watch.report`, the wish to stop enters through
`Watch.cancelled`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from backend.config import Settings
from backend.contracts import Job, Progress, Record, RunControl


class Handler(Protocol):
    """Does one kind of job. A top-level function, so that another process can import it by name.

    What it returns is how it went, in a sentence for people; None: there is nothing to say.
    """

    def __call__(self, job: Job, /, *, control: RunControl, settings: Settings) -> str | None: ...


class Outcome(Record):
    """How a job's execution ended. `lost`: the process is gone and nobody knows how far it came."""

    state: Literal["succeeded", "failed", "cancelled", "lost"]
    detail: str = ""


@dataclass(frozen=True)
class Watch:
    """The watcher's side of one execution. All are called from the thread that called `Executor.run`.

    `cancelled`: somebody wants the job to end. `stopped`: the worker itself is going; the job is to be left at once.
    """

    report: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    stopped: Callable[[], bool]


class Executor(Protocol):
    """Runs one job at a time."""

    def start(self) -> None:
        """Get ready ahead of the first job; returns at once."""

    def run(self, handler: Handler, job: Job, *, watch: Watch) -> Outcome:
        """Run a job to its end; blocks. Whatever the handler does, the answer is an outcome, never an exception."""

    def close(self) -> None:
        """Free all processes."""
