"""The cheap trials: the baseline, and a linear head on a frozen network's features."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from backend.contracts import Candidate, EpochRecord
from backend.engine.features import extract_features
from backend.engine.metrics import accuracy, log_loss
from backend.engine.network import Network, count_parameters, create_network
from backend.engine.probe import LinearHead, fit_probe, install_head
from backend.search.study import Study
from backend.search.trial import TrainedModel, Trial
from backend.search.watch import TrialWatch

BASELINE = Candidate(name="baseline", family="baseline", timm_name="none", description="Always the most frequent class")


def run_baseline(study: Study) -> Trial:
    """Answer with the class shares of the training images, whatever the picture: what a network must beat."""
    counts = np.bincount(study.targets[study.train], minlength=study.num_classes)
    shares = counts / counts.sum()
    return Trial(
        candidate=BASELINE,
        strategy="baseline",
        reason="Always answers with the most frequent class; a network worth having beats it.",
        held_out=np.tile(shares, (len(study.ranking), 1)),
        test_probabilities=np.tile(shares, (len(study.test), 1)),
    )


def run_probe(study: Study, candidate: Candidate, *, watch: TrialWatch) -> Trial:
    """Features once, then a linear head whose regularisation is cross-validated over train and validation."""
    started = time.perf_counter()
    watch.stage("loading")
    network = create_network(watch.spec, num_classes=study.num_classes, settings=study.settings, seed=study.recipe.seed)
    preprocessing = study.preprocessing(network)
    images = study.images(preprocessing)
    watch.stage("computing features")
    features = extract_features(network, images, preprocessing=preprocessing, control=watch.control)
    watch.stage("fitting the head")
    head = fit_probe(
        features[study.learnable],
        study.targets[study.learnable],
        num_classes=study.num_classes,
        plan=study.head_plan,
        control=watch.control,
    )
    install_head(network, head)
    seconds = time.perf_counter() - started
    return Trial(
        candidate=actual(candidate, network),
        strategy="probe",
        held_out=head.out_of_fold[-len(study.ranking) :],
        test_probabilities=head.probabilities(features[study.test]),
        history=(_probe_history(study, head, features),),
        train_seconds=seconds,
        predict_ms_per_image=watch.predict_ms(network, images, preprocessing),
        parameters=count_parameters(network),
        size_mb=size_mb(network),
        model=TrainedModel(network=network, preprocessing=preprocessing, features=features),
    )


def actual(candidate: Candidate, network: Network) -> Candidate:
    """The candidate with the weights that were really loaded: a source may have failed since it was planned."""
    update = {"weights": network.weights, "weights_source": network.weights_source}
    return candidate.model_copy(update=update)


def size_mb(network: Network) -> float:
    """Size of the weights on disk, in megabytes (10^6 bytes)."""
    tensors = network.module.state_dict().values()
    size: int = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return round(size / 1e6, 2)


def _probe_history(study: Study, head: LinearHead, features: npt.NDArray[np.float32]) -> EpochRecord:
    """A head is solved, not stepped: its history is one record. Validation numbers are out of fold."""
    val = head.out_of_fold[len(study.train) :]
    val_targets = study.targets[study.val]
    return EpochRecord(
        epoch=1,
        train_loss=log_loss(head.probabilities(features[study.train]), study.targets[study.train]),
        val_loss=log_loss(val, val_targets),
        val_accuracy=accuracy(val, val_targets),
    )
