"""Which networks a run compares, and what each would start from. Free of torch: the API asks this in every process.

The four default networks always run. Where a hub is out of reach and one of them would start from scratch, the
networks whose weights are bundled join, so that a user behind a firewall still gets real transfer learning.
"""

from __future__ import annotations

from backend.config import Settings
from backend.contracts import Candidate, Recipe
from backend.engine.models import MODELS, ModelSpec, find_spec, with_cbam
from backend.engine.weights import locate

DEFECTS_CHOICE, DEFECTS_FALLBACK = "convnext_tiny_cbam", "efficientnet_lite0_cbam"


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

    Both with attention. From scratch a ConvNeXt learns nothing from a few hundred strips, so it is not tried then.
    """
    return [DEFECTS_CHOICE if locate(find_spec(DEFECTS_CHOICE), settings) is not None else DEFECTS_FALLBACK]


def list_candidates(settings: Settings) -> list[Candidate]:
    """The whole registry, `default` marking what a run compares when nothing is chosen."""
    defaults = set(default_names(settings))
    return [describe(spec, settings, default=spec.name in defaults) for spec in MODELS]


def plan(recipe: Recipe, settings: Settings) -> list[Candidate]:
    """The networks of one run, each once: those with pretrained weights first, the cheapest first among them.

    So a small budget goes to the networks that make something of it; one from scratch has far less to offer.

    Raises:
        RecipeError: a name that the registry does not know; the message suggests the nearest.
    """
    names = recipe.models or (defect_names(settings) if recipe.preset == "defects" else default_names(settings))
    specs = [find_spec(name) for name in dict.fromkeys(names)]
    if recipe.model.cbam:
        specs = list({spec.name: spec for spec in map(with_cbam, specs)}.values())
    known = [describe(spec, settings, default=spec.default) for spec in specs]
    return sorted(known, key=lambda candidate: (candidate.weights == "scratch", cost(candidate)))


def cost(candidate: Candidate) -> float:
    """Relative cost of one forward pass: weights times pixels, in millions of weights at 224 px.

    A guess that orders and weighs a progress bar; no budget rests on it. An unknown network counts as middling.
    """
    millions = (candidate.parameters or 25_000_000) / 1e6
    return millions * (candidate.input_size / 224) ** 2
