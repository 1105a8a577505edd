"""A value as one part of a path of the API, whatever stands in it. Knows no routes."""

from __future__ import annotations

from urllib.parse import quote


def segment(value: str) -> str:
    """Quote it so that an id from the URL cannot reach another route.

    Servers take a quoted slash for a real one, and clients take dots alone for folders: both are quoted twice. So the
    service says that it has nothing of that name, and not that it has no such address.
    """
    name = value.replace("/", "%2F")
    return quote(name if name.strip(".") else name.replace(".", "%2E"), safe="")
