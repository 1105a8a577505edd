"""`sightglass train --multirun`: many runs of one dataset, and a table of them. What is swept was read before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer

from backend.cli import tables
from backend.cli.console import FAILED, answers, messages, print_json
from backend.cli.remote import send, train_stored_at
from backend.cli.service import service_at
from backend.cli.training import train_here
from backend.config import Settings
from backend.workflows.sweep import SUMMARY_FILE, SweepRow, require_some_sense, run_sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOrder:
    """What was asked for. `planned`: for each run what is swept, as it was written, and its options."""

    archive: Path
    planned: list[tuple[dict[str, str], dict[str, Any]]]
    out: Path
    settings: Settings
    server: str | None
    shown: bool


def show_sweep(order: SweepOrder, *, as_json: bool) -> None:
    """Run it and print the table; exit code 1 where a run failed.

    Raises:
        SightglassError: the archive cannot be read, or no run at all could begin.
    """
    require_some_sense(order.planned)
    rows = _at_service(order) if order.server or order.settings.api_url else _here(order)
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
    else:
        console = answers()
        console.print(tables.sweep([row.flat() for row in rows], swept=list(rows[0].swept)))
        console.print(f"Summary: {order.out / SUMMARY_FILE}", markup=False)
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(FAILED)


def _here(order: SweepOrder) -> list[SweepRow]:
    from backend.data import open_dataset

    dataset = open_dataset(order.archive, into=order.out / "dataset", settings=order.settings)

    def train(options: dict[str, Any], folder: Path) -> Any:
        return train_here(dataset.root, options, out=folder, settings=order.settings, shown=order.shown)

    return run_sweep(order.planned, out=order.out, train=train, on_row=partial(_tell, order))


def _at_service(order: SweepOrder) -> list[SweepRow]:
    with service_at(order.server, order.settings) as service:
        dataset_id = send(service, order.archive)

        def train(options: dict[str, Any], folder: Path) -> Any:
            return train_stored_at(service, dataset_id, options, out=folder, shown=order.shown)

        return run_sweep(order.planned, out=order.out, train=train, on_row=partial(_tell, order))


def _tell(order: SweepOrder, row: SweepRow) -> None:
    """One line as soon as a run has ended: the next may take an hour."""
    swept = " ".join(f"{key}={value}" for key, value in row.swept.items())
    ended = row.reason if row.status == "failed" else f"{row.network}, macro-F1 {row.macro_f1:.3f} on test"
    messages().print(f"Run {row.run} of {len(order.planned)} ({swept}): {ended}", markup=False)
