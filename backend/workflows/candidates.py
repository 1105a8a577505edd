"""Which networks there are, and whether a name means one."""

from __future__ import annotations

from backend.config import Settings
from backend.contracts import Candidate, Recipe
from backend.engine.models import TIMM_PREFIX, find_spec, with_cbam
from backend.search import candidates


def list_candidates(settings: Settings) -> list[Candidate]:
    """The registry, with where each network's weights would come from now. Loads no torch."""
    return candidates.list_candidates(settings)


def names_of_timm(recipe: Recipe) -> list[str]:
    """The networks of a recipe that only timm itself knows."""
    return [name for name in recipe.models or () if name.startswith(TIMM_PREFIX)]


def check_timm_networks(recipe: Recipe) -> None:
    """Check a recipe's `timm:<name>` networks against timm itself; runs where timm is loaded.

    Raises:
        RecipeError: timm has no such network (the message suggests the nearest), or it cannot be what is asked of it.
    """
    names = names_of_timm(recipe)
    if not names:  # timm takes seconds to load
        return
    from backend.engine.network import require_suited

    for name in names:
        spec = find_spec(name)
        require_suited(
            with_cbam(spec) if recipe.model.cbam else spec,
            pooling=recipe.model.pooling,
            any_size=recipe.data.resolution != "network",
        )
