"""The service's figures for Prometheus: counted where things happen, written out when somebody asks.

Rooms below know no Prometheus: they tell small functions here, or are told nothing and asked when a scrape comes. No
label holds an id or anything that a caller made up, so the number of series is bounded by the code.
One set for the process; several API processes are several targets.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

REGISTRY = CollectorRegistry(auto_describe=True)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
ProcessCollector(namespace="sightglass", registry=REGISTRY)

# A path that leads nowhere is one label, whatever it says; so is a method that HTTP does not have.
UNKNOWN_ROUTE = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# From a thumbnail out of memory (1 ms) to an import of gigabytes (minutes).
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 10.0)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)

_requests = Counter("sightglass_http_requests", "Requests answered.", ("route", "method", "status"), registry=REGISTRY)
_request_seconds = Histogram(
    "sightglass_http_request_seconds",
    "From a request's first byte to its answer's last; a stream of events takes as long as it is watched.",
    ("route", "method"),
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
_refused = Counter(
    "sightglass_refused_requests", "Requests that were refused at the door.", ("reason",), registry=REGISTRY
)
_upload_bytes = Counter("sightglass_upload_bytes", "Bytes of bodies that were read.", registry=REGISTRY)
_batch_size = Histogram(
    "sightglass_prediction_batch_size",
    "Pictures that were predicted in one forward pass.",
    buckets=_BATCH_SIZES,
    registry=REGISTRY,
)
_batch_seconds = Histogram(
    "sightglass_prediction_batch_seconds", "Duration of one batch.", buckets=_BATCH_SECONDS, registry=REGISTRY
)
_prediction_seconds = Histogram(
    "sightglass_prediction_seconds",
    "From a picture's arrival in the queue to its answer.",
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
_queue_length = Gauge("sightglass_prediction_queue_length", "Pictures that wait for a batch.", registry=REGISTRY)
_model_loads = Counter("sightglass_model_loads", "Models read from the disk.", registry=REGISTRY)
_model_evictions = Counter("sightglass_model_evictions", "Models dropped to make room.", registry=REGISTRY)
_models_loaded = Gauge("sightglass_models_loaded", "Models that are in memory now.", registry=REGISTRY)
_jobs = Gauge("sightglass_jobs", "Jobs by how they stand.", ("state",), registry=REGISTRY)
_child_memory = Gauge(
    "sightglass_inference_resident_memory_bytes", "Memory of the inference process.", registry=REGISTRY
)
_child_seconds = Gauge(
    "sightglass_inference_cpu_seconds", "Processor time of the inference process.", registry=REGISTRY
)
_drift = Gauge(
    "sightglass_drift_index",
    "Population stability index of the default model's answers against its test images; NaN where it cannot be said.",
    ("of",),
    registry=REGISTRY,
)
_drift_share = Gauge(
    "sightglass_unfamiliar_ratio",
    "Share of pictures unlike the default model's training; NaN where none was judged.",
    registry=REGISTRY,
)
_database_up = Gauge(
    "sightglass_database_up",
    "1 where the database answered; else the figures of jobs are older.",
    registry=REGISTRY,
)
_worker_silence = Gauge(
    "sightglass_worker_silence_seconds", "Since a worker was last heard of; NaN where none is.", registry=REGISTRY
)
_build = Gauge("sightglass_build_info", "Always 1; the labels say what runs.", ("version", "python"), registry=REGISTRY)


# --- requests


@cache
def _series(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Looking labels up takes half of counting; as many are kept as there are series, which are bounded."""
    return _requests.labels(route, method, str(status)), _request_seconds.labels(route, method)


def observe_request(route: str, method: str, *, status: int, seconds: float) -> None:
    """One answered request. `route` is the template, such as `/api/cv/jobs/{job_id}`."""
    counter, histogram = _series(route, method if method in METHODS else "other", status)
    counter.inc()
    histogram.observe(seconds)


def count_refusal(reason: str) -> None:
    """A request that never reached its route; `reason` is one word of the code."""
    _refused.labels(reason).inc()


def count_upload(size: int) -> None:
    """Bytes of a body that were read."""
    _upload_bytes.inc(size)


# --- predictions


def observe_batch(size: int, seconds: float) -> None:
    """One forward pass over `size` pictures."""
    _batch_size.observe(size)
    _batch_seconds.observe(seconds)


def observe_prediction(seconds: float) -> None:
    """One picture, with its time in the queue."""
    _prediction_seconds.observe(seconds)


def set_queue_length(length: int) -> None:
    """Pictures that wait now."""
    _queue_length.set(length)


def count_model_load(count: int = 1) -> None:
    """Models that were read from the disk."""
    _model_loads.inc(count)


def count_model_eviction(count: int = 1) -> None:
    """Models that were dropped to make room for others."""
    _model_evictions.inc(count)


def set_loaded_models(count: int) -> None:
    """Models that are in memory now."""
    _models_loaded.set(count)


# --- at a scrape


def set_jobs(counts: Mapping[str, int], *, states: Iterable[str]) -> None:
    """How many jobs there are in each state; one that is not counted has none."""
    for state in states:
        _jobs.labels(state).set(counts.get(state, 0))


def set_database(*, reachable: bool) -> None:
    """Whether the database answers."""
    _database_up.set(reachable)


def set_worker_silence(seconds: float | None) -> None:
    """Since any worker was last heard of; None where there is none."""
    _worker_silence.set(float("nan") if seconds is None else seconds)


def set_child(*, resident_bytes: float, cpu_seconds: float) -> None:
    """What the inference process takes; zeros while there is none."""
    _child_memory.set(resident_bytes)
    _child_seconds.set(cpu_seconds)


def set_drift(*, labels: float | None, confidence: float | None, unfamiliar: float | None) -> None:
    """How far the default model's answers have moved; None where it cannot be said."""
    for name, value in (("labels", labels), ("confidence", confidence)):
        _drift.labels(name).set(math.nan if value is None else value)
    _drift_share.set(math.nan if unfamiliar is None else unfamiliar)


def set_build(version: str) -> None:
    """What runs here."""
    _build.labels(version, platform.python_version()).set(1)


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    return generate_latest(REGISTRY)
