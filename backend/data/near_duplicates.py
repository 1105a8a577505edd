"""Pictures that are the same to the eye: saved anew, scaled, a little lighter. Pure: items in, groups out.

Two measures must agree. The perceptual hash proposes (pigeonhole over four bands of it, no comparison of all with
all), and the signatures' correlation decides, against a limit that follows from how alike the dataset's pictures are
anyway: two handwritten ones are more alike than two copies of a photograph need be. Embeddings would cost a network.

It knows nothing of labels and files. Pictures of nearly one colour are left out: they have nothing to compare.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.contracts import ImageItem
from backend.data.facts import LIGHT_SIDE, read_signature

# Measured on copies of CIFAR-10, Fashion-MNIST, DeepPCB, digits and shapes, 200 pictures each: saved as JPEG of quality
# 25 to 90, at half and 1.5 times the size, a fifth darker: 99% are 0 to 8 bits and 0 to 0.12 apart. Of 0.46 million
# pairs of different pictures, none is within 8 bits and 0.12, but for boards of DeepPCB that do show the same place.
MOST_BITS = 8
MOST_APART = 0.15
LEAST_APART = 0.05
# Of the median distance to the nearest other picture: 0.75 for CIFAR-10, 0.34 for Fashion-MNIST, 0.29 for digits.
SHARE_OF_NEAREST = 0.35
SAMPLE = 1000
LEAST_TEXTURE = 6.0  # standard deviation of the signature's luminance, of 255 levels
MOST_COLOUR = 10.0  # mean difference of chroma, in levels: the same shape in another colour is another picture
MOST_LIGHT = 60.0  # difference of mean luminance, in levels
BANDS, BAND_BITS = 4, 16
CHUNK = 2_000_000  # candidate pairs at a time: about 100 MB

Bits = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
Groups = list[tuple[int, ...]]


@dataclass(frozen=True)
class _Pictures:
    """What is compared, one row for each different picture."""

    hashes: Bits  # [N]
    shapes: Floats  # [N, 144] luminance, mean 0, length 1
    light: Floats  # [N]
    colours: Floats  # [N, 18]


def same_pictures(items: Sequence[ImageItem]) -> Groups:
    """Places of equal files and near copies, in groups of two or more, transitively; groups and places ascend."""
    by_digest: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        by_digest[item.digest].append(place)
    digests = sorted(by_digest)  # the order of the items must not matter
    kin = _near_groups([items[by_digest[digest][0]] for digest in digests])
    merged: dict[int, list[int]] = defaultdict(list)
    for digest, group in zip(digests, kin, strict=True):
        merged[group].extend(by_digest[digest])
    return sorted(tuple(sorted(places)) for places in merged.values() if len(places) > 1)


def _near_groups(items: Sequence[ImageItem]) -> list[int]:
    """A number for each of the different pictures; near copies share one."""
    told = [place for place, item in enumerate(items) if item.facts is not None and item.facts.signature]
    labels = np.arange(len(items))
    if len(told) < 2:
        return [int(label) for label in labels]
    pictures, comparable = _pictures([items[place] for place in told])
    among = np.asarray(told, dtype=np.intp)[comparable]
    if len(among) >= 2:
        labels[among] = among[_components(pictures)]
    return [int(label) for label in labels]


def _pictures(items: Sequence[ImageItem]) -> tuple[_Pictures, Places]:
    """What is compared of the items that have texture enough, and which those are."""
    facts = [item.facts for item in items if item.facts is not None]
    signatures = np.stack([read_signature(one.signature) for one in facts]).astype(np.float32)
    light, colours = signatures[:, : LIGHT_SIDE**2], signatures[:, LIGHT_SIDE**2 :]
    rows = np.flatnonzero(light.std(axis=1) >= LEAST_TEXTURE)
    hashes = np.array([int(one.perceptual_hash, 16) for one in facts], dtype=np.uint64)[rows]
    means = light[rows].mean(axis=1)
    shapes = light[rows] - means[:, None]
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    return _Pictures(hashes=hashes, shapes=shapes, light=means, colours=colours[rows]), rows


def _components(pictures: _Pictures) -> Places:
    """For each picture the first of its group."""
    limit = _limit(pictures.shapes)
    labels = np.arange(len(pictures.hashes), dtype=np.intp)
    for left, right in _candidates(pictures, limit):
        apart = np.bitwise_count(pictures.hashes[left] ^ pictures.hashes[right])
        kept = np.flatnonzero((apart <= MOST_BITS) & (labels[left] != labels[right]))
        if kept.size:
            near = kept[_verified(pictures, left[kept], right[kept], limit=limit)]
            labels = _joined(labels, left[near], right[near])
    return labels


def _verified(pictures: _Pictures, left: Places, right: Places, *, limit: float) -> npt.NDArray[np.bool_]:
    """Which pairs the signatures confirm; in parts, as a row takes 648 bytes."""
    found = [
        _alike(pictures, left[start : start + 50_000], right[start : start + 50_000], limit)
        for start in range(0, len(left), 50_000)
    ]
    return np.concatenate(found)


def _alike(pictures: _Pictures, left: Places, right: Places, limit: float) -> npt.NDArray[np.bool_]:
    correlation = np.einsum("ij,ij->i", pictures.shapes[left], pictures.shapes[right])
    colour = np.abs(pictures.colours[left] - pictures.colours[right]).mean(axis=1)
    light = np.abs(pictures.light[left] - pictures.light[right])
    alike: npt.NDArray[np.bool_] = (2 - 2 * correlation <= limit**2) & (colour <= MOST_COLOUR) & (light <= MOST_LIGHT)
    return alike


def _limit(shapes: Floats) -> float:
    """How far apart (root of 2 - 2 x correlation) two signatures of one picture may be in this dataset."""
    sample = shapes[:SAMPLE]
    correlation = sample @ sample.T
    np.fill_diagonal(correlation, -1.0)
    nearest = np.sqrt(np.maximum(0.0, 2 - 2 * correlation.max(axis=1)))
    return float(np.clip(SHARE_OF_NEAREST * np.median(nearest), LEAST_APART, MOST_APART))


def _joined(labels: Places, left: Places, right: Places) -> Places:
    """The labels after joining pairs: each picture carries the least place of its component."""
    if not left.size:
        return labels
    from scipy.sparse import coo_array  # 0.2 s: not for whoever only lists datasets
    from scipy.sparse.csgraph import connected_components

    rows, columns = labels[left], labels[right]
    size = len(labels)
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    first = np.full(size, size, dtype=np.intp)
    np.minimum.at(first, component, np.arange(size))
    joined: Places = first[component[labels]]
    return joined


def _candidates(pictures: _Pictures, limit: float) -> Iterator[tuple[Places, Places]]:
    """Pairs among which are all within 7 bits, and most within 8: in one of 4 bands at most 1 bit differs.

    Where the hashes crowd into few buckets that way costs more than comparing all with all, which bounds it.
    """
    lookups = list(_lookups(pictures.hashes))
    if sum(int(one.counts.sum()) for one in lookups) > len(pictures.hashes) ** 2 // 8:
        yield from _all_pairs(pictures.shapes, limit)
        return
    for lookup in lookups:
        yield from lookup.pairs()


@dataclass(frozen=True)
class _Lookup:
    """For each asking picture a stretch of `order`, the pictures in the bucket it asks for."""

    asking: Places
    begins: Places
    counts: Places
    order: Places

    def pairs(self) -> Iterator[tuple[Places, Places]]:
        ends = np.cumsum(self.counts)
        start = 0
        while start < len(self.asking):
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
            counts = self.counts[start:stop]
            left = np.repeat(self.asking[start:stop], counts)
            offset = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
            right = self.order[np.repeat(self.begins[start:stop], counts) + offset]
            yield left, right
            start = stop


def _lookups(hashes: Bits) -> Iterator[_Lookup]:
    everyone = np.arange(len(hashes))
    for band in range(BANDS):
        keys = ((hashes >> np.uint64(band * BAND_BITS)) & np.uint64(2**BAND_BITS - 1)).astype(np.intp)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(2**BAND_BITS + 1))
        for mask in (0, *(1 << bit for bit in range(BAND_BITS))):
            asked = keys ^ mask
            counts = starts[asked + 1] - starts[asked]
            asking = everyone[(counts > 0) & (asked > keys)] if mask else everyone[counts > 1]
            yield _Lookup(asking=asking, begins=starts[asked[asking]], counts=counts[asking], order=order)


def _all_pairs(shapes: Floats, limit: float) -> Iterator[tuple[Places, Places]]:
    """Pairs whose signatures are alike, by comparing all with all: 20,000 pictures take about 2 s."""
    rows = max(1, CHUNK // len(shapes))
    for start in range(0, len(shapes), rows):
        correlation = shapes[start : start + rows] @ shapes[start:].T
        left, right = np.nonzero(correlation >= 1 - limit**2 / 2)
        ahead = right > left
        yield left[ahead] + start, right[ahead] + start


def distance(left: ImageItem, right: ImageItem) -> float:
    """How far apart the signatures of two pictures are: 0 is the same, 1.41 unrelated, 2 the negative."""
    rows: list[npt.NDArray[Any]] = []
    for item in (left, right):
        if item.facts is None or not item.facts.signature:
            return 2.0
        light = read_signature(item.facts.signature)[: LIGHT_SIDE**2].astype(np.float32)
        centred = light - light.mean()
        rows.append(centred / max(1e-6, float(np.linalg.norm(centred))))
    return float(np.linalg.norm(rows[0] - rows[1]))
