"""Progress bars for a run in this process: one for the whole, one for each network. It starts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from backend.contracts import CandidateProgress, RunControl
from backend.contracts import Progress as Report

ENDED = frozenset({"succeeded", "skipped", "failed"})


class Bars:
    """Turns reports into bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole = bars.add_task("Whole run", total=1.0, note="")
        self._networks: dict[str, TaskID] = {}

    def show(self, report: Report) -> None:
        note = escape(report.message)
        if report.progress is None:
            self._bars.update(self._whole, note=note)
        else:
            self._bars.update(self._whole, completed=report.progress, note=note)
        if report.candidate is not None:
            self._show_network(report.candidate)

    def _show_network(self, network: CandidateProgress) -> None:
        if network.name not in self._networks:
            self._networks[network.name] = self._bars.add_task(f"  {escape(network.name)}", total=None, note="")
        task = self._networks[network.name]
        note = network.reason or ": ".join(part for part in (network.stage, network.tried) if part)
        if network.score is not None:
            note += f", validation {100 * network.score:.1f}%"
        if network.state in ENDED:
            self._bars.update(task, total=1.0, completed=1.0, note=escape(note))
            self._bars.stop_task(task)
        else:
            self._bars.update(task, total=network.epochs or None, completed=network.epoch, note=escape(note))


@contextmanager
def following(console: Console, *, shown: bool) -> Iterator[RunControl]:
    """A control whose reports appear as bars while the block runs; silent where `shown` is off."""
    if not shown:
        yield RunControl()
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    note = TextColumn("{task.fields[note]}")
    with Progress(*columns, note, console=console) as bars:
        yield RunControl(report=Bars(bars).show)
