"""What a model of the stand-in says of its own confidence."""

from __future__ import annotations

from typing import Any

HONEST: dict[str, Any] = {
    "reliability": [
        {"low": 0.0, "high": 0.5, "images": 0, "right": 0},
        {"low": 0.5, "high": 0.8, "images": 6, "right": 4},
        {"low": 0.8, "high": 0.95, "images": 52, "right": 47},
        {"low": 0.95, "high": 1.0, "images": 35, "right": 35},
    ],
    "familiarity": {"false_alarms": 0.025, "measured_on": 480, "known_images": 480},
}
