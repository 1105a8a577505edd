"""Records of the `data` room: what an upload became, and how its images are prepared and divided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from backend.contracts.base import Id, Record, utc_now

Task = Literal["multiclass", "multilabel"]
Subset = Literal["train", "val", "test"]


class SkippedFile(Record):
    """A member of the archive that is not in the dataset, and why."""

    file: str
    reason: str
    damaged: bool = Field(False, description="A picture that cannot be read, not a file of another kind.")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one decoding of an image told, so that insights, quality and near duplicates need no second one.

    There is one for each image, 50,000 in a dataset: a plain record, checked where it is read from a file.

    format, mode: as Pillow names them: JPEG, PNG, ...; RGB, L, CMYK, ...
    perceptual_hash: 64 bits in hexadecimal; few differing bits are near duplicates.
    brightness: mean luminance, 0 to 1. contrast: its standard deviation, 0 to 0.5.
    sharpness: variance of the Laplacian of the luminance at a fixed size; low is blurry.
    low, high: 5th and 95th percentile of the luminance, 0 to 1.
    entropy: of the luminance's histogram, in bits, 0 to 8; low says little.
    signature: a tiny picture in base64, by which a near copy is told from a likeness.
    """

    format: str
    mode: str
    perceptual_hash: str
    brightness: float
    contrast: float
    sharpness: float
    low: float = 0.0
    high: float = 1.0
    entropy: float = 8.0
    signature: str = ""

    def __reduce__(self) -> tuple[type[ImageFacts], tuple[object, ...]]:
        # a tenth of the time that dataclasses take to be sent to another process by the names of their fields
        numbers = (self.brightness, self.contrast, self.sharpness, self.low, self.high, self.entropy)
        return ImageFacts, (self.format, self.mode, self.perceptual_hash, *numbers, self.signature)


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image of a dataset. `digest` is the SHA-256 of the file's bytes: equal digests are the same picture.

    `label` is the class of a multi-class dataset; in a multi-label one `labels` holds all that are present, perhaps
    none, and `label` the first of them, or "". As `ImageFacts`, a plain record; the fields are named when one is made.

    path: where its bytes lie, relative to the dataset's folder; only `backend.data.pictures` reads it.
    subset: the part that the upload itself put the image into. added_in: the dataset's version in which it came.
    first_label: the label it came with, where it was changed since; first_labels: all labels it had.
    file: its name in the upload, with folders; unknown of older datasets.
    """

    image_id: str
    path: str
    label: str
    digest: str
    width: int
    height: int
    labels: tuple[str, ...] = ()
    file: str = ""
    subset: Subset | None = None
    added_in: int = 1
    first_label: str | None = None
    first_labels: tuple[str, ...] | None = None
    facts: ImageFacts | None = None

    def model_copy(self, *, update: Mapping[str, Any]) -> ImageItem:
        """The same image with other values of some fields, as of any record."""
        return replace(self, **update)


class DatasetInfo(Record):
    """A dataset without its items: what the API lists. Field names are the HTTP contract."""

    dataset_id: Id
    name: str
    version: int = 1
    task: Task = "multiclass"
    total_images: int
    num_classes: int
    class_counts: dict[str, int]
    skipped: tuple[SkippedFile, ...] = ()
    warnings: tuple[str, ...] = ()
    excluded_images: int = Field(0, description="Images that lie there and that this version leaves out.")
    digest: str = Field(description="SHA-256 over sorted (item digest, label): equal digests are equal datasets.")
    created_at: datetime = Field(default_factory=utc_now)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Sorted class names; a label's place here is its index everywhere."""
        return tuple(sorted(self.class_counts))


class Dataset(Record):
    """A dataset with its items, as it lies in a folder. Immutable: a change makes a new version.

    `excluded` are the images that lie there too and that this version leaves out.
    """

    info: DatasetInfo
    root: Path
    items: tuple[ImageItem, ...]
    excluded: tuple[ImageItem, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.info.class_names

    @cached_property
    def targets(self) -> tuple[int, ...]:
        """Class index of each item, in the order of `items`."""
        place = {name: index for index, name in enumerate(self.class_names)}
        return tuple(place[item.label] for item in self.items)

    def with_items(self, items: Iterable[ImageItem]) -> Dataset:
        """The same dataset reduced to some of its items; counts follow, id and root stay."""
        kept = tuple(items)
        several = self.info.task == "multilabel"
        labels = (label for item in kept for label in (item.labels if several else (item.label,)))
        counts = dict(sorted(Counter(labels).items()))
        info = self.info.model_copy(
            update={"class_counts": counts, "num_classes": len(counts), "total_images": len(kept)}
        )
        return Dataset(info=info, root=self.root, items=kept, excluded=self.excluded)


class Split(Record):
    """Places in `Dataset.items` for each part; the three are disjoint and together are everything."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    seed: int
    strategy: str = "stratified, equal and nearly equal pictures kept together"
    leaked: tuple[int, ...] = Field(
        (), description="Test places with a copy in train or val: only where the upload's own folders put them there."
    )
    same: tuple[tuple[int, ...], ...] = Field((), description="Places of equal and nearly equal pictures, by group.")
    together: tuple[tuple[int, ...], ...] = Field(
        (), description="Places that a rule of the recipe keeps on one side, copies joined in, by group."
    )
    grouped_by: str | None = Field(None, description="That rule, where there is one.")


ResizeMode = Literal["squash", "letterbox", "crop", "pad"]


class Preprocessing(Record):
    """How an image becomes the network's input; travels in the bundle, so that serving equals training.

    squash: stretched to height x width. letterbox: scaled to fit, centred, filled up with the mean colour.
    crop: scaled to cover, centre kept. pad: as it is, centred, filled up with the mean colour; scaled down only
    where it does not fit. `mean` and `std` act on RGB in 0..1.
    """

    height: int
    width: int
    resize: ResizeMode = "squash"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reason: str = Field("", description="Why this way of resizing was chosen, for people.")
    smallest_defect_px: int | None = Field(
        None,
        description="Pixels of the picture that a feature must measure to still be 4 pixels wide in the network's "
        "input; unknown of older models.",
    )
