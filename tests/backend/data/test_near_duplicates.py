"""Near copies: found wherever they hide, and none seen among pictures that only look alike."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from backend.contracts import ImageFacts, ImageItem
from backend.data import near_duplicates
from backend.data.near_duplicates import same_pictures


def item(place: int, picture_hash: int, signature: np.ndarray, *, digest: str | None = None) -> ImageItem:
    facts = ImageFacts(
        format="PNG",
        mode="RGB",
        perceptual_hash=f"{picture_hash:016x}",
        brightness=0.5,
        contrast=0.2,
        sharpness=100.0,
        signature=base64.b64encode(signature.tobytes()).decode(),
    )
    return ImageItem(
        image_id=f"im-{place}",
        path="x",
        label="a",
        digest=digest or f"{place:064x}",
        width=9,
        height=9,
        facts=facts,
    )


def different(count: int, seed: int = 0) -> tuple[list[int], np.ndarray]:
    noise = np.random.default_rng(seed)
    hashes = [int(value) for value in noise.integers(0, 2**63, count)]
    return hashes, noise.integers(0, 256, (count, 162), dtype=np.uint8)


def test_copies_are_grouped_through_one_another_and_others_are_not() -> None:
    hashes, signatures = different(60)
    hashes += [hashes[3] ^ 0b111, hashes[3] ^ 0b111 ^ (0b111 << 40)]
    signatures = np.vstack([signatures, signatures[3:4] ^ 1, signatures[3:4] ^ 2])
    items = [item(place, *pair) for place, pair in enumerate(zip(hashes, signatures, strict=True))]
    assert same_pictures(items) == [(3, 60, 61)]


@pytest.mark.parametrize("bits", [[0, 16, 32, 48, 1, 17, 33], [60, 61, 62, 63, 1, 2, 3], [5]])
def test_any_seven_bits_apart_are_found(bits: list[int]) -> None:
    hashes, signatures = different(40)
    other = hashes[0]
    for bit in bits:
        other ^= 1 << bit
    items = [item(place, *pair) for place, pair in enumerate(zip(hashes, signatures, strict=True))]
    assert same_pictures([*items, item(99, other, signatures[0])]) == [(0, 40)]


def test_a_near_hash_alone_is_not_enough() -> None:
    hashes, signatures = different(40)
    items = [item(place, hashes[0] ^ (1 << (place % 6)), one) for place, one in enumerate(signatures)]
    assert same_pictures(items) == []


def test_the_same_shape_in_another_colour_is_another_picture() -> None:
    hashes, signatures = different(30)
    red = signatures[0].copy()
    red[144:] = 255 - red[144:]
    items = [item(place, *pair) for place, pair in enumerate(zip(hashes, signatures, strict=True))]
    assert same_pictures([*items, item(99, hashes[0], red)]) == []


def test_pictures_of_one_colour_are_the_same_only_as_files() -> None:
    flat = np.full(162, 128, dtype=np.uint8)
    items = [item(place, 0, flat, digest="d" * 64 if place < 2 else None) for place in range(5)]
    assert same_pictures(items) == [(0, 1)]


def test_crowded_hashes_cost_no_more_and_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handwriting crowds into few buckets: then the signatures are compared, all with all, in blocks."""
    _, signatures = different(300)
    items = [item(place, (place % 7), one) for place, one in enumerate(signatures)]
    items += [item(300, 1, signatures[8] ^ 1)]
    monkeypatch.setattr(near_duplicates, "CHUNK", 1000)
    assert same_pictures(items) == [(8, 300)]


def test_items_without_facts_are_the_same_as_files() -> None:
    hashes, signatures = different(2)
    bare = [
        item(place, hashes[0], signatures[0], digest="d" * 64).model_copy(update={"facts": None}) for place in (0, 1)
    ]
    assert same_pictures([*bare, item(2, *(hashes[1], signatures[1]))]) == [(0, 1)]


def test_the_order_of_the_items_does_not_matter() -> None:
    hashes, signatures = different(50)
    items = [item(place, *pair) for place, pair in enumerate(zip(hashes, signatures, strict=True))]
    items += [item(50 + n, hashes[n] ^ 3, signatures[n]) for n in range(5)]
    there = {frozenset(items[place].image_id for place in group) for group in same_pictures(items)}
    items.reverse()
    back = {frozenset(items[place].image_id for place in group) for group in same_pictures(items)}
    assert there == back
    assert len(there) == 5
