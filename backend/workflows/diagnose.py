"""Diagnosis: can this machine train, from which weights, and where does it write? It changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from backend.config import Settings
from backend.contracts import Record
from backend.errors import InputError
from backend.execution.pools import check_executor
from backend.storage.files import free_bytes
from backend.workflows.candidates import list_candidates

State = Literal["ok", "warning", "problem"]

# A dataset, its decoded copy and a few models take 1-5 GB; under 2 GiB a run may stop half-way.
LEAST_FREE_BYTES = 2 * 1024**3


class Finding(Record):
    """One thing looked at. `detail` says what was found and, where it is not ok, what to do."""

    subject: str
    state: State
    detail: str


def diagnose(settings: Settings) -> list[Finding]:
    """Look at libraries, arithmetic, executor, weights and disk. Loads torch, which takes seconds."""
    return [*_libraries(settings), _executor(settings), *_weights(settings), *_disk(settings)]


def _libraries(settings: Settings) -> list[Finding]:
    from backend.engine.environment import environment

    found = environment(settings)
    listed = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    missing = [name for name, version in found["versions"].items() if version == "not installed"]
    arithmetic = f"{found['device_name']} ({found['device']}), {settings.torch_threads} threads"
    bfloat16 = "bfloat16 in hardware" if found["bfloat16"] else "no bfloat16 in hardware"
    return [
        Finding(subject="libraries", state="problem" if missing else "ok", detail=listed),
        Finding(subject="arithmetic", state="ok", detail=f"{arithmetic}, {bfloat16}"),
    ]


def _executor(settings: Settings) -> Finding:
    """Who computes; whether a cluster answers is seen, not whether its nodes can do the work."""
    try:
        check_executor(settings)
    except InputError as error:
        return Finding(subject="executor", state="problem", detail=error.detail)
    if settings.executor == "local":
        return Finding(subject="executor", state="ok", detail="local: a process on this machine")
    where = settings.ray_address or "a Ray of its own on this machine"
    each = f"{settings.resolved_ray_cpus:g} cores and {settings.ray_gpus_per_trial:g} GPUs for each network"
    return Finding(subject="executor", state="ok", detail=f"ray: {where}; {each}")


def _weights(settings: Settings) -> list[Finding]:
    return [
        Finding(
            subject=f"weights of {candidate.name}",
            state="warning" if candidate.default and candidate.weights_source is None else "ok",
            detail=_source(candidate.weights_source, settings),
        )
        for candidate in list_candidates(settings)
    ]


def _source(source: str | None, settings: Settings) -> str:
    if source is not None:
        return f"ImageNet, from: {source}"
    way = "unset SIGHTGLASS_OFFLINE" if settings.offline else "let this machine reach the hub"
    return f"none to be had, would train from scratch; {way}, or put a file into SIGHTGLASS_WEIGHTS_DIR"


def _disk(settings: Settings) -> list[Finding]:
    folder = settings.data_dir.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = free_bytes(existing)
    state: State = "ok" if free >= LEAST_FREE_BYTES else "warning"
    return [
        Finding(subject="disk", state=state, detail=f"{free / 1024**3:.1f} GiB free for {folder}"),
        _writable(existing),
    ]


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding(subject="data folder", state="ok", detail=f"{folder} can be written to")
    except OSError as error:
        advice = "choose another with SIGHTGLASS_DATA_DIR"
        return Finding(subject="data folder", state="problem", detail=f"{folder}: {error.strerror}; {advice}")
