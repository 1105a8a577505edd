"""Runs that a killed attempt has left in the store: taken up by the next attempt, or ended where there will be none.

It works on a client that it is handed, and imports no MLflow itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Client = Any  # an MlflowClient; one file imports mlflow, and not this one

KIND = "sightglass.kind"
REASON = "sightglass.reason"
CUT_SHORT = "The process was killed, and the job was not started again."


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A job's run, and those of its candidates that were written whole, by their names."""

    run_id: str
    finished: Mapping[str, str]


def earlier_run(client: Client, experiment_id: str, run_name: str) -> EarlierRun | None:
    """The newest run of a job, running again; candidates' runs that were cut short are removed. None without one."""
    query = f"tags.`mlflow.runName` = '{run_name}' and tags.`{KIND}` = 'job'"
    found = client.search_runs([experiment_id], query, max_results=1, order_by=["attributes.start_time DESC"])
    if not found:
        return None
    run_id = found[0].info.run_id
    client.update_run(run_id, status="RUNNING")
    finished: dict[str, str] = {}
    for run in _nested(client, experiment_id, run_id):
        if run.info.status == "RUNNING":
            client.delete_run(run.info.run_id)
        else:
            finished[str(run.info.run_name)] = run.info.run_id
    return EarlierRun(run_id, finished)


def end_orphans(client: Client, experiment_id: str, over: Callable[[str], bool]) -> None:
    """End runs that are said to be running, of jobs that are `over` by their name; of others nothing is known."""
    query = f"attributes.status = 'RUNNING' and tags.`{KIND}` = 'job'"
    for run in client.search_runs([experiment_id], query):
        if not over(str(run.info.run_name)):
            continue
        client.set_tag(run.info.run_id, REASON, CUT_SHORT)
        client.set_terminated(run.info.run_id, status="KILLED")
        for nested in _nested(client, experiment_id, run.info.run_id):
            if nested.info.status == "RUNNING":
                client.set_terminated(nested.info.run_id, status="KILLED")


def _nested(client: Client, experiment_id: str, run_id: str) -> list[Any]:
    return list(client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"))
