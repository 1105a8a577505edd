"""`sightglass jobs`, `follow` and `cancel`: what a running service is at. Each asks the service and prints."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.console import FAILED, answers, complain, messages, print_json, read_settings
from backend.cli.following import follow_job, rest
from backend.cli.service import Service, service_at

Server = Annotated[
    str | None, typer.Option(help="Address of the service; none: SIGHTGLASS_API_URL, or the one on this machine.")
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, as 'sightglass jobs' lists it.")]


def jobs(
    *,
    server: Server = None,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the jobs as JSON.")] = False,
) -> None:
    """List the jobs of a running service: state, place in the queue, time to go."""
    with service_at(server, read_settings()) as service:
        found = _listed(service, every=every)
    if as_json:
        print_json(found)
    elif not found:
        answers().print("Nothing is queued or running." if not every else "No job yet.")
    else:
        answers().print(_table(found))


def follow(job: JobName, *, server: Server = None) -> None:
    """Show a job of a running service until it ends; Ctrl-C leaves it running."""
    with service_at(server, read_settings()) as service:
        ended = follow_job(service, job, messages())
    answers().print(f"{job}: {ended['state']}. {ended.get('error') or ended['message']}", markup=False)
    if ended["state"] == "failed":
        raise typer.Exit(FAILED)


def cancel(job: JobName, *, server: Server = None) -> None:
    """Cancel a job of a running service; what its finished networks reached stays."""
    with service_at(server, read_settings()) as service:
        service.json("POST", f"/api/cv/jobs/{job}/cancel")
        ended = next(one for one in service.events(job) if one["state"] not in ("queued", "running"))
    if ended["state"] != "cancelled":
        complain(f"{job} had already {ended['state']}.")
        raise typer.Exit(FAILED)
    answers().print(f"{job}: cancelled.", markup=False)


def _listed(service: Service, *, every: bool) -> list[dict[str, Any]]:
    """Newest last: what runs and waits stands at the bottom, next to the prompt."""
    if every:
        found = service.json("GET", "/api/cv/jobs", params={"limit": 1000})
    else:
        found = [
            job
            for state in ("queued", "running")
            for job in service.json("GET", "/api/cv/jobs", params={"state": state, "limit": 1000})
        ]
    return sorted(found, key=lambda job: job["created_at"])


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("job", "kind", "dataset", "state", "done", "left", "message"):
        table.add_column(name, overflow="fold")
    for job in found:
        place = job.get("queue_position")
        state = f"queued, place {place}" if place else job["state"]
        left = rest(job["eta_s"]) if job["state"] == "running" and job.get("eta_s") is not None else ""
        done = f"{job['progress']:.0%}" if job["state"] != "queued" else ""
        said = job.get("error") or job["message"]
        table.add_row(job["job_id"], job["kind"], job.get("dataset_id") or "", state, done, left, escape(said))
    return table
