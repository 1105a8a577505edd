"""Sightglass's backend: data in, models compared, answers out. Rooms and their order: docs/guide/architecture.md."""

__version__ = "0.1.0"
