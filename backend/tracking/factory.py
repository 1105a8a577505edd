"""Choose the tracker that the settings ask for. Imports no MLflow: that happens in the tracker's own thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.tracking.mlflow_tracker import MlflowTracker
from backend.tracking.protocol import NullTracker, Tracker

if TYPE_CHECKING:
    from backend.config import Settings


def create_tracker(settings: Settings) -> Tracker:
    """Return a fresh tracker for one run: MLflow, or one that does nothing where `mlflow_tracking_uri` is `off`."""
    uri = settings.resolved_mlflow_uri
    if uri is None:
        return NullTracker()
    return MlflowTracker(uri, artifact_root=settings.data_dir.resolve() / "mlflow-artifacts")
