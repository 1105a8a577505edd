"""A runner that gives each turn to a pool of machines and puts what comes back into the driver's own hands.

The driver keeps the plan, the budget and the ranking; a node gets the images, one network's weights and one turn.
Features that a node computed are kept on the driver's disk, so that what follows (a learning curve, the saved model,
the same job again) reads them. It does not know what carries the work.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.config import Settings
from backend.contracts import PoolTask, Progress, RunControl
from backend.data.cache import cache_key
from backend.engine import hub
from backend.engine.environment import versions
from backend.engine.members import open_member
from backend.engine.models import find_spec
from backend.engine.network import resolve_spec
from backend.engine.weights import fingerprint, folder_file, locate
from backend.errors import SightglassError
from backend.search.best_epochs import keep_where_wanted
from backend.search.on_node import Brief, Look, TurnOrder, TurnReport, Weights, take_turn
from backend.search.probing import build_probe, looked_at, run_probe
from backend.search.runner import InProcess, TrialRunner
from backend.search.trial import TrainedModel, Trial
from backend.storage.files import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from backend.contracts import Candidate, PoolAnswer, Preprocessing, TaskPool
    from backend.engine.models import ModelSpec
    from backend.search.entrant import Entrant
    from backend.search.presets import Depth
    from backend.search.probing import Rung
    from backend.search.study import Study
    from backend.search.watch import TrialWatch

SENT_SETTINGS = ("offline", "hub_timeout_s", "cache_mb", "ray_scratch_dir", "executor", "max_image_pixels")
PART_BYTES = 32 * 2**20  # of what is shared at a time: small enough for any object store


def runner_for(control: RunControl) -> TrialRunner:
    """The runner that fits who asks: in process, or the pool that came with the control."""
    return InProcess() if control.pool is None else Distributed(control.pool)


class Distributed:
    """Each turn is one task of the pool. Its methods are called from several threads."""

    def __init__(self, pool: TaskPool) -> None:
        self._pool = pool
        self._run = new_id("run")
        # Opening a network, decoding and the disk are the driver's own, and none of them is made for threads.
        self._lock = threading.Lock()
        self._together = _Together()

    @property
    def width(self) -> int:
        return self._pool.width

    def probe(self, study: Study, entrant: Entrant, rung: Rung, *, watch: TrialWatch) -> Trial:
        places = looked_at(study, rung)
        with self._lock:
            entrant.show(places, journal=watch.control.journal)  # by this disk: a node may have more
            if entrant.source.cached(places):  # reading is quicker than asking
                return run_probe(study, entrant, rung, watch=watch)
        owed = None if rung.refusal is None else rung.refusal.owed
        look = Look(places=rung.places, last=rung.last, guess=rung.guess, tight=rung.tight, owed=owed)
        order = self._order("probe", study, entrant.candidate, watch=watch)
        report, ran_on = self._send(study, replace(order, look=look, seconds=entrant.seconds), watch=watch)
        return self._probed(study, entrant, report, ran_on)

    def answer(self, study: Study, entrant: Entrant, trial: Trial, *, watch: TrialWatch) -> Trial:
        with self._lock:
            entrant.show(study.test, journal=watch.control.journal)
        order = self._order("answer", study, entrant.candidate, watch=watch)
        bare = replace(trial, build=None, features_of=None, model=None)
        report, ran_on = self._send(study, replace(order, trial=bare, seconds=entrant.seconds), watch=watch)
        return self._probed(study, entrant, report, ran_on)

    def refine(self, study: Study, candidate: Candidate, *, probe: Trial, depth: Depth, watch: TrialWatch) -> Trial:
        if probe.features_of is None or probe.places is None:
            raise ValueError("a probe knows its features")
        order = self._order("refine", study, candidate, watch=watch)
        name = f"{self._run} features {candidate.name}"
        with self._lock:
            rows = probe.features_of(probe.places)
        self._pool.share(name, lambda: [rows])
        bare = replace(probe, build=None, features_of=None, model=None, head=None, test_probabilities=None)
        order = replace(order, trial=bare, depth=depth, names={**order.names, "features": name})
        return self._trained(study, *self._send(study, order, watch=watch))

    def finetune(self, study: Study, candidate: Candidate, *, epochs: int, watch: TrialWatch) -> Trial:
        order = replace(self._order("finetune", study, candidate, watch=watch), epochs=epochs)
        trial = self._trained(study, *self._send(study, order, watch=watch))
        keep_where_wanted(study, trial)  # the node had no folder for it
        return trial

    def stop(self) -> None:
        self._pool.stop()

    def _order(self, kind: Any, study: Study, candidate: Candidate, *, watch: TrialWatch) -> TurnOrder:
        """The order of a turn, with all that it needs laid out for the nodes."""
        watch.stage("preparing")
        with self._lock:
            spec = resolve_spec(find_spec(candidate.name))
            preprocessing = study.preprocessing(spec)
            names = {
                "brief": self._share_brief(study),
                "images": self._share_images(study, preprocessing),
            }
            weights, file = _weights_of(spec, study)
            if file is not None:
                names["weights"] = f"weights {weights.identity}"
                self._pool.share(names["weights"], partial(_file_parts, file))
        return TurnOrder(
            kind=kind,
            candidate=candidate,
            shown_as=watch.candidate,
            preprocessing=preprocessing,
            weights=weights,
            bounded=watch.bounded,
            share=watch.share,
            names=names,
        )

    def _send(self, study: Study, order: TurnOrder, *, watch: TrialWatch) -> tuple[TurnReport, str]:
        """Have a turn taken; what it took, and where."""
        watch.stage("waiting for a machine")
        control = study.control
        relayed = RunControl(
            report=partial(self._together.report, control, order),
            cancelled=partial(_is_cancelled, control),
            deadline=control.deadline,
        )
        task = PoolTask(
            name=order.shown_as.name,
            work=take_turn,
            payload=order,
            shared=tuple(order.names.values()),
            bounded=order.bounded,
        )
        answer: PoolAnswer = self._pool.run(task, control=relayed)
        report: TurnReport = answer.value
        again = f", attempt {answer.attempts}" if answer.attempts > 1 else ""
        return report, f"{answer.node[:12]} ({answer.host}, {report.device}{again})"

    def _probed(self, study: Study, entrant: Entrant, report: TurnReport, ran_on: str) -> Trial:
        if report.computed is None:
            raise ValueError("a probe comes with its features")
        with self._lock:
            entrant.source.take_over(report.computed)
        entrant.seconds = report.seconds
        trial = replace(report.trial, features_of=entrant.source.features, feature_use=entrant.use, ran_on=ran_on)
        if trial.head is not None and trial.test_probabilities is not None:
            build = partial(build_probe, study, entrant, trial.head, learned=trial.places)
            trial = replace(trial, build=build)
        return trial

    def _trained(self, study: Study, report: TurnReport, ran_on: str) -> Trial:
        trial = replace(report.trial, ran_on=ran_on)
        if report.network is None:
            return trial
        with self._lock:
            member = open_member(report.network, study.dataset.class_names, origin=f"node {ran_on}")
        model = TrainedModel(network=member.network, preprocessing=member.preprocessing, features=None)
        return replace(trial, model=model)

    def _share_brief(self, study: Study) -> str:
        settings = study.settings
        threads = max(1, round(settings.resolved_ray_cpus))
        # nodes talk to nobody but the driver: neither keys nor addresses leave this machine
        kept = {"torch_threads": threads} | {name: getattr(settings, name) for name in SENT_SETTINGS}
        brief = Brief(
            dataset=study.dataset,
            recipe=study.recipe,
            settings=Settings.model_construct(**kept),
            split=study.split,
            versions=versions(),
        )
        name = f"{self._run} brief"
        self._pool.share(name, lambda: [brief])
        return name

    def _share_images(self, study: Study, preprocessing: Preprocessing) -> str:
        name = f"images {cache_key(study.dataset, preprocessing)}"
        self._pool.share(name, lambda: _image_parts(study.images(preprocessing)))
        return name


class _Together:
    """Adds up how far turns are that are taken side by side: each alone knows only its own part of the bar."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reached: dict[str, float] = {}
        self._begin: float | None = None

    def report(self, control: RunControl, order: TurnOrder, progress: Progress) -> None:
        if progress.progress is not None and order.share is not None:
            begin = order.share[0]
            with self._lock:
                self._begin = begin if self._begin is None else min(self._begin, begin)
                done = self._reached
                name = f"{order.shown_as.name} {begin}"
                done[name] = max(done.get(name, 0.0), progress.progress - begin)
                progress = progress.model_copy(update={"progress": min(1.0, self._begin + sum(done.values()))})
        control.report(progress)


def _is_cancelled(control: RunControl) -> bool:
    control.check()  # raises where somebody cancelled and nothing is there to keep
    if control.ended_early:
        control.check_deadline()  # raises: what is done is kept, what runs elsewhere ends now
    return False


def _weights_of(spec: ModelSpec, study: Study) -> tuple[Weights, Path | None]:
    """Which weights the nodes must use, and the file that brings them; fetched from the hub once, here."""
    settings = study.settings
    source = locate(spec, settings)
    if source == "hub" and spec.hub_id is not None:
        try:
            hub.download(spec.hub_id, timeout_s=settings.hub_timeout_s)
        except (SightglassError, OSError):
            return Weights(identity=None), None  # each node tries its own luck, as this machine would have
        source = locate(spec, settings)
    identity = fingerprint(spec, source, settings)
    if source == "folder":
        file = folder_file(spec, settings)
    elif source == "cache" and spec.hub_id is not None:
        file = hub.cached_file(spec.hub_id)
    else:
        file = None
    return Weights(identity=identity, suffix=file.suffix if file else None), file


def _file_parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part


def _image_parts(images: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    rows = max(1, PART_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), rows):
        yield np.array(images[start : start + rows])
