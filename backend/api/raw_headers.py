"""Headers of a request as bytes, in one pass: every request passes several readers; Starlette's takes 2 us a name."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from starlette.types import Scope


def header_values(scope: Scope, names: AbstractSet[bytes]) -> dict[bytes, bytes]:
    """The values of those of the names that there are; of several with one name the first. Names are lower case."""
    return {name: value for name, value in reversed(scope["headers"]) if name in names}
