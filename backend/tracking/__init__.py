"""Where a run is written down for people who compare experiments. A run never waits for it and never fails by it.

It is told what happened, and does not know how networks are trained or ranked.
"""

from backend.tracking.mlflow_tracker import create_tracker, mirror_registry, prepare_store
from backend.tracking.protocol import NullTracker, Tracker, TrackingInfo

__all__ = ["NullTracker", "Tracker", "TrackingInfo", "create_tracker", "mirror_registry", "prepare_store"]
