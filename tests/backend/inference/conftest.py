from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.config import Settings
from backend.contracts import ModelInfo, Preprocessing

CLASSES = ("disc", "square", "stripes")
SIDE = 96  # of the drawn pictures
SHAPE = 34  # of the shape in them
PER_CLASS = 10


def draw(
    label: str, *, seed: int, size: tuple[int, int] = (SIDE, SIDE), corner: tuple[int, int] | None = None
) -> Image.Image:
    """A noisy grey picture with one shape; `corner` is its left upper corner, random by default."""
    random = np.random.default_rng(seed)
    noise = random.normal(110, 12, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(noise)
    left, top = corner or (int(random.integers(0, size[0] - SHAPE)), int(random.integers(0, size[1] - SHAPE)))
    pen, box = ImageDraw.Draw(image), (left, top, left + SHAPE, top + SHAPE)
    if label == "disc":
        pen.ellipse(box, fill=(220, 60, 50))
    elif label == "square":
        pen.rectangle(box, fill=(50, 80, 210))
    else:
        for offset in range(0, SHAPE, 8):
            pen.rectangle((left, top + offset, left + SHAPE, top + offset + 3), fill=(20, 20, 20))
    return image


def make_info(**changes: Any) -> ModelInfo:
    fields: dict[str, Any] = {
        "model_id": "model-1",
        "dataset_id": "ds-1",
        "name": "efficientnet_lite0",
        "timm_name": "tf_efficientnet_lite0",
        "strategy": "probe",
        "weights": "imagenet",
        "weights_source": "bundled",
        "class_names": CLASSES,
        "preprocessing": Preprocessing(height=224, width=224, mean=(0.5,) * 3, std=(0.5,) * 3),
        "accuracy": 0.9,
        "macro_f1": 0.9,
        "metrics": {},
        "dataset_digest": "0" * 64,
        "parameters": 1,
        "size_mb": 1.0,
        "versions": {},
        "created_at": "2026-01-01T00:00:00Z",
    }
    return ModelInfo.model_validate({**fields, **changes})


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small batches gain nothing from threads, and threads that wait for a busy core lose much."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(offline=True, data_dir=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def info() -> Callable[..., ModelInfo]:
    return make_info


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image.Image]:
    return draw


@pytest.fixture(scope="session")
def saved(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a real linear head on ImageNet features: EfficientNet-Lite0 that knows the three shapes."""
    from backend.data.images import prepare_image
    from backend.engine.bundle import save_bundle
    from backend.engine.features import extract_features
    from backend.engine.models import find_spec
    from backend.engine.network import create_network
    from backend.engine.probe import HeadPlan, fit_probe, install_head
    from backend.engine.reference import build_reference

    info = make_info(
        preprocessing=Preprocessing(height=224, width=224, resize="letterbox", mean=(0.5,) * 3, std=(0.5,) * 3)
    )
    labels = [label for label in CLASSES for _ in range(PER_CLASS)]
    images = np.stack([prepare_image(draw(label, seed=seed), info.preprocessing) for seed, label in enumerate(labels)])
    network = create_network(find_spec(info.name), num_classes=len(CLASSES), settings=settings, seed=1)
    features = extract_features(network, images, preprocessing=info.preprocessing)
    targets = np.array([CLASSES.index(label) for label in labels])
    install_head(network, fit_probe(features, targets, num_classes=len(CLASSES), plan=HeadPlan(folds=2)))
    held_out = np.arange(len(labels)) % PER_CLASS >= PER_CLASS - 3
    known = np.flatnonzero(~held_out)
    reference = build_reference(
        features[known],
        features[held_out],
        image_ids=[f"img-{place:03}" for place in known],
        labels=[labels[place] for place in known],
    )
    folder = tmp_path_factory.mktemp("models") / "model-1"
    save_bundle(folder, network, info=info, reference=reference)
    return folder


@pytest.fixture(scope="session")
def predictor(saved: Path, settings: Settings):
    from backend.inference.predictor import Predictor

    return Predictor.open(saved, settings=settings)
