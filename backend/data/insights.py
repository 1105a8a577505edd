"""What a dataset looks like: counts, sizes, formats, light, a few samples. Stored beside it, answered in one read.

Everything comes from the items' stored facts: no picture is opened. What may be wrong is found by `quality`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.contracts import Dataset, ImageFacts, ImageItem
from backend.contracts.insights import (
    Dimensions,
    Histogram,
    Insights,
    Issues,
    LabelPair,
    Quality,
    QualityState,
    SizeCount,
    Spread,
    thumbnail_url,
)
from backend.data.imbalance import imbalance_ratio
from backend.data.manifest import load_dataset, version_folder
from backend.data.quality import unreadable
from backend.storage.files import atomic_write

INSIGHTS_FILE = "insights.json"
MEASURES = ("brightness", "contrast", "sharpness")
BINS = 24
SAMPLES_PER_CLASS = 8
MOST_SAMPLES = 2000  # with 1,000 classes two thumbnails each: the answer stays below 0.5 MB
MOST_SIZES = 300
MOST_PAIRS = 200

Floats = npt.NDArray[np.floating[Any]]


def write_insights(dataset: Dataset, folder: Path | None = None, *, quality: Quality | None = None) -> Insights:
    """Work out the insights and store them in `folder`, by default the version's own; replaces what stood there.

    Without `quality` the issues hold what the import itself saw; the check that follows writes again.
    """
    insights = describe(dataset, quality=quality)
    target = folder or version_folder(dataset.root, dataset.info.version)
    atomic_write(target / INSIGHTS_FILE, insights.model_dump_json() + "\n")
    return insights


def load_insights(root: Path, *, version: int) -> Insights:
    """Read the stored insights of a version; worked out and stored now where the dataset is older than they are.

    Raises:
        NotFoundError: the folder holds no dataset, or not this version.
    """
    return Insights.model_validate_json(stored_insights(root, version=version))


def stored_insights(root: Path, *, version: int) -> bytes:
    """As `load_insights`, as the JSON it lies in: what the API sends.

    Raises:
        NotFoundError: the folder holds no dataset, or not this version.
    """
    path = version_folder(root, version) / INSIGHTS_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        write_insights(load_dataset(root, version=version))
        return path.read_bytes()


def describe(dataset: Dataset, *, quality: Quality | None = None) -> Insights:
    """Return what the dataset looks like. Pure: items in, one record out."""
    items, info = dataset.items, dataset.info
    facts = [item.facts for item in items if item.facts is not None]
    checked = quality or Quality(issues=Issues(corrupt=unreadable(info.skipped)))
    state: QualityState = "unavailable" if not facts else "checked" if quality is not None else "pending"
    return Insights(
        dataset_id=info.dataset_id,
        version=info.version,
        name=info.name,
        task=info.task,
        total_images=info.total_images,
        num_classes=info.num_classes,
        class_counts=dict(info.class_counts),
        unlabelled=sum(1 for item in items if not any(labels_of(item))),
        label_pairs=_pairs(dataset),
        labels_per_image=_per_image(dataset),
        imbalance_ratio=round(imbalance_ratio(info.class_counts.values()), 3) if info.class_counts else 1.0,
        dimensions=_dimensions(items),
        sizes=_sizes(items),
        light=_light(facts),
        formats=_counted(one.format for one in facts),
        modes=_counted(one.mode for one in facts),
        samples=_samples(dataset),
        quality=state,
        issues=checked.issues,
        notes=checked.notes,
        conflicts=checked.conflicts,
    )


def labels_of(item: ImageItem) -> tuple[str, ...]:
    """All labels of an image: of a multi-class one its class, of a multi-label one perhaps none."""
    return item.labels or ((item.label,) if item.label else ())


def _pairs(dataset: Dataset) -> tuple[LabelPair, ...]:
    """Labels that occur on the same images, the most frequent pairs first."""
    if dataset.info.task != "multilabel":
        return ()
    together = Counter(pair for item in dataset.items for pair in combinations(sorted(set(item.labels)), 2))
    counts, total = dataset.info.class_counts, max(1, len(dataset.items))
    ordered = sorted(together.items(), key=lambda one: (-one[1], one[0]))[:MOST_PAIRS]
    return tuple(
        LabelPair(labels=pair, images=images, by_chance=_rounded(counts[pair[0]] * counts[pair[1]] / total))
        for pair, images in ordered
    )


def _per_image(dataset: Dataset) -> dict[int, int]:
    """How many images carry no label, one, two, ..."""
    if dataset.info.task != "multilabel":
        return {}
    return dict(sorted(Counter(len(set(item.labels)) for item in dataset.items).items()))


def spread(values: Sequence[float]) -> Spread:
    """Return least, most, mean, median and the histogram of some values; of none all is 0."""
    found = np.asarray(values or [0.0], dtype=np.float64)
    return Spread(
        min=_rounded(found.min()),
        max=_rounded(found.max()),
        mean=_rounded(found.mean()),
        median=_rounded(float(np.median(found))),
        histogram=_histogram(found),
    )


def _histogram(values: Floats) -> Histogram:
    """Equal bins between the least and the most; one bin where all values are the same."""
    if values.min() == values.max():
        only = _rounded(values[0])
        return Histogram(edges=(only, only), counts=(len(values),))
    whole = bool((values == np.round(values)).all())
    most = min(BINS, int(values.max() - values.min()) + 1) if whole else BINS
    counts, edges = np.histogram(values, bins=max(1, most))
    return Histogram(edges=tuple(_rounded(edge) for edge in edges), counts=tuple(int(count) for count in counts))


def _light(facts: Sequence[ImageFacts]) -> dict[str, Spread]:
    if not facts:
        return {}
    return {name: spread([getattr(one, name) for one in facts]) for name in MEASURES}


def _dimensions(items: Sequence[ImageItem]) -> Dimensions:
    return Dimensions(
        width=spread([item.width for item in items]),
        height=spread([item.height for item in items]),
        aspect_ratio=spread([item.width / item.height for item in items]),
    )


def _sizes(items: Sequence[ImageItem]) -> tuple[SizeCount, ...]:
    counts = Counter((item.width, item.height) for item in items)
    return tuple(
        SizeCount(width=width, height=height, images=images)
        for (width, height), images in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST_SIZES]
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Names and how often, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda one: (-one[1], one[0])))


def _samples(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Thumbnails spread over each class, as neighbours in an archive are often alike."""
    places: dict[str, list[str]] = {name: [] for name in dataset.class_names}
    for item in dataset.items:
        for label in labels_of(item):
            places[label].append(item.image_id)
    most = max(1, min(SAMPLES_PER_CLASS, MOST_SAMPLES // max(1, len(places))))
    return {
        label: tuple(thumbnail_url(dataset.info.dataset_id, image_id) for image_id in _spread_out(ids, most))
        for label, ids in places.items()
    }


def _spread_out(ids: Sequence[str], most: int) -> list[str]:
    if len(ids) <= most:
        return list(ids)
    return [ids[place * len(ids) // most] for place in range(most)]


def _rounded(value: float) -> float:
    return round(float(value), 4)
