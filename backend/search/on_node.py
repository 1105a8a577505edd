"""What a node of a pool does of a comparison: one turn of one network, from images that were sent to it.

It needs no shared disk: the decoded images, the file of weights and the list of the pictures come with the work, and
are kept in the node's scratch folder for the next turn. It must compute as the driver would, so it refuses to work with
other versions or other weights. It knows nothing of what carries the work.
"""

from __future__ import annotations

import getpass
import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from backend.config import Settings
from backend.contracts import Candidate, Dataset, Preprocessing, Recipe, RunControl, Split
from backend.data.cache import keep_decoded
from backend.engine.arithmetic import choose_device, set_threads
from backend.engine.environment import versions
from backend.engine.feature_store import ComputedElsewhere
from backend.engine.members import Member
from backend.engine.models import find_spec
from backend.engine.network import resolve_spec
from backend.engine.weights import fingerprint, locate
from backend.errors import UnavailableError
from backend.search.budget import Budget
from backend.search.entrant import Entrant, enter
from backend.search.presets import Depth, time_budget
from backend.search.probing import Refusal, Rung, answer_test, run_probe
from backend.search.refine import run_refinement
from backend.search.study import Study
from backend.search.trial import Trial
from backend.search.tuning import run_finetune
from backend.search.watch import TrialControl, TrialWatch
from backend.storage.files import atomic_write

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

