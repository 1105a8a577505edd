"""What a person should know about a new dataset before training, in plain words. Pure: items in, sentences out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from backend.contracts import ImageItem
from backend.data.imbalance import is_imbalanced
from backend.data.split import LEAST_IMAGES

SENSIBLE_LEAST = 20
MOST_NAMED = 10


def warnings_for(items: Sequence[ImageItem], class_counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the warnings, most important first; none for a sound dataset."""
    return warnings_about([item.digest for item in items], [named(item) for item in items], class_counts)


def warnings_about(digests: Sequence[str], names: Sequence[str], class_counts: Mapping[str, int]) -> tuple[str, ...]:
    """As `warnings_for`, of the images' digests and their labels in words."""
    return (
        *_few_images(class_counts),
        *_imbalance(class_counts),
        *_names_alike(class_counts),
        *_repeated_pictures(digests, names),
    )


def _few_images(counts: Mapping[str, int]) -> list[str]:
    few = sorted(((count, name) for name, count in counts.items() if count < SENSIBLE_LEAST))
    sentences = [_few(name, count) for count, name in few[:MOST_NAMED]]
    if len(few) > MOST_NAMED:
        sentences.append(f"{len(few) - MOST_NAMED} more classes have fewer than {SENSIBLE_LEAST} images.")
    return sentences


def _few(name: str, count: int) -> str:
    images = "1 image" if count == 1 else f"{count} images"
    if count < LEAST_IMAGES:
        return f"`{name}` has {images}; training needs at least {LEAST_IMAGES}, and {SENSIBLE_LEAST} is sensible."
    return f"`{name}` has {images}; {SENSIBLE_LEAST} is a sensible least."


def _imbalance(counts: Mapping[str, int]) -> list[str]:
    if not is_imbalanced(counts.values()):
        return []
    most = max(counts, key=lambda name: counts[name])
    least = min(counts, key=lambda name: counts[name])
    sentence = (
        f"The classes are uneven: `{most}` has {counts[most]} images, `{least}` {counts[least]}, "
        f"a ratio of {counts[most] / counts[least]:.1f}. Look at the per-class scores, not at accuracy alone."
    )
    return [sentence]


def _names_alike(counts: Mapping[str, int]) -> list[str]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        alike[name.casefold()].append(name)
    return [
        f"{' and '.join(f'`{name}`' for name in sorted(names))} differ only in upper and lower case "
        "and count as different classes."
        for names in alike.values()
        if len(names) > 1
    ]


def named(item: ImageItem) -> str:
    """An image's labels in words."""
    return ", ".join(item.labels) or item.label


def _repeated_pictures(digests: Sequence[str], names: Sequence[str]) -> list[str]:
    if len(set(digests)) == len(digests):
        return []
    labels: dict[str, list[str]] = defaultdict(list)
    for digest, name in zip(digests, names, strict=True):
        labels[digest].append(name)
    conflicts = [sorted(set(found)) for found in labels.values() if len(set(found)) > 1]
    copies = sum(len(found) - 1 for found in labels.values())
    sentences = []
    if conflicts:
        example = " and ".join(f"`{name}`" for name in conflicts[0][:3])
        noun = "picture stands" if len(conflicts) == 1 else "pictures stand"
        sentences.append(
            f"{len(conflicts)} {noun} under more than one label, for instance under {example}; correct the labels. "
            "Such pictures are used for training only."
        )
    if copies:
        noun = "image is an exact copy" if copies == 1 else "images are exact copies"
        sentences.append(
            f"{copies} {noun} of another; copies are kept together, so that no test image is seen in training."
        )
    return sentences
