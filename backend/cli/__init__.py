"""The `sightglass` command. It parses and prints; the work is done in `workflows`."""

from backend.cli.app import main

__all__ = ["main"]