COMPARED_VERSIONS = ("sightglass", "torch", "torchvision", "timm", "numpy", "scikit-learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What all turns of a run share; sent once to every node."""

    dataset: Dataset
    recipe: Recipe
    settings: Settings
    split: Split
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Which weights the driver would load: what tells them from any others, and a file where it has one."""

    identity: str | None
    suffix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A probe's rung without the driver's clock: `owed` seconds stay for others; None: it must be done."""

    places: Ints
    last: bool
    guess: float
    tight: bool
    owed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOrder:
    """One turn. `kind` says which of the fields below `share` it needs; shared parts are named, not carried."""

    kind: Literal["probe", "answer", "refine", "finetune"]
    candidate: Candidate
    shown_as: Candidate
    preprocessing: Preprocessing
    weights: Weights
    bounded: bool
    share: tuple[float, float] | None
    names: Mapping[str, str]
    look: Look | None = None
    seconds: float = 0.0
    trial: Trial | None = None
    depth: Depth | None = None
    epochs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReport:
    """What comes back: the trial without anything that cannot travel, and beside it what that was made of."""

    trial: Trial
    device: str
    computed: ComputedElsewhere | None = None
    network: dict[str, Any] | None = None
    seconds: float = 0.0


def take_turn(order: TurnOrder, /, *, shared: Mapping[str, Iterable[Any]], control: RunControl) -> TurnReport:
    """Do one turn here.

    Raises:
        UnavailableError: this node has other versions or other weights than the driver.
        DoesNotFit, JobCancelled, DeadlineExceeded: as the turn itself.
    """
    brief: Brief = next(iter(shared[order.names["brief"]]))
    _require_same_versions(brief)
    study = _open(order, brief, shared, control)
    watch = TrialWatch(order.shown_as, control=TrialControl(control) if order.bounded else control, share=order.share)
    if order.kind in {"probe", "answer"}:
        return _probe(study, order, watch)
    if order.kind == "refine":
        if order.trial is None or order.depth is None:
            raise ValueError("a refinement follows a probe")
        rows = next(iter(shared[order.names["features"]]))
        probe = replace(order.trial, features_of=KnownRows(order.trial.places, rows))
        trial = run_refinement(study, order.candidate, probe=probe, depth=order.depth, watch=watch)
    else:
        trial = run_finetune(study, order.candidate, epochs=order.epochs, watch=watch)
    return _packed(trial)


class KnownRows:
    """The features of some images [P, D] by their places in the dataset."""

    def __init__(self, places: Ints | None, rows: Floats) -> None:
        if places is None:
            raise ValueError("features belong to places")
        self._row_of = {int(place): row for row, place in enumerate(places)}
        self._rows = rows

    def __call__(self, places: Ints) -> Floats:
        return self._rows[[self._row_of[int(place)] for place in places]]


def _probe(study: Study, order: TurnOrder, watch: TrialWatch) -> TurnReport:
    entrant = enter(study, order.candidate)
    entrant.seconds = order.seconds
    if order.kind == "answer":
        if order.trial is None or order.trial.places is None:
            raise ValueError("who answers has a trial")
        trial = answer_test(study, entrant, order.trial, watch=watch)
        places = np.concatenate([order.trial.places, study.test])
    else:
        if order.look is None:
            raise ValueError("a probe looks at images")
        trial = run_probe(study, entrant, _rung(study, order.look), watch=watch)
        places = np.concatenate([order.look.places, study.test]) if order.look.last else order.look.places
    return replace(_packed(trial), computed=_computed(entrant, places), seconds=entrant.seconds)


def _rung(study: Study, look: Look) -> Rung:
    refusal = None
    if look.owed is not None:
        budget = Budget(study.control.deadline, time_budget(study.recipe))
        refusal = Refusal(budget=budget, images=len(look.places), owed=look.owed)
    return Rung(places=look.places, last=look.last, refusal=refusal, guess=look.guess, tight=look.tight)


def _computed(entrant: Entrant, places: Ints) -> ComputedElsewhere:
    try:
        return entrant.source.handed_over(places)
    finally:
        entrant.source.release()


def _packed(trial: Trial) -> TurnReport:
    """The trial as it can travel: functions stay here, a network goes as tensors on the processor."""
    network = None
    if trial.model is not None:
        member = Member(
            name=trial.candidate.name, network=trial.model.network, preprocessing=trial.model.preprocessing, weight=1.0
        )
        network = member.as_mapping()
    bare = replace(trial, build=None, features_of=None, model=None)
    return TurnReport(trial=bare, device=choose_device().type, network=network)


def _open(order: TurnOrder, brief: Brief, shared: Mapping[str, Iterable[Any]], control: RunControl) -> Study:
    scratch = _scratch(brief.settings)
    settings = brief.settings.model_copy(
        update={"data_dir": scratch, "weights_dir": _weights_folder(order, shared, scratch)}
    )
    set_threads(settings.torch_threads)
    _require_same_weights(order, settings)
    keep_decoded(
        brief.dataset,
        order.preprocessing,
        lambda: shared[order.names["images"]],
        cache_dir=settings.cache_dir,
        limit_mb=settings.cache_mb,
    )
    return Study(dataset=brief.dataset, recipe=brief.recipe, settings=settings, control=control, split=brief.split)


def _scratch(settings: Settings) -> Path:
    """A folder of this user's own: others on the machine must not put weights into it."""
    folder = settings.ray_scratch_dir or Path(tempfile.gettempdir()) / f"sightglass-node-{getpass.getuser()}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _weights_folder(order: TurnOrder, shared: Mapping[str, Iterable[Any]], scratch: Path) -> Path | None:
    """The file of weights that came with the work, in a folder of its own; None where none came."""
    if order.weights.suffix is None or order.weights.identity is None:
        return None
    folder = scratch / "weights" / hashlib.sha256(order.weights.identity.encode()).hexdigest()[:16]
    path = folder / f"{resolve_spec(find_spec(order.candidate.name)).timm_name}{order.weights.suffix}"
    if not path.is_file():
        atomic_write(path, b"".join(shared[order.names["weights"]]))
    return folder


def _require_same_versions(brief: Brief) -> None:
    ours = versions()
    other = [name for name in COMPARED_VERSIONS if ours.get(name) != brief.versions.get(name)]
    if other:
        words = ", ".join(f"{name} {ours.get(name)} instead of {brief.versions.get(name)}" for name in other)
        raise UnavailableError(
            f"A Ray node has {words}; its results would not be comparable. Install the same versions on every node."
        )


def _require_same_weights(order: TurnOrder, settings: Settings) -> None:
    expected = order.weights.identity
    if expected is None:
        return
    spec = resolve_spec(find_spec(order.candidate.name))
    found = fingerprint(spec, locate(spec, settings), settings)
    if found != expected:
        raise UnavailableError(
            f"A Ray node would load other weights for '{order.candidate.name}' ({found}) than the worker ({expected}). "
            "Set SIGHTGLASS_WEIGHTS_DIR on the worker, whose files are sent along, or SIGHTGLASS_OFFLINE=1 everywhere."
        )
