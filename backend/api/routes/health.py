"""Is it up, can it work, what can be chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from fastapi import APIRouter

from backend import __version__
from backend.api.deps import ServicesDep, SettingsDep
from backend.api.problems import problems
from backend.api.schemas import HealthView, OptionsView, Preset, ReadyView
from backend.api.services import Services
from backend.contracts import Candidate, Recipe, override_entries
from backend.contracts import Preset as PresetName
from backend.contracts.presets import preset_entry
from backend.data.augmentation_catalogue import AUGMENTATION_CATALOGUE
from backend.data.names import PACKED_SUFFIXES
from backend.errors import SightglassError, UnavailableError
from backend.search.candidates import own_networks
from backend.search.presets import DEPTHS
from backend.storage.files import check_writable, free_bytes

WORKER_SILENT_AFTER_S = 15.0

open_router = APIRouter(tags=["service"])
router = APIRouter(prefix="/api/cv", tags=["service"])


@open_router.get("/health")
@open_router.get("/api/health")
async def health(services: ServicesDep) -> HealthView:
    """Whether the API answers; fast, whatever else goes on."""
    seen = await services.vitals.latest()
    return HealthView(
        version=__version__,
        device=str(services.environment.get("device", "unknown")),
        torch_threads=services.settings.torch_threads,
        jobs=seen.jobs,
        default_model=seen.default_model,
    )


@open_router.get("/ready", responses=problems())
def ready(services: ServicesDep) -> ReadyView:
    """Whether database, storage and a worker are there; 503 names everything that is not."""
    folder = services.settings.data_dir
    checks = (
        services.database.check,
        partial(check_writable, folder),
        services.folders.check,
        partial(_hear_a_worker, services),
    )
    missing = dict.fromkeys(detail for check in checks if (detail := _trouble(check)))
    if missing:
        raise UnavailableError(" ".join(missing))
    return ReadyView(free_bytes=free_bytes(folder))


def _trouble(check: Callable[[], object]) -> str | None:
    try:
        check()
    except SightglassError as error:
        return error.detail
    return None


def _hear_a_worker(services: Services) -> None:
    silence = services.presence.silence_s()
    if silence is None or silence > WORKER_SILENT_AFTER_S:
        heard = "No worker has been heard of" if silence is None else f"No worker has been heard of for {silence:.0f} s"
        raise UnavailableError(f"{heard}; jobs wait. `python run_backend.py` starts one beside the API.")


@router.get("/candidates", responses=problems())
def candidates(services: ServicesDep) -> list[Candidate]:
    """The networks that there are, and where each one's weights would come from."""
    return list(services.verbs.list_candidates(services.settings))


@router.get("/options", responses=problems())
def options(settings: SettingsDep) -> OptionsView:
    """What may be chosen for a run: augmentations, presets, limits, expert settings, the recipe's schema."""
    return OptionsView(
        augmentations=list(AUGMENTATION_CATALOGUE),
        presets=[preset_view(name, settings) for name in DEPTHS],
        limits={
            "max_upload_mb": settings.max_upload_mb,
            "max_table_mb": settings.max_table_mb,
            "max_image_pixels": settings.max_image_pixels,
        },
        upload_formats=list(PACKED_SUFFIXES),
        import_roots=[str(root) for root in settings.import_roots],
        recipe_schema=Recipe.model_json_schema(),
        override_keys=override_entries(),
    )


def preset_view(name: PresetName, settings: SettingsDep) -> Preset:
    """A preset in words and numbers."""
    entry = preset_entry(name)
    return Preset(
        name=name,
        title=entry.title,
        description=entry.description,
        recipe=entry.values,
        models=own_networks(name, settings),
        **dataclasses.asdict(DEPTHS[name]),
    )
