"""What a comparison tells a tracker, and what it hears back. Knows no MLflow.

A tracker raises nothing: whether the record was kept is said by `finish`, and ends up in `Results.tracking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from backend.contracts import EpochRecord
from backend.tracking.entries import AnyResults, AnyRow

# {"status": "ok" | "off" | "failed", "uri": str | None, "run_id": str | None, "detail": str | None}
TrackingInfo = dict[str, Any]


class Tracker(Protocol):
    """One run: `start` once, `candidate` for each row, then either `finish` or `abort`."""

    def start(
        self, *, run_name: str, params: Mapping[str, object], tags: Mapping[str, str], resume: bool = False
    ) -> None:
        """Open the run. `params` may be nested; nested keys are joined with a dot.

        With `resume` the run of that name is taken up, where an attempt that was cut short has left one.
        """
        ...

    def candidate(self, row: AnyRow, history: Sequence[EpochRecord], params: Mapping[str, object]) -> None:
        """Write one candidate below the run, as soon as it is known."""
        ...

    def finish(self, results: AnyResults, artifacts: Sequence[Path], *, within_s: float | None = None) -> TrackingInfo:
        """Write the end of the run with copies of the files and folders in `artifacts`; wait `within_s` at most."""
        ...

    def abort(self, reason: str) -> None:
        """Close the run as ended early. After `finish` it does nothing."""
        ...


class NullTracker:
    """Tracking switched off."""

    def start(
        self, *, run_name: str, params: Mapping[str, object], tags: Mapping[str, str], resume: bool = False
    ) -> None:
        """Nothing to open."""

    def candidate(self, row: AnyRow, history: Sequence[EpochRecord], params: Mapping[str, object]) -> None:
        """Nothing to write."""

    def finish(
        self,
        results: AnyResults,  # noqa: ARG002 - the seam's shape
        artifacts: Sequence[Path],  # noqa: ARG002
        *,
        within_s: float | None = None,  # noqa: ARG002
    ) -> TrackingInfo:
        return {"status": "off", "uri": None, "run_id": None, "detail": "Tracking is switched off."}

    def abort(self, reason: str) -> None:
        """Nothing to close."""
