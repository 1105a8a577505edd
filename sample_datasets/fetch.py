"""Fetches Fashion-MNIST or CIFAR-10 through torchvision and packs it as a folder-per-class ZIP.

Asks first, for ten seconds at most, whether the source answers: a firewalled user gets a sentence, not a hang.
"""

from __future__ import annotations

import re
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from sample_datasets.packing import Named, write_archive

ANSWER_WITHIN_S = 10.0
READ_WITHIN_S = 30.0  # longest silence during a download


class FetchError(Exception):
    """The dataset could not be fetched; the message says what to do instead."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset as torchvision knows it. `address` is only asked whether it answers."""

    name: str
    loader: str
    address: str


SOURCES: dict[str, Source] = {
    "fashion_mnist": Source(
        name="fashion_mnist",
        loader="FashionMNIST",
        address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
    ),
    "cifar10": Source(
        name="cifar10", loader="CIFAR10", address="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    ),
}


class LabelledImages(Protocol):
    """What torchvision's datasets have in common: class names, a length, and (image, class index) by place."""

    @property
    def classes(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image.Image, int]: ...


def folder_name(label: str) -> str:
    """`T-shirt/top` becomes `t-shirt_top`: a label that is safe as a folder's name."""
    return re.sub(r"[^a-z0-9-]+", "_", label.lower()).strip("_")


def named_images(name: str, images: LabelledImages, *, per_class: int | None = None) -> Iterator[Named]:
    """Every image, or the first `per_class` of each class, with its path in the archive."""
    taken: Counter[int] = Counter()
    for place in range(len(images)):
        image, target = images[place]
        if per_class is not None and taken[target] >= per_class:
            continue
        label = folder_name(images.classes[target])
        yield f"{name}/{label}/{label}_{taken[target]:05d}.png", image
        taken[target] += 1


def require_answer(source: Source) -> None:
    """Return if the source answers within ten seconds, name look-up included.

    Raises:
        FetchError: it does not.
    """
    outcome: list[BaseException | None] = []
    # A thread, because a name look-up has no timeout of its own.
    asking = threading.Thread(target=_ask, args=(source.address, outcome), daemon=True)
    asking.start()
    asking.join(ANSWER_WITHIN_S)
    if outcome == [None]:
        return
    why = f"no answer within {ANSWER_WITHIN_S:.0f} s" if not outcome else _reason(outcome[0])
    raise FetchError(
        f"'{source.name}' could not be fetched: {why}. This needs internet. On a machine that has it, "
        f"run 'python -m sample_datasets {source.name}' and bring the ZIP here. "
        "The samples 'shapes' and 'digits' need no network."
    )


def _reason(error: BaseException | None) -> str:
    return str(error.reason if isinstance(error, urllib.error.URLError) else error)


def _ask(address: str, outcome: list[BaseException | None]) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=ANSWER_WITHIN_S):  # noqa: S310 -- the addresses stand above
            outcome.append(None)
    except (OSError, urllib.error.URLError) as error:
        outcome.append(error)


@contextmanager
def _bounded_silence() -> Iterator[None]:
    """Bound each read: torchvision sets no timeout; a dead connection would hang for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(READ_WITHIN_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def fetch(name: str, target: Path, *, per_class: int | None = None) -> int:
    """Download the training set and write it as a ZIP. Returns the number of images.

    Raises:
        FetchError: no internet, or the download broke off.
    """
    source = SOURCES[name]
    require_answer(source)
    from torchvision import datasets  # seconds: only who fetches pays

    with tempfile.TemporaryDirectory() as folder, _bounded_silence():
        try:
            images: Any = getattr(datasets, source.loader)(folder, train=True, download=True)
        except (OSError, RuntimeError) as error:
            raise FetchError(f"The download of '{name}' broke off: {error}. Run the command again.") from error
        return write_archive(target, named_images(name, images, per_class=per_class))
