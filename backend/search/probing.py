"""The cheap trial: a linear head on a frozen network's features."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.contracts import Candidate, EpochRecord
from backend.data.targets import Targets
from backend.engine.head_store import remembered_probe
from backend.engine.metrics import log_loss
from backend.engine.network import Network
from backend.engine.probe import LinearHead, install_head
from backend.search.budget import Budget, DoesNotFit
from backend.search.entrant import Entrant
from backend.search.trial import TrainedModel, Trial

if TYPE_CHECKING:
    from backend.search.study import Study
    from backend.search.watch import TrialWatch

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

# Images whose time says what all will take. The first of them only set everything up; ViT-Base needs 0.1-0.3 s each.
WARMING, TIMED = 4, 8
ADMITTED = "admitted"
KEPT_MB = 100.0  # of weights that stay in memory from one rung to the next
LEAST_TURN_S = 0.5  # loading a network and a first look; less time left is none
HEAD_S_PER_IMAGE = 0.001  # fitting and cross-validating a head: 0.2 s for 160 images, 4 s for 8,000, on two cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Says no to a look at images that takes too long. `owed` seconds are kept for whoever answers the test images."""

    budget: Budget
    images: int
    owed: float

    def reason(self, seconds: float) -> str | None:
        """Why a look of so many seconds does not fit, or None where it does."""
        return self.budget.refusal(f"Looking at {self.images:,} images", seconds + self.owed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """The images that a probe learns from and is judged on, and whether they are all of them.

    `refusal` turns down what does not fit the time; None: it must be done, however long it takes. `guess` is an
    estimate before anything was computed, by what other networks took; 0 without one. Where time is `tight`, a few
    images are timed first: that costs up to a second, for a library prepares anew for every size of a batch.
    """

    places: Ints
    last: bool
    refusal: Refusal | None = None
    guess: float = 0.0
    tight: bool = False


def run_probe(study: Study, entrant: Entrant, rung: Rung, *, watch: TrialWatch) -> Trial:
    """Features once, then a linear head whose regularisation is cross-validated over the rung's images.

    On the last rung the test images are answered too, unscored.

    Raises:
        DoesNotFit: the first images say that the rest would take longer than there is time.
    """
    started = time.perf_counter()
    source, places = entrant.source, rung.places
    entrant.show(looked_at(study, rung), journal=watch.control.journal)
    if watch.control.journal.recall(ADMITTED) is None:
        _admit(study, entrant, rung, watch=watch)
        watch.control.journal.note(ADMITTED, {})  # what was begun is not refused to whoever goes on with it
    watch.stage("computing features")
    features = source.features(places, control=watch.control)
    watch.stage("fitting the head")
    targets = study.targets[places]
    head = remembered_probe(
        features,
        targets,
        num_classes=study.num_classes,
        plan=study.head_plan(places),
        cache_dir=study.settings.cache_dir,
        control=watch.control,
    )
    trial = Trial(
        candidate=_actual(entrant),
        strategy="probe",
        tried=f"linear head{' for each label' if head.task == 'multilabel' else ''} on frozen features, "
        f"{study.recipe.probe.folds}-fold cross-validation",
        train_images=len(places),
        held_out=head.out_of_fold,
        places=places,
        history=(_history(head, features, targets),),
        head=head,
        features_of=source.features,
    )
    if rung.last:
        trial = answer_test(study, entrant, trial, watch=watch)
    if rung.last or source.facts.size_mb > KEPT_MB:
        source.release()  # seven networks at once took 2 GB
    entrant.seconds += time.perf_counter() - started
    return replace(trial, train_seconds=entrant.seconds, feature_use=entrant.use)


def looked_at(study: Study, rung: Rung) -> Ints:
    """The images of a rung: on the last, the test images too."""
    return np.concatenate([rung.places, study.test]) if rung.last else rung.places


def _admit(study: Study, entrant: Entrant, rung: Rung, *, watch: TrialWatch) -> None:
    """Begin, or refuse where the clock says that the rest would take too long."""
    known = _expected(study, entrant, rung)
    _require_time(rung, max(LEAST_TURN_S, known or rung.guess))
    watch.stage("loading")
    if rung.tight and not known:
        for first in (WARMING, WARMING + TIMED):
            entrant.source.features(rung.places[:first], control=watch.control)
        _require_time(rung, _expected(study, entrant, rung))


def revive_probe(study: Study, entrant: Entrant, trial: Trial) -> Trial:
    """A probe from the journal with what it can only do beside its network's features."""
    entrant.seconds = trial.train_seconds
    if trial.feature_use is not None and trial.places is not None:
        entrant.use = trial.feature_use
        answered = trial.test_probabilities is not None
        entrant.shown.update(map(int, np.concatenate([trial.places, study.test]) if answered else trial.places))
    trial = replace(trial, features_of=entrant.source.features)
    return trial if trial.test_probabilities is None else _buildable(study, entrant, trial)


def answer_test(study: Study, entrant: Entrant, trial: Trial, *, watch: TrialWatch) -> Trial:
    """The probe with its answers to the test images, and all that a row says of its network."""
    head = trial.head
    if head is None:
        raise ValueError("a probe has a head")
    entrant.show(study.test, journal=watch.control.journal)
    watch.stage("predicting the test images")
    features = entrant.source.features(study.test, control=watch.control)
    facts = entrant.source.facts
    trial = replace(
        trial,
        test_probabilities=head.probabilities(features),
        predict_ms_per_image=entrant.source.measure_prediction(),
        parameters=facts.parameters,
        size_mb=facts.size_mb,
        feature_use=entrant.use,
    )
    return _buildable(study, entrant, trial)


def _buildable(study: Study, entrant: Entrant, trial: Trial) -> Trial:
    head = trial.head
    if head is None:
        raise ValueError("a probe has a head")
    return replace(trial, build=partial(build_probe, study, entrant, head, learned=trial.places))


def build_probe(study: Study, entrant: Entrant, head: LinearHead, *, learned: Ints | None) -> TrainedModel:
    """The network with its solved head, and the features of the images that it learned from."""
    known = study.learnable if learned is None else learned
    network = entrant.source.network
    network.task = head.task
    install_head(network, head)
    return TrainedModel(
        network=network, preprocessing=entrant.preprocessing, features=entrant.source.features(known), places=known
    )


def _expected(study: Study, entrant: Entrant, rung: Rung) -> float:
    """Seconds of the whole turn, as far as is known; 0 where nothing is."""
    images = entrant.estimate(rung.places) + (entrant.estimate(study.test) if rung.last else 0.0)
    return images + HEAD_S_PER_IMAGE * len(rung.places) if images else 0.0


def _require_time(rung: Rung, seconds: float) -> None:
    reason = None if rung.refusal is None else rung.refusal.reason(seconds)
    if reason is not None:
        raise DoesNotFit(reason)


def _actual(entrant: Entrant) -> Candidate:
    """The candidate with the weights that were really loaded: a source may have failed since it was planned."""
    facts = entrant.source.facts
    return entrant.candidate.model_copy(
        update={"weights": facts.weights, "weights_source": facts.weights_source, "parameters": facts.parameters}
    )


def actual(candidate: Candidate, network: Network) -> Candidate:
    """The candidate with the weights that a network was really given."""
    update = {"weights": network.weights, "weights_source": network.weights_source}
    return candidate.model_copy(update=update)


def size_mb(network: Network) -> float:
    """Size of the weights on disk, in megabytes (10^6 bytes)."""
    tensors = network.module.state_dict().values()
    size: int = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return round(size / 1e6, 2)


def _history(head: LinearHead, features: Floats, targets: Targets) -> EpochRecord:
    """A head is solved, not stepped: its history is one record. Validation numbers are out of fold."""
    return EpochRecord(
        epoch=1,
        train_loss=log_loss(head.probabilities(features), targets),
        val_loss=log_loss(head.out_of_fold, targets),
        val_accuracy=head.cv_accuracy,
    )
