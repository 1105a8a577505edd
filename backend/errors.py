"""The error tree. Every error a person may meet is one of these; the HTTP status stands on the class.

SightglassError                 500
├── InputError                  422  what was sent cannot be used
│   ├── ArchiveError            422  the ZIP itself: not a ZIP, hostile, truncated, empty
│   ├── DatasetError            422  a readable archive that is no dataset (one class, too few images)
│   ├── TableError              422  a file that is no table, or a table that nothing can be learned from
│   ├── ImageError              422  a picture that cannot be opened safely
│   ├── RecipeError             422  training options that do not fit the dataset or the catalogue
│   └── TooLargeError           413  over a stated limit
├── AuthenticationError         401
├── NotFoundError               404
├── ConflictError               409  right request, wrong moment
│   ├── VersionConflict         409  somebody changed the dataset meanwhile
│   └── LockedError             423  somebody else writes to it right now
├── UnavailableError            503  a part of the service is not reachable now
│   └── BusyError               503  too many wait already; it says when to come again
├── OutOfMemory                 503  half the batch did not fit either
├── DiskFullError               507  no room left on the disk of the data folder
└── Interruption                     control flow, never shown over HTTP
    ├── JobCancelled                 somebody pressed Cancel
    └── DeadlineExceeded             the time budget is used up

A message names the thing, the value seen, what is allowed and the next step. This file knows nothing of HTTP
responses; `backend.api.error_handlers` turns the tree into problem+json.
"""

from __future__ import annotations

from typing import ClassVar


class SightglassError(Exception):
    """Root of the tree."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InputError(SightglassError):
    """What was sent cannot be used; the detail says what to send instead."""

    status = 422
    title = "Unusable input"


class ArchiveError(InputError):
    """The archive cannot be read, or is not safe to read."""

    title = "Unusable archive"


class DatasetError(InputError):
    """The archive opened, but holds nothing that can be learned from."""

    title = "Unusable dataset"


class ImageError(InputError):
    """The picture cannot be opened, or not safely."""

    title = "Unusable image"


class RecipeError(InputError):
    """The training options do not fit the dataset or the catalogue."""

    title = "Unusable training options"


class TableError(InputError):
    """The file is no table, or nothing can be learned from it."""

    title = "Unusable table"


class TooLargeError(InputError):
    """Over a stated limit of bytes or pixels."""

    status = 413
    title = "Too large"


class AuthenticationError(SightglassError):
    """The API key is missing or wrong."""

    status = 401
    title = "API key needed"


class NotFoundError(SightglassError):
    """No such dataset, job, model or image."""

    status = 404
    title = "Not found"


class ConflictError(SightglassError):
    """A sound request at the wrong moment."""

    status = 409
    title = "Conflict"


class VersionConflict(ConflictError):
    """A change was made on a version that is no longer the newest; `version` is the one that is."""

    def __init__(self, detail: str, *, version: int = 0) -> None:
        super().__init__(detail)
        self.version = version


class LockedError(ConflictError):
    """Somebody else is writing to the same thing right now."""

    status = 423
    title = "Locked"


class UnavailableError(SightglassError):
    """A part of the service cannot be reached now; trying again later may work."""

    status = 503
    title = "Temporarily unavailable"


class BusyError(UnavailableError):
    """Too many wait already; `retry_after_s` is when there is probably room again."""

    title = "Busy"

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class OutOfMemory(SightglassError):
    """The machine's memory does not hold the work, even in batches of half the size."""

    status = 503
    title = "Out of memory"


class DiskFullError(SightglassError):
    """The disk of the data folder has no room left."""

    status = 507
    title = "Disk full"


class Interruption(SightglassError):
    """Work was asked to stop; not a fault."""


class JobCancelled(Interruption):
    """Somebody cancelled the job."""


class DeadlineExceeded(Interruption):
    """The time budget is used up."""
