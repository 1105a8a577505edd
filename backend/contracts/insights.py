"""What a dataset looks like and what may be wrong with it: written once for each version, answered in one read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record
from backend.contracts.dataset import SkippedFile, Task

THUMBNAIL_SIZE = 192

IssueKind = Literal[
    "corrupt",
    "exact_duplicates",
    "near_duplicates",
    "conflicting_labels",
    "blurry",
    "dark",
    "bright",
    "low_information",
    "odd_size",
    "small_classes",
]
# Those that single images have: what a gallery can be filtered by.
ImageIssue = Literal[
    "exact_duplicates",
    "near_duplicates",
    "conflicting_labels",
    "blurry",
    "dark",
    "bright",
    "low_information",
    "odd_size",
]
QualityState = Literal["pending", "checked", "unavailable"]


class Histogram(Record):
    """How often values fall between two edges; one more edge than counts, the last bin holds its upper edge too.

    Bins are equally wide, but for the last where it holds the few values that lie far above all others; it begins
    above its lower edge then.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Spread(Record):
    """One measure over all images. Sizes are in pixels, aspect ratio is width by height."""

    min: float
    max: float
    mean: float
    median: float
    histogram: Histogram


class Dimensions(Record):
    """How large the pictures are, as people see them."""

    width: Spread
    height: Spread
    aspect_ratio: Spread


class SizeCount(Record):
    """How many images have one size."""

    width: int
    height: int
    images: int


class Issues(Record):
    """Image ids by what is wrong; groups where images belong together. Shortened where long: see `IssueNote.images`."""

    corrupt: tuple[SkippedFile, ...] = Field((), description="Not in the dataset: they could not be read.")
    exact_duplicates: tuple[tuple[Id, ...], ...] = Field((), description="Equal files, the first of them to be kept.")
    near_duplicates: tuple[tuple[Id, ...], ...] = Field((), description="The same picture saved or cut differently.")
    conflicting_labels: tuple[Id, ...] = Field((), description="One picture under several labels.")
    blurry: tuple[Id, ...] = ()
    dark: tuple[Id, ...] = ()
    bright: tuple[Id, ...] = ()
    low_information: tuple[Id, ...] = Field((), description="Nearly of one colour.")
    odd_size: tuple[Id, ...] = Field((), description="Far smaller, larger or longer than the other images.")
    small_classes: tuple[str, ...] = Field((), description="Classes with too few images to learn from.")


class IssueNote(Record):
    """One kind of issue in words: how much there is of it, and what to do."""

    kind: IssueKind
    images: int = Field(description="How many images; for small classes how many classes.")
    groups: int = Field(0, description="How many groups, for duplicates and conflicts.")
    advice: str
    listed: int = Field(description="How many of them the issues list; the rest is left out.")


class Conflict(Record):
    """One picture that stands under several labels."""

    image_ids: tuple[Id, ...]
    labels: tuple[str, ...] = Field(description="The label of each, in the same order.")
    exact: bool = Field(description="Equal files, not only near copies.")


class Quality(Record):
    """The answer of the quality check of one version."""

    issues: Issues = Issues()
    notes: tuple[IssueNote, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    seconds: float = 0.0


class LabelPair(Record):
    """Two labels that stand on the same images. `by_chance`: how many that would be if neither knew of the other."""

    labels: tuple[str, str]
    images: int
    by_chance: float


class Insights(Record):
    """What a version of a dataset holds. Field names are the HTTP contract; `quality` says whether issues are whole."""

    dataset_id: Id
    version: int
    name: str
    task: Task
    total_images: int
    num_classes: int
    class_counts: dict[str, int]
    unlabelled: int = Field(0, description="Images of a multi-label dataset in which nothing is present.")
    label_pairs: tuple[LabelPair, ...] = Field(
        (), description="Labels of a multi-label dataset that occur together, the most frequent first; at most 200."
    )
    labels_per_image: dict[int, int] = Field(
        default_factory=dict, description="Of a multi-label dataset: number of labels, and on how many images."
    )
    imbalance_ratio: float = Field(description="Images of the largest class by those of the smallest.")
    dimensions: Dimensions
    sizes: tuple[SizeCount, ...] = Field((), description="The most frequent sizes, the most frequent first.")
    light: dict[str, Spread] = Field(default_factory=dict, description="Brightness, contrast and sharpness.")
    formats: dict[str, int]
    modes: dict[str, int]
    samples: dict[str, tuple[str, ...]] = Field(description="Addresses of a few thumbnails of each class.")
    quality: QualityState = Field(
        "pending", description="pending: the check waits or runs; unavailable: imported before facts were kept."
    )
    issues: Issues = Issues()
    notes: tuple[IssueNote, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


def thumbnail_url(dataset_id: str, image_id: str) -> str:
    """The address of a thumbnail at the API; `size` there may be changed."""
    return f"/api/cv/datasets/{dataset_id}/images/{image_id}?size={THUMBNAIL_SIZE}"
