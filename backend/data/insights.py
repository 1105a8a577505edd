"""What a dataset looks like: counts, sizes, formats, light, a few samples. Stored beside it, answered in one read.

Everything comes from the items' stored facts: no picture is opened. What may be wrong is found by `quality`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from backend.contracts import Dataset, ImageItem, SkippedFile
from backend.contracts.insights import (
    Dimensions,
    Histogram,
    Insights,
    Issues,
    Quality,
    SizeCount,
    Spread,
    thumbnail_url,
)
from backend.data.imbalance import imbalance_ratio
from backend.data.manifest import load_dataset
from backend.storage.files import atomic_write

INSIGHTS_FILE = "insights.json"
BINS = 24
SAMPLES_PER_CLASS = 8
MOST_SAMPLES = 2000  # with 1,000 classes two thumbnails each: the answer stays below 0.5 MB
MOST_SIZES = 300

Floats = npt.NDArray[np.floating[Any]]


def write_insights(dataset: Dataset, folder: Path | None = None, *, quality: Quality | None = None) -> Insights:
    """Work out the insights and store them in `folder`, by default the dataset's own; replaces what stood there.

    Without `quality` the issues hold what the import itself saw; the check that follows writes again.
    """
    insights = describe(dataset, quality=quality)
    atomic_write((folder or dataset.root) / INSIGHTS_FILE, insights.model_dump_json() + "\n")
    return insights


def load_insights(folder: Path) -> Insights:
    """Read the stored insights; worked out and stored now where the dataset is older than they are.

    Raises:
        NotFoundError: the folder holds no dataset.
    """
    return Insights.model_validate_json(stored_insights(folder))


def stored_insights(folder: Path) -> bytes:
    """As `load_insights`, as the JSON it lies in: what the API sends.

    Raises:
        NotFoundError: the folder holds no dataset.
    """
    try:
        return (folder / INSIGHTS_FILE).read_bytes()
    except FileNotFoundError:
        write_insights(load_dataset(folder), folder)
        return (folder / INSIGHTS_FILE).read_bytes()


def describe(dataset: Dataset, *, quality: Quality | None = None) -> Insights:
    """Return what the dataset looks like. Pure: items in, one record out."""
    items, info = dataset.items, dataset.info
    facts = [item.facts for item in items if item.facts is not None]
    checked = quality or Quality(issues=Issues(corrupt=unreadable(info.skipped)))
    state = "unavailable" if not facts else "checked" if quality is not None else "pending"
    return Insights(
        dataset_id=info.dataset_id,
        version=info.version,
        name=info.name,
        task=info.task,
        total_images=info.total_images,
        num_classes=info.num_classes,
        class_counts=dict(info.class_counts),
        unlabelled=sum(1 for item in items if not any(labels_of(item))),
        imbalance_ratio=round(imbalance_ratio(info.class_counts.values()), 3) if info.class_counts else 1.0,
        dimensions=_dimensions(items),
        sizes=_sizes(items),
        light={
            name: spread([getattr(one, name) for one in facts]) for name in ("brightness", "contrast", "sharpness")
        }
        if facts
        else {},
        formats=_counted(one.format for one in facts),
        modes=_counted(one.mode for one in facts),
        samples=_samples(dataset),
        quality=state,
        issues=checked.issues,
        notes=checked.notes,
        conflicts=checked.conflicts,
    )
