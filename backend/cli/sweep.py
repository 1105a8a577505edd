"""`sightglass train --multirun`: many runs of one dataset, and a table of them. What is swept was read before."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import typer

from backend.cli import tables
from backend.cli.console import FAILED, answers, messages, print_json
from backend.cli.remote import send, train_stored_at
from backend.cli.service import service_at
from backend.cli.training import Order, train_here
from backend.workflows.sweep import SUMMARY_FILE, Planned, SweepRow, require_sense, run_sweep


def show_sweep(order: Order, planned: list[Planned], *, as_json: bool) -> None:
    """Run what is planned and print the table; exit code 1 where a run failed.

    Raises:
        SightglassError: the archive cannot be read, or a value is none that any run could have.
    """
    require_sense(planned)
    rows = _at_service(order, planned) if order.at_service else _here(order, planned)
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
    else:
        console = answers()
        console.print(tables.sweep([row.flat() for row in rows], swept=list(rows[0].swept)))
        console.print(f"Summary: {order.out / SUMMARY_FILE}", markup=False)
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(FAILED)


def _here(order: Order, planned: list[Planned]) -> list[SweepRow]:
    from backend.data import open_dataset

    dataset = open_dataset(order.archive, into=order.out / "dataset", settings=order.settings)

    def train(options: dict[str, Any], folder: Path) -> Any:
        return train_here(dataset.root, options, out=folder, settings=order.settings, shown=order.shown)

    return run_sweep(planned, out=order.out, train=train, on_row=partial(_tell, len(planned)))


def _at_service(order: Order, planned: list[Planned]) -> list[SweepRow]:
    with service_at(order.server, order.settings) as service:
        dataset_id = send(service, order.archive)

        def train(options: dict[str, Any], folder: Path) -> Any:
            return train_stored_at(service, dataset_id, options, out=folder, shown=order.shown)

        return run_sweep(planned, out=order.out, train=train, on_row=partial(_tell, len(planned)))


def _tell(runs: int, row: SweepRow) -> None:
    """One line as soon as a run has ended: the next may take an hour."""
    swept = " ".join(f"{key}={value}" for key, value in row.swept.items())
    ended = row.reason if row.status == "failed" else f"{row.network}, macro-F1 {row.macro_f1:.3f} on test"
    messages().print(f"Run {row.run} of {runs} ({swept}): {ended}", markup=False)
