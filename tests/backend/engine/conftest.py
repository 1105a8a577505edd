"""Small pictures and networks for the engine's tests. torch and timm are slow to import, so networks are shared."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backend.config import Settings
from backend.contracts import ModelInfo, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from backend.engine.network import Network

CLASS_NAMES = ("blue", "green", "red")
SIDE = 64


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(offline=True, weights_dir=None)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests share the cores with others; two threads that wait for each other there are up to 20 times slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def preprocessing() -> Preprocessing:
    return Preprocessing(height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="session")
def _lite0(settings: Settings) -> Network:
    from backend.engine.models import find_spec
    from backend.engine.network import create_network

    return create_network(find_spec("efficientnet_lite0"), num_classes=3, settings=settings, seed=42, input_size=SIDE)


@pytest.fixture
def lite0(_lite0: Network) -> Network:
    """A fresh copy of Lite0 with bundled weights and a head for three classes."""
    return copy.deepcopy(_lite0)


@pytest.fixture(scope="session")
def _tiny(settings: Settings) -> Network:
    from backend.engine.models import find_spec
    from backend.engine.network import create_network

    return create_network(
        find_spec("timm:test_efficientnet"), num_classes=3, settings=settings, seed=42, input_size=SIDE
    )


@pytest.fixture
def tiny(_tiny: Network) -> Network:
    """A fresh copy of timm's test EfficientNet, treated as if it were pretrained; an epoch takes 0.1 s."""
    network = copy.deepcopy(_tiny)
    network.weights = "imagenet"
    return network


@pytest.fixture(scope="session")
def pictures() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """36 noisy pictures of three colours [N, 64, 64, 3] and their classes."""
    random = np.random.default_rng(0)
    targets = np.tile(np.arange(3), 12)
    images = random.integers(0, 120, size=(36, SIDE, SIDE, 3), dtype=np.uint8)
    for place, target in enumerate(targets):
        images[place, :, :, 2 - target] += 100
    return images, targets


@pytest.fixture(scope="session")
def describe() -> Callable[..., ModelInfo]:
    """Metadata for a network, as the search room would write it."""

    def build(network: Network, preprocessing: Preprocessing, class_names: tuple[str, ...] = CLASS_NAMES) -> ModelInfo:
        from backend.engine.environment import versions
        from backend.engine.network import count_parameters

        return ModelInfo(
            model_id="model-0123456789",
            dataset_id="ds-0123456789",
            name=network.spec.name,
            timm_name=network.spec.timm_name,
            strategy="probe",
            weights=network.weights,
            weights_source=network.weights_source,
            class_names=class_names,
            preprocessing=preprocessing,
            accuracy=0.9,
            macro_f1=0.8,
            metrics={"test": {"accuracy": 0.9}},
            dataset_digest="0" * 64,
            parameters=count_parameters(network),
            size_mb=1.0,
            versions=versions(),
            created_at="2026-01-01T00:00:00+00:00",
        )

    return build
