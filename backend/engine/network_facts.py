"""What is worth knowing of a network without building it, kept as a small file beside its features.

It does not know features; the counts of the body and of the head are kept apart, for the head's size is the dataset's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from backend.contracts import WeightsKind, WeightsSource
from backend.contracts.base import Record
from backend.engine.network import Network, count_parameters
from backend.storage.files import atomic_write

FILE = "facts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """What a leaderboard says of a network. `size_mb` is its weights in 10^6 bytes; both counts include the head."""

    parameters: int
    size_mb: float
    weights: WeightsKind
    weights_source: WeightsSource | None
    predict_ms_per_image: float | None


class StoredFacts(Record):
    """The figures as they are kept. `seconds_per_image` and `forward` are of the last pass that computed features."""

    body_parameters: int
    body_bytes: int
    in_features: int
    weights: WeightsKind
    weights_source: WeightsSource | None
    forward: str | None = None
    seconds_per_image: float | None = None
    predict_ms_per_image: float | None = None

    def with_head(self, num_classes: int) -> NetworkFacts:
        head = (self.in_features + 1) * num_classes
        return NetworkFacts(
            parameters=self.body_parameters + head,
            size_mb=round((self.body_bytes + 4 * head) / 1e6, 2),
            weights=self.weights,
            weights_source=self.weights_source,
            predict_ms_per_image=self.predict_ms_per_image,
        )


def facts_of(network: Network) -> StoredFacts:
    """Count a network."""
    head = network.head
    in_head = sum(parameter.numel() for parameter in head.parameters())
    tensors = network.module.state_dict().values()
    return StoredFacts(
        body_parameters=count_parameters(network) - in_head,
        body_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors) - 4 * in_head,
        in_features=head.in_features,
        weights=network.weights,
        weights_source=network.weights_source,
    )


def read_facts(folder: Path | None) -> StoredFacts | None:
    """The figures kept in a folder; None where there are none, or the file is damaged."""
    if folder is None:
        return None
    try:
        return StoredFacts.model_validate_json((folder / FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_facts(folder: Path, facts: StoredFacts) -> None:
    atomic_write(folder / FILE, facts.model_dump_json(indent=2))
