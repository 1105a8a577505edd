"""Which networks a run compares, and what each would start from. Free of torch: the API asks this in every process.

The four default networks always run. Where a hub is out of reach and one of them would start from scratch, the
networks whose weights are bundled join, so that a user behind a firewall still gets real transfer learning.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.config import Settings
from backend.contracts import Candidate, Preset, Recipe
from backend.engine.models import CBAM_SUFFIX, MODELS, ModelSpec, find_spec, reads_tokens, with_cbam
from backend.engine.weights import locate
from backend.errors import RecipeError

DEFECTS_CHOICE, DEFECTS_FALLBACK = "convnext_tiny", "efficientnet_lite0"


def describe(spec: ModelSpec, settings: Settings, *, default: bool = False) -> Candidate:
    """One network as the registry shows it, with where its weights would come from now."""
    source = locate(spec, settings)
    return Candidate(
        name=spec.name,
        family=spec.family,
        timm_name=spec.timm_name,
        parameters=spec.parameters,
        input_size=spec.input_size,
        weights="scratch" if source is None else "imagenet",
        weights_source=source,
        default=default,
        description=spec.description,
    )


def default_names(settings: Settings) -> list[str]:
    """Names that a run without `models` compares."""
    chosen = [spec for spec in MODELS if spec.default]
    if any(locate(spec, settings) is None for spec in chosen):
        chosen += [spec for spec in MODELS if spec.bundled and not spec.default]
    return [spec.name for spec in chosen]


def defect_names(settings: Settings) -> list[str]:
    """The network of preset defects: ConvNeXt-Tiny where its weights are to be had, else EfficientNet-Lite0, bundled.

    Whether it has attention, `model.cbam` says. From scratch a ConvNeXt learns nothing from a few hundred strips, so it
    is not tried then.
    """
    return [DEFECTS_CHOICE if locate(find_spec(DEFECTS_CHOICE), settings) is not None else DEFECTS_FALLBACK]


def own_networks(preset: Preset, settings: Settings) -> list[str] | None:
    """The networks that a preset trains here where none is named; None: the defaults."""
    if preset != "defects":
        return None
    return [candidate.name for candidate in plan(Recipe(dataset_id="ds-unnamed", preset=preset), settings)]


def list_candidates(settings: Settings) -> list[Candidate]:
    """The whole registry, `default` marking what a run compares when nothing is chosen."""
    defaults = set(default_names(settings))
    return [describe(spec, settings, default=spec.name in defaults) for spec in MODELS]


def plan(recipe: Recipe, settings: Settings) -> list[Candidate]:
    """The networks of one run, each once: those with pretrained weights first, the cheapest first among them.

    So a small budget goes to the networks that make something of it; one from scratch has far less to offer.

    Where no network is named, those that cannot be what the recipe asks for are left out.

    Raises:
        RecipeError: a name that the registry does not know; the message suggests the nearest. Or a named network
            cannot be what the recipe asks for; the message names some that can.
    """
    names = recipe.models or (defect_names(settings) if recipe.preset == "defects" else default_names(settings))
    specs = [find_spec(name) for name in dict.fromkeys(names)]
    if recipe.models:
        _require_suited(specs, recipe)
    specs = [spec for spec in specs if not (reads_tokens(spec) and _needs_maps(spec, recipe))]
    if recipe.model.cbam:
        specs = list({spec.name: spec for spec in map(with_cbam, specs)}.values())
    known = [describe(spec, settings, default=spec.default) for spec in specs]
    return sorted(known, key=lambda candidate: (candidate.weights == "scratch", cost(candidate)))


def _require_suited(specs: Sequence[ModelSpec], recipe: Recipe) -> None:
    """Refuse what could only fail later.

    Raises:
        RecipeError: as `plan`.
    """
    for spec in specs:
        needs = _needs_maps(spec, recipe)
        if reads_tokens(spec) and needs:
            fitting = ", ".join(other.name for other in MODELS if not reads_tokens(other))
            raise RecipeError(
                f"'{spec.name}' is a transformer: it reads squares of {spec.input_size} pixels as tokens and has no "
                f"maps of features, so it cannot have {_listed(needs)}. Choose a convolutional network "
                f"({fitting}), or leave that out: {' '.join(_without(needs, spec))}."
            )
        if spec.cbam and recipe.overrides.get("model.cbam") is False:
            raise RecipeError(
                f"'{spec.name}' has attention (CBAM), and 'model.cbam' is false. Write "
                f"'{spec.name.removesuffix(CBAM_SUFFIX)}', or leave model.cbam out."
            )


def _needs_maps(spec: ModelSpec, recipe: Recipe) -> list[str]:
    """What a recipe asks for that only a network of feature maps can have, as it is written."""
    needs = ["model.cbam=true"] if recipe.model.cbam or spec.cbam else []
    needs += ["model.pooling=max"] if recipe.model.pooling == "max" else []
    resolution = recipe.data.resolution
    written = resolution if isinstance(resolution, str) else f"[{','.join(map(str, resolution))}]"
    return needs if resolution == "network" else [*needs, f"data.resolution={written}"]


def _listed(things: Sequence[str]) -> str:
    """`a, b and c`."""
    *before, last = things
    return f"{', '.join(before)} and {last}" if before else last


def _without(needs: Sequence[str], spec: ModelSpec) -> list[str]:
    """How to write the same run without what a network cannot have."""
    otherwise = {"model.cbam": "false", "model.pooling": "average", "data.resolution": "network"}
    written = [f"{key}={otherwise[key]}" for key in (need.partition("=")[0] for need in needs)]
    return [f"model.name={spec.name.removesuffix(CBAM_SUFFIX)}", *written] if spec.cbam else written


def cost(candidate: Candidate) -> float:
    """Relative cost of one forward pass: weights times pixels, in millions of weights at 224 px.

    A guess that orders and weighs a progress bar; no budget rests on it. An unknown network counts as middling.
    """
    millions = (candidate.parameters or 25_000_000) / 1e6
    return millions * (candidate.input_size / 224) ** 2
