"""For machines that watch the service: figures for Prometheus. Some are counted as things happen, the rest read."""

from __future__ import annotations

from functools import partial
from typing import get_args

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Response

from backend import __version__
from backend.api import metrics
from backend.api.deps import ServicesDep
from backend.api.problems import problems
from backend.api.services import Services
from backend.contracts.job import JobState
from backend.errors import UnavailableError
from backend.execution.figures import figures_of
from backend.workflows.watch_drift import drift_report

router = APIRouter(tags=["service"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **problems()},
)
async def show_metrics(services: ServicesDep) -> Response:
    """Figures of this process and of the jobs of its database, in Prometheus' text format."""
    # A limiter of its own: when every ordinary thread is busy with an upload, this one is not.
    await to_thread.run_sync(partial(_look, services), limiter=CapacityLimiter(1))
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _look(services: Services) -> None:
    metrics.set_build(__version__)
    try:
        metrics.set_jobs(services.queue.census(), states=get_args(JobState))
        silence = services.presence.silence_s()
        _look_at_drift(services)
    except UnavailableError:
        metrics.set_database(reachable=False)
    else:
        metrics.set_database(reachable=True)
        metrics.set_worker_silence(silence)
    found = [figures for one in services.pool.process_ids() if (figures := figures_of(one)) is not None]
    metrics.set_child(
        resident_bytes=sum(figures.resident_bytes for figures in found),
        cpu_seconds=sum(figures.cpu_seconds for figures in found),
    )


def _look_at_drift(services: Services) -> None:
    """How far the answers of the default model have moved; of others, `GET /api/cv/models/{model_id}/drift` says it."""
    model = services.catalog.default_model()
    if model is None:
        metrics.set_drift(labels=None, confidence=None, unfamiliar=None)
        return
    folder = services.settings.models_dir / model.model_id  # not fetched: a scrape waits for no object storage
    report = drift_report(model.model_id, folder, services.answered)
    metrics.set_drift(labels=report.labels.psi, confidence=report.confidence.psi, unfamiliar=report.unfamiliar.share)
