"""MLflow: one run a job, a nested run a candidate. The only file that imports mlflow.

All calls happen in a background thread, the import too (it costs seconds), so that training never waits for a store.
Whatever goes wrong there - a server that is down, a wrong address, a full disk - is a `failed` in `finish`, never an
exception. It does not know how candidates are trained or ranked.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backend.contracts import EpochRecord
from backend.tracking.background import BackgroundSteps
from backend.tracking.earlier_runs import KIND, earlier_run, end_orphans
from backend.tracking.entries import AnyResults, AnyRow, EndEntry, end_entry, row_entry
from backend.tracking.opening import opening
from backend.tracking.protocol import NullTracker, Tracker, TrackingInfo
from backend.tracking.registry_mirror import AnyModel, mirror_dataset
from backend.tracking.wording import explain_failure, flatten, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from backend.config import Settings

log = logging.getLogger(__name__)

EXPERIMENT = "sightglass"
# The first run on a new SQLite store lays some fifty tables: 4 s alone, 16 s with the import on two busy cores.
FINISH_TIMEOUT_S = 30.0
# A cancelled job has to be over within 5 s; the record may take less than half of that.
ABORT_TIMEOUT_S = 2.0
LONGEST_PARAM = 500  # what older MLflow servers take; newer ones 6,000
# MLflow's own defaults wait up to 120 s, seven times over. A setting that a person made stands.
QUICK_HTTP = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
RUN_STATUS = {"ok": "FINISHED", "skipped": "KILLED", "failed": "FAILED"}


def create_tracker(settings: Settings) -> Tracker:
    """Return a fresh tracker for one run: MLflow, or one that does nothing where `mlflow_tracking_uri` is `off`."""
    uri = settings.resolved_mlflow_uri
    if uri is None:
        return NullTracker()
    return MlflowTracker(uri, artifact_root=settings.data_dir.resolve() / "mlflow-artifacts")


def prepare_store(settings: Settings, *, over: Callable[[str], bool] = lambda _: False) -> None:
    """Lay a new store's tables ahead of the first run, in the background; whatever fails, that run will say.

    Runs that are still said to be running, of jobs that are `over` by their id, are ended: their process was killed.
    """
    uri = settings.resolved_mlflow_uri
    if uri is not None:
        steps = BackgroundSteps("mlflow-store")
        record = _RunRecord(uri, settings.data_dir.resolve() / "mlflow-artifacts")
        steps.submit(record.lay_tables)
        steps.submit(lambda: record.end_orphans(over))
        steps.close(timeout_s=0)


def mirror_registry(settings: Settings, dataset_id: str, models: Sequence[AnyModel]) -> None:
    """Make MLflow's model registry say what ours says of a dataset's models, newest first; with tracking off, nothing.

    It takes seconds where MLflow is not loaded yet, and raises whatever a store raises.
    """
    uri = settings.resolved_mlflow_uri
    if uri is None:
        return
    with opening(settings.data_dir.resolve()):
        client = _connect(uri)
        experiment_id = _experiment(client, uri, settings.data_dir.resolve() / "mlflow-artifacts")
    mirror_dataset(client, experiment_id, dataset_id, models=models, models_dir=settings.models_dir)


class MlflowTracker:
    """A `Tracker` that writes one job to an MLflow store. Not to be used twice."""

    def __init__(self, uri: str, *, artifact_root: Path, finish_timeout_s: float | None = None) -> None:
        self._uri = uri
        self._finish_timeout_s = FINISH_TIMEOUT_S if finish_timeout_s is None else finish_timeout_s
        self._record = _RunRecord(uri, artifact_root)
        self._steps = BackgroundSteps("mlflow")
        self._closed = False

    def start(
        self, *, run_name: str, params: Mapping[str, object], tags: Mapping[str, str], resume: bool = False
    ) -> None:
        self._steps.submit(lambda: self._record.open(run_name, flatten(params), dict(tags), resume=resume))

    def candidate(self, row: AnyRow, history: Sequence[EpochRecord], params: Mapping[str, object]) -> None:
        kept, flat = tuple(history), flatten(params)
        self._steps.submit(lambda: self._record.add_candidate(row, kept, flat))

    def finish(self, results: AnyResults, artifacts: Sequence[Path], *, within_s: float | None = None) -> TrackingInfo:
        self._closed = True
        paths = tuple(artifacts)
        self._steps.submit(lambda: self._record.close(results, paths))
        timeout_s = self._finish_timeout_s if within_s is None else min(within_s, self._finish_timeout_s)
        ended = self._steps.close(timeout_s=timeout_s)
        return self._info(ended=ended, timeout_s=timeout_s)

    def abort(self, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._steps.drop_waiting()
        self._steps.submit(lambda: self._record.cut_short(reason))
        self._steps.close(timeout_s=ABORT_TIMEOUT_S)

    def _info(self, *, ended: bool, timeout_s: float) -> TrackingInfo:
        shown = without_password(self._uri)
        answer: TrackingInfo = {"status": "ok", "uri": shown, "run_id": self._record.run_id, "detail": None}
        if not ended:
            detail = (
                f"MLflow at {shown} had not taken the whole run after {timeout_s:.3g} s. "
                "Check that it answers, or set SIGHTGLASS_MLFLOW_TRACKING_URI."
            )
            return {**answer, "status": "failed", "detail": detail}
        if self._steps.failure is not None:
            return {**answer, "status": "failed", "detail": explain_failure(self._steps.failure, uri=self._uri)}
        return answer


class _RunRecord:
    """The MLflow calls themselves, in the background thread. Each method may raise whatever a store raises."""

    def __init__(self, uri: str, artifact_root: Path) -> None:
        self._uri = uri
        self._artifact_root = artifact_root
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._nested: dict[str, str] = {}
        self._finished: Mapping[str, str] = {}  # candidates' runs by name, of an earlier attempt
        self.run_id: str | None = None

    def open(self, run_name: str, params: Mapping[str, str], tags: Mapping[str, str], *, resume: bool) -> None:
        self.lay_tables()
        client = self._connected()
        if resume and (known := earlier_run(client, self._experiment_id, run_name)) is not None:
            self.run_id, self._finished = known.run_id, known.finished
            return
        run = client.create_run(self._experiment_id, run_name=run_name, tags={**tags, KIND: "job"})
        self.run_id = run.info.run_id
        _log(client, run.info.run_id, params=params)

    def lay_tables(self) -> None:
        """Connect, and make what a new store lacks."""
        with opening(self._artifact_root.parent):
            self._client = client = _connect(self._uri)
            self._experiment_id = _experiment(client, self._uri, self._artifact_root)

    def end_orphans(self, over: Callable[[str], bool]) -> None:
        """End the runs that nobody will take up."""
        end_orphans(self._connected(), self._experiment_id, over)

    def add_candidate(self, row: AnyRow, history: Sequence[EpochRecord], params: Mapping[str, str]) -> None:
        client, parent = self._opened()
        entry = row_entry(row)
        if entry.run_name in self._finished:
            self._nested[entry.run_name] = self._finished[entry.run_name]
            return
        tags = {"mlflow.parentRunId": parent, KIND: "candidate", "sightglass.status": row.status}
        if row.reason:
            tags["sightglass.reason"] = row.reason
        run = client.create_run(self._experiment_id, run_name=entry.run_name, tags=tags)
        run_id: str = run.info.run_id
        self._nested[entry.run_name] = run_id
        _log(client, run_id, metrics=entry.scores, params={**params, **entry.facts})
        for record in history:
            _log(client, run_id, metrics=record.model_dump(exclude={"epoch"}), step=record.epoch)
        client.set_terminated(run_id, status=RUN_STATUS[row.status])

    def close(self, results: AnyResults, artifacts: Sequence[Path]) -> None:
        client, run_id = self._opened()
        # The test is read only after the ranking stands, so a candidate's test scores and place come now.
        for entry in map(row_entry, results.leaderboard):
            if entry.run_name in self._nested:
                _log(client, self._nested[entry.run_name], metrics=entry.scores)
        end = end_entry(results)
        _log(client, run_id, metrics={**end.metrics, "total_seconds": results.total_seconds})
        for key, value in end.tags.items():
            client.set_tag(run_id, f"sightglass.{key}", value)
        client.set_tag(run_id, "sightglass.model_id", results.model_id)
        client.log_dict(run_id, results.model_dump(mode="json"), "results.json")
        self._store_files(client, run_id, end, artifacts)
        client.set_terminated(run_id, status="FINISHED")

    def cut_short(self, reason: str) -> None:
        if self._client is None or self.run_id is None:
            return
        self._client.set_tag(self.run_id, "sightglass.reason", reason)
        self._client.set_terminated(self.run_id, status="KILLED")

    @staticmethod
    def _store_files(client: MlflowClient, run_id: str, end: EndEntry, artifacts: Sequence[Path]) -> None:
        for name, draw in end.figures.items():
            figure = draw()
            if figure is not None:
                client.log_figure(run_id, figure, f"plots/{name}.png")
        for path in artifacts:
            if path.is_dir():
                client.log_artifacts(run_id, str(path), artifact_path=f"bundle/{path.name}")
            else:
                client.log_artifact(run_id, str(path), artifact_path="bundle")

    def _connected(self) -> MlflowClient:
        if self._client is None:
            raise RuntimeError("The run was ended before MLflow was reached.")
        return self._client

    def _opened(self) -> tuple[MlflowClient, str]:
        if self._client is None or self.run_id is None:
            raise RuntimeError("The run was ended before MLflow had opened it.")
        return self._client, self.run_id


def _connect(uri: str) -> MlflowClient:
    # MLflow reads these when it is imported. No telemetry: a self-hosted tool does not call home, not even by a part.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in QUICK_HTTP.items():
        os.environ.setdefault(name, value)
    # MLflow's use of deprecated calls is nothing that our users can act on.
    warnings.filterwarnings("ignore", module=r"mlflow(\.|$)")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment(client: MlflowClient, uri: str, artifact_root: Path) -> str:
    """Find or make the experiment. A server chooses where files go; a database store gets our folder.

    A store remembers the folder of its experiment for ever. After the data folder was moved, a new experiment is made
    beside the old one, so that files never land in a place that is no longer ours.
    """
    if urlsplit(uri).scheme.partition("+")[0] not in DATABASES:
        return _find_or_create(client, EXPERIMENT, location=None)
    location = artifact_root.as_uri()
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is None or known.artifact_location == location:
        return _find_or_create(client, EXPERIMENT, location=location)
    suffix = hashlib.sha256(location.encode()).hexdigest()[:8]
    return _find_or_create(client, f"{EXPERIMENT}-{suffix}", location=location)


def _find_or_create(client: MlflowClient, name: str, *, location: str | None) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        try:
            created: str = client.create_experiment(name, artifact_location=location)
        except MlflowException:
            # Another process may have made it in between; if not, the second look-up fails as well and says why.
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
        else:
            return created
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    found: str = known.experiment_id
    return found


def _log(
    client: MlflowClient,
    run_id: str,
    *,
    metrics: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
    step: int = 0,
) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    known = {key: float(value) for key, value in (metrics or {}).items() if value is not None}
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, now, step) for key, value in known.items()],
        params=[Param(key, value[:LONGEST_PARAM]) for key, value in (params or {}).items()],
    )
