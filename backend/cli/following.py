"""Progress bars for a run, here or at a service: one for the whole, one for each network. It starts nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from backend.cli.service import Service
from backend.contracts import CandidateProgress, RunControl
from backend.contracts import Progress as Report
from backend.jobs.eta import Eta

ENDED = frozenset({"succeeded", "skipped", "failed"})


class Bars:
    """Turns reports, or a job's standing, into bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole = bars.add_task("Whole run", total=1.0, note="")
        self._networks: dict[str, TaskID] = {}
        self._eta = Eta(started=time.monotonic())
        self._share = 0.0

    def show(self, report: Report) -> None:
        """A report of a run in this process."""
        self._share = max(self._share, report.progress or 0.0)
        self._show_whole(report.message, self._eta.update(self._share, now=time.monotonic()))
        if report.candidate is not None:
            self._show_network(report.candidate)

    def show_job(self, job: Mapping[str, Any]) -> None:
        """A job as a service tells of it."""
        self._share = job["progress"]
        place = job.get("queue_position")
        message = f"Place {place} in the queue. {job['message']}" if place else job["message"]
        self._show_whole(message, job.get("eta_s") if job["state"] == "running" else None)
        for network in job["candidates"]:
            self._show_network(CandidateProgress.model_validate(network))

    def _show_whole(self, message: str, left_s: float | None) -> None:
        note = message if left_s is None else f"about {rest(left_s)} left · {message}"
        self._bars.update(self._whole, completed=self._share, note=escape(note))

    def _show_network(self, network: CandidateProgress) -> None:
        if network.name not in self._networks:
            self._networks[network.name] = self._bars.add_task(f"  {escape(network.name)}", total=None, note="")
        task = self._networks[network.name]
        if network.state in ENDED:
            self._bars.update(task, total=1.0, completed=1.0, note=escape(_standing(network)))
            self._bars.stop_task(task)
        else:
            epochs = network.epochs or None
            self._bars.update(task, total=epochs, completed=network.epoch, note=escape(_standing(network)))


def _standing(network: CandidateProgress) -> str:
    """Stage, epoch, what is tried and the score so far, or why it ended."""
    if network.reason:
        return network.reason
    stage = network.stage
    if network.epochs and network.state not in ENDED:
        stage += f", epoch {network.epoch} of {network.epochs}"
    note = ": ".join(part for part in (stage, network.tried) if part)
    return note if network.score is None else f"{note}, validation {100 * network.score:.1f}%"


def rest(seconds: float) -> str:
    """A time to go: 42 s, 3 min, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def bars_on(console: Console) -> Iterator[Bars]:
    """Bars while the block runs."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bars:
        yield Bars(bars)


@contextmanager
def following(console: Console, *, shown: bool) -> Iterator[RunControl]:
    """A control whose reports appear as bars while the block runs; silent where `shown` is off."""
    if not shown:
        yield RunControl()
        return
    with bars_on(console) as bars:
        yield RunControl(report=bars.show)


def follow_job(service: Service, job_id: str, console: Console, *, shown: bool = True) -> dict[str, Any]:
    """Show a service's job until it has ended; returns how it stands then. Ctrl-C leaves it running and says so."""
    job: dict[str, Any] = {}
    try:
        if not shown:
            for job in service.events(job_id):  # noqa: B007 - the last one is what counts
                pass
            return job
        with bars_on(console) as bars:
            for job in service.events(job_id):
                bars.show_job(job)
    except KeyboardInterrupt:
        console.print(
            f"The job goes on. 'sightglass follow {job_id}' shows it again, 'sightglass cancel {job_id}' ends it.",
            markup=False,
        )
        raise
    return job
