"""Diagnosis: can this machine train, from which weights, and where does it write? It changes nothing of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

from backend.config import Settings
from backend.contracts import Record
from backend.errors import InputError, SightglassError
from backend.execution.pools import check_executor
from backend.storage.bucket import Bucket
from backend.storage.database import Database
from backend.storage.files import free_bytes
from backend.workflows.candidates import list_candidates
from backend.workflows.packages import PACKAGES, RAY, FoundPackage, find_package, install_command

State = Literal["ok", "warning", "problem"]

# A dataset, its decoded copy and a few models take 1-5 GB; under 2 GiB a run may stop half-way.
LEAST_FREE_BYTES = 2 * 1024**3
OF_TRAINING = frozenset({"torch", "torchvision", "timm", "numpy"})
IDLE_CARD = (
    "a graphics card's driver is here, but this torch computes on processors only; docs/guide/deployment.md says "
    "how to install the other"
)


class Finding(Record):
    """One thing looked at. `detail` says what was found and, where it is not ok, what to do."""

    subject: str
    state: State
    detail: str


def diagnose(settings: Settings, *, quick: bool = False) -> list[Finding]:
    """Look at packages, devices, executor, database, storage, weights and disk, and try a training step.

    `quick`: no step, and packages are looked for without being loaded. Loads torch, which takes seconds.
    """
    packages = _packages(settings, load=not quick)
    rest = [_executor(settings), _database(settings), _storage(settings), *_weights(settings), *_disk(settings)]
    if any(finding.state == "problem" and finding.subject in OF_TRAINING for finding in packages):
        return [*packages, *rest]  # nothing that computes could be loaded
    return [*packages, *_devices(settings), *rest, *([] if quick else [_step()])]


def _packages(settings: Settings, *, load: bool) -> list[Finding]:
    """One line with all that are there, and one for each that is not, or cannot be loaded."""
    wanted = [*PACKAGES, *([RAY] if settings.executor == "ray" else [])]
    found = [find_package(package, load=load) for package in wanted]
    there = ", ".join(f"{one.package.name} {one.version or ''}".strip() for one in found if one.state == "ok")
    return [
        Finding(subject="packages", state="ok", detail=there),
        *(_lacking(one) for one in found if one.state != "ok"),
    ]


def _lacking(one: FoundPackage) -> Finding:
    package = one.package
    what = "is not installed" if one.state == "missing" else f"cannot be loaded ({' '.join(one.reason.split())})"
    instead = "; the rest works without it" if package.optional else ""
    return Finding(
        subject=package.name,
        state="warning" if package.optional else "problem",
        detail=f"{what}; needed for {package.purpose}{instead}. Install it: {install_command([package])}",
    )


def _devices(settings: Settings) -> list[Finding]:
    from backend.engine.environment import devices, environment, knows_graphics_cards

    found = environment(settings)
    arithmetic = f"{found['device_name']} ({found['device']}), {settings.torch_threads} threads"
    bfloat16 = "bfloat16 in hardware" if found["bfloat16"] else "no bfloat16 in hardware"
    seen = [Finding(subject="devices", state="ok", detail="; ".join(devices()))]
    if shutil.which("nvidia-smi") and not knows_graphics_cards():
        seen = [Finding(subject="devices", state="warning", detail=f"{'; '.join(devices())}; {IDLE_CARD}")]
    return [*seen, Finding(subject="arithmetic", state="ok", detail=f"{arithmetic}, {bfloat16}")]


def _step() -> Finding:
    """A forward and a backward pass, for real."""
    from backend.engine.try_step import try_step

    try:
        tried = try_step()
    except (RuntimeError, OSError, MemoryError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        advice = "free memory, or compute on the processor with CUDA_VISIBLE_DEVICES= (empty)"
        return Finding(subject="training step", state="problem", detail=f"failed: {reason}; {advice}")
    losses = " then ".join(f"{loss:.3f}" for loss in tried.losses)
    detail = f"loss {losses}, {tried.seconds:.2f} s on {tried.device}"
    if tried.sound:
        return Finding(subject="training step", state="ok", detail=detail)
    return Finding(subject="training step", state="problem", detail=f"{detail}: no number; install torch anew")


def _database(settings: Settings) -> Finding:
    """Whether it answers; one that the first start would make is left unmade."""
    try:
        database = Database(settings.resolved_database_url)
        where = database.url.render_as_string(hide_password=True)
        file = database.url.database
        if database.is_sqlite and file and not Path(file).exists():
            return Finding(subject="database", state="ok", detail=f"{where}; made at the first start")
        try:
            database.check()
        finally:
            database.close()
    except SightglassError as error:
        advice = "see SIGHTGLASS_DATABASE_URL in docs/guide/settings.md"
        return Finding(subject="database", state="problem", detail=f"{error.detail} ({advice})")
    return Finding(subject="database", state="ok", detail=f"{where} answers")


def _storage(settings: Settings) -> Finding:
    if settings.storage_url is None:
        return Finding(subject="storage", state="ok", detail="folders on this machine; see data folder")
    try:
        Bucket(settings.storage_url).check()
    except SightglassError as error:
        advice = "see SIGHTGLASS_STORAGE_URL in docs/guide/settings.md"
        return Finding(subject="storage", state="problem", detail=f"{error.detail} ({advice})")
    return Finding(subject="storage", state="ok", detail="the object storage answers")


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
