"""Which networks there are, and whether a name means one."""

from __future__ import annotations

from collections.abc import Sequence

from backend.config import Settings
from backend.contracts import Candidate
from backend.engine.models import find_spec
from backend.search import candidates


def list_candidates(settings: Settings) -> list[Candidate]:
    """The registry, with where each network's weights would come from now. Loads no torch."""
    return candidates.list_candidates(settings)


def check_timm_names(names: Sequence[str]) -> None:
    """Check `timm:<name>` names against timm itself; runs where timm is loaded.

    Raises:
        RecipeError: timm has no such network; the message suggests the nearest.
    """
    if not names:  # timm takes seconds to load
        return
    from backend.engine.network import resolve_spec

    for name in names:
        resolve_spec(find_spec(name))
