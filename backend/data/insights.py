"""What a dataset looks like: counts, sizes, formats, light, a few samples. Stored beside it, answered in one read.

Everything comes from the items' stored facts: no picture is opened. What may be wrong is found by `quality`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.contracts import Dataset, DatasetInfo, ImageItem
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
USUAL = 99.0  # percent of the values that get equal bins
SQUASHED = 2.0  # times as far as those the largest value lies: they would be left half of the axis
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
    return store_insights(insights, folder or version_folder(dataset.root, dataset.info.version))


def store_insights(insights: Insights, folder: Path) -> Insights:
    """Store a version's insights in its folder; returns them."""
    atomic_write(folder / INSIGHTS_FILE, insights.model_dump_json() + "\n")
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


@dataclass(frozen=True)
class Looks:
    """What insights are worked out from, a column each. `labels`: all of an image; `facts` may be of fewer images."""

    image_ids: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    widths: Sequence[int]
    heights: Sequence[int]
    formats: Sequence[str]
    modes: Sequence[str]
    light: Mapping[str, Sequence[float] | Floats]


def looks_of(items: Sequence[ImageItem]) -> Looks:
    """The columns of some items."""
    facts = [item.facts for item in items if item.facts is not None]
    return Looks(
        image_ids=[item.image_id for item in items],
        labels=[labels_of(item) for item in items],
        widths=[item.width for item in items],
        heights=[item.height for item in items],
        formats=[one.format for one in facts],
        modes=[one.mode for one in facts],
        light={name: [getattr(one, name) for one in facts] for name in MEASURES},
    )


def describe(dataset: Dataset, *, quality: Quality | None = None) -> Insights:
    """Return what the dataset looks like. Pure: items in, one record out."""
    return described(dataset.info, looks_of(dataset.items), quality=quality)


def described(info: DatasetInfo, looks: Looks, *, quality: Quality | None = None) -> Insights:
    """As `describe`, from columns."""
    checked = quality or Quality(issues=Issues(corrupt=unreadable(info.skipped)))
    state: QualityState = "unavailable" if not looks.formats else "checked" if quality is not None else "pending"
    return Insights(
        dataset_id=info.dataset_id,
        version=info.version,
        name=info.name,
        task=info.task,
        total_images=info.total_images,
        num_classes=info.num_classes,
        class_counts=dict(info.class_counts),
        unlabelled=sum(1 for labels in looks.labels if not any(labels)),
        label_pairs=_pairs(info, looks.labels),
        labels_per_image=_per_image(info, looks.labels),
        imbalance_ratio=round(imbalance_ratio(info.class_counts.values()), 3) if info.class_counts else 1.0,
        dimensions=_dimensions(looks),
        sizes=_sizes(looks),
        light={name: spread(values) for name, values in looks.light.items()} if looks.formats else {},
        formats=_counted(looks.formats),
        modes=_counted(looks.modes),
        samples=_samples(info, looks),
        quality=state,
        issues=checked.issues,
        notes=checked.notes,
        conflicts=checked.conflicts,
    )


def labels_of(item: ImageItem) -> tuple[str, ...]:
    """All labels of an image: of a multi-class one its class, of a multi-label one perhaps none."""
    return item.labels or ((item.label,) if item.label else ())


def _pairs(info: DatasetInfo, labels: Sequence[tuple[str, ...]]) -> tuple[LabelPair, ...]:
    """Labels that occur on the same images, the most frequent pairs first."""
    if info.task != "multilabel":
        return ()
    together = Counter(pair for found in labels for pair in combinations(sorted(set(found)), 2))
    counts, total = info.class_counts, max(1, len(labels))
    ordered = sorted(together.items(), key=lambda one: (-one[1], one[0]))[:MOST_PAIRS]
    return tuple(
        LabelPair(labels=pair, images=images, by_chance=_rounded(counts[pair[0]] * counts[pair[1]] / total))
        for pair, images in ordered
    )


def _per_image(info: DatasetInfo, labels: Sequence[tuple[str, ...]]) -> dict[int, int]:
    """How many images carry no label, one, two, ..."""
    if info.task != "multilabel":
        return {}
    return dict(sorted(Counter(len(set(found)) for found in labels).items()))


def spread(values: Sequence[float] | Floats) -> Spread:
    """Return least, most, mean, median and the histogram of some values; of none all is 0."""
    found = np.asarray(values if len(values) else [0.0], dtype=np.float64)
    return Spread(
        min=_rounded(found.min()),
        max=_rounded(found.max()),
        mean=_rounded(found.mean()),
        median=_rounded(float(np.median(found))),
        histogram=_histogram(found),
    )


def _histogram(values: Floats) -> Histogram:
    """Equal bins between the least and the most; one bin where all values are the same.

    Where few values lie so far above the rest that they would squash it, the last bin alone is wide and holds them.
    """
    if values.min() == values.max():
        only = _rounded(values[0])
        return Histogram(edges=(only, only), counts=(len(values),))
    most = values.max()
    usual = float(np.percentile(values, USUAL, method="lower"))  # a value there is: of few images too, not the outlier
    tail = usual > values.min() and most - values.min() > SQUASHED * (usual - values.min())
    shown = values[values <= usual] if tail else values
    whole = bool((shown == np.round(shown)).all())
    bins = min(BINS, int(shown.max() - shown.min()) + 1) if whole else BINS
    counts, edges = np.histogram(shown, bins=max(1, bins))
    if tail:
        counts, edges = np.append(counts, len(values) - len(shown)), np.append(edges, most)
    return Histogram(edges=tuple(_rounded(edge) for edge in edges), counts=tuple(int(count) for count in counts))


def _dimensions(looks: Looks) -> Dimensions:
    widths, heights = np.asarray(looks.widths, dtype=np.float64), np.asarray(looks.heights, dtype=np.float64)
    return Dimensions(width=spread(widths), height=spread(heights), aspect_ratio=spread(widths / heights))


def _sizes(looks: Looks) -> tuple[SizeCount, ...]:
    counts = Counter(zip(looks.widths, looks.heights, strict=True))
    return tuple(
        SizeCount(width=width, height=height, images=images)
        for (width, height), images in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST_SIZES]
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Names and how often, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda one: (-one[1], one[0])))


def _samples(info: DatasetInfo, looks: Looks) -> dict[str, tuple[str, ...]]:
    """Thumbnails spread over each class, as neighbours in an archive are often alike."""
    places: dict[str, list[str]] = {name: [] for name in info.class_names}
    for image_id, labels in zip(looks.image_ids, looks.labels, strict=True):
        for label in labels:
            places[label].append(image_id)
    most = max(1, min(SAMPLES_PER_CLASS, MOST_SAMPLES // max(1, len(places))))
    return {
        label: tuple(thumbnail_url(info.dataset_id, image_id) for image_id in _spread_out(ids, most))
        for label, ids in places.items()
    }


def _spread_out(ids: Sequence[str], most: int) -> list[str]:
    if len(ids) <= most:
        return list(ids)
    return [ids[place * len(ids) // most] for place in range(most)]


def _rounded(value: float) -> float:
    return round(float(value), 4)
