"""Records of a dataset's versions: what is to be changed, what was, by whom, and how two versions differ."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.contracts.base import Id, Record, utc_now

ChangeKind = Literal["upload", "images", "corrections"]
MOST_CHANGED = 100_000  # images that one request may name


class Corrections(Record):
    """What is to change about the images of a dataset. A label may be several where the dataset is multi-label."""

    exclude: tuple[str, ...] = Field((), max_length=MOST_CHANGED, description="Images to leave out; they are kept.")
    restore: tuple[str, ...] = Field((), max_length=MOST_CHANGED, description="Excluded images to take in again.")
    relabel: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict, max_length=MOST_CHANGED, description="Image id to its right class, or to all its labels."
    )

    def __bool__(self) -> bool:
        return bool(self.exclude or self.restore or self.relabel)


class VersionChange(Record):
    """One version of a dataset: what made it out of the one before, and what it holds."""

    dataset_id: Id
    version: int
    base_version: int | None = Field(None, description="The version that was changed; None for the first.")
    kind: ChangeKind
    author: str = Field("", description="Who asked, as far as the service can tell.")
    created_at: datetime = Field(default_factory=utc_now)
    total_images: int
    num_classes: int
    excluded_images: int = Field(0, description="Images that this version leaves out.")
    added: int = 0
    excluded: int = 0
    restored: int = 0
    relabelled: int = 0
    new_classes: tuple[str, ...] = ()
    dropped_classes: tuple[str, ...] = Field((), description="Classes that have no image any more.")


class ChangedImage(Record):
    """One image of a difference. `labels` is what it carries in the later version."""

    image_id: Id
    file: str = Field("", description="Its name in the upload, with folders; unknown of older datasets.")
    labels: tuple[str, ...]
    before: tuple[str, ...] | None = Field(
        None, description="What it carried in the earlier version, where relabelled."
    )


class DatasetDiff(Record):
    """How a later version differs from an earlier one. Lists hold the first thousand; `counts` counts all."""

    dataset_id: Id
    from_version: int
    to_version: int
    counts: dict[str, int] = Field(description="added, excluded, restored, relabelled")
    added: tuple[ChangedImage, ...] = ()
    excluded: tuple[ChangedImage, ...] = ()
    restored: tuple[ChangedImage, ...] = ()
    relabelled: tuple[ChangedImage, ...] = ()
    class_counts: dict[str, tuple[int, int]] = Field(
        default_factory=dict, description="Classes whose number of images changed: before, after."
    )
