"""Facts of a picture: what they say of light, blur and copies, and that they cost little."""

from __future__ import annotations

import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFilter

from backend.data.facts import SHARPNESS_SIDE, facts_of, read_signature


def scene(seed: int = 0, *, side: int = 64) -> Image.Image:
    """A picture with structure at every scale, as photographs have."""
    noise = np.random.default_rng(seed)
    layers = [
        Image.fromarray(noise.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize((side, side), 3)
        for cells in (3, 6, 12, side // 2)
    ]
    mean = np.mean([np.asarray(layer, dtype=np.float32) for layer in layers], axis=0)
    return Image.fromarray(mean.astype(np.uint8))


def bits_apart(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def test_the_hash_is_that_of_imagehash() -> None:
    picture = scene(side=64)
    assert (
        bits_apart(facts_of(picture, format_name="PNG", mode="RGB").perceptual_hash, str(imagehash.phash(picture))) <= 2
    )


@pytest.mark.parametrize("quality", [90, 60])
def test_a_copy_saved_anew_keeps_its_hash_and_signature(quality: int) -> None:
    picture = scene(side=96)
    file = io.BytesIO()
    picture.resize((80, 80)).save(file, "JPEG", quality=quality)
    copy = Image.open(file).convert("RGB")
    first, second = (facts_of(image, format_name="PNG", mode="RGB") for image in (picture, copy))
    assert bits_apart(first.perceptual_hash, second.perceptual_hash) <= 6
    apart = read_signature(first.signature).astype(int) - read_signature(second.signature).astype(int)
    assert abs(apart).mean() < 3


def test_different_pictures_are_far_apart() -> None:
    hashes = [facts_of(scene(seed), format_name="PNG", mode="RGB").perceptual_hash for seed in range(12)]
    least = min(bits_apart(a, b) for place, a in enumerate(hashes) for b in hashes[:place])
    assert least > 12


def test_blur_lowers_sharpness_and_darkness_lowers_the_light() -> None:
    sharp = scene(side=128)
    blurred = sharp.filter(ImageFilter.GaussianBlur(3))
    dark = sharp.point(lambda value: value // 12)
    told, of_blurred, of_dark = (facts_of(image, format_name="PNG", mode="RGB") for image in (sharp, blurred, dark))
    assert of_blurred.sharpness < told.sharpness / 20
    assert of_blurred.brightness == pytest.approx(told.brightness, abs=0.01)
    assert of_dark.brightness < 0.06 < told.brightness
    assert of_dark.high < 0.1 < told.high


def test_light_is_that_of_the_pixels() -> None:
    half = Image.new("RGB", (40, 40), (0, 0, 0))
    half.paste((255, 255, 255), (0, 0, 20, 40))
    facts = facts_of(half, format_name="PNG", mode="L")
    assert (facts.brightness, facts.contrast, facts.low, facts.high) == (0.5, 0.5, 0.0, 1.0)
    assert facts.entropy == pytest.approx(1.0)
    assert (facts.format, facts.mode) == ("PNG", "L")


def test_a_picture_of_one_colour_says_nothing() -> None:
    facts = facts_of(Image.new("RGB", (32, 32), (90, 90, 90)), format_name="PNG", mode="RGB")
    assert facts.entropy == facts.contrast == facts.sharpness == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (1, 900), (3000, 2)])
def test_odd_sizes_have_facts_too(size: tuple[int, int]) -> None:
    facts = facts_of(Image.new("RGB", size, (10, 20, 30)), format_name="PNG", mode="RGB")
    assert len(facts.perceptual_hash) == 16
    assert read_signature(facts.signature).shape == (162,)


def test_a_reduced_decoding_tells_the_same() -> None:
    """Ingest may let libjpeg decode at a fraction, as long as the longer side stays above the measured one."""
    file = io.BytesIO()
    scene(side=1200).save(file, "JPEG", quality=92)
    whole = Image.open(file)
    whole.load()
    reduced = Image.open(file)
    reduced.draft("RGB", (SHARPNESS_SIDE, SHARPNESS_SIDE))
    assert max(reduced.size) < 1200
    first, second = (facts_of(image, format_name="JPEG", mode="RGB") for image in (whole, reduced))
    assert bits_apart(first.perceptual_hash, second.perceptual_hash) <= 4
    assert second.sharpness == pytest.approx(first.sharpness, rel=0.25)
    assert second.brightness == pytest.approx(first.brightness, abs=0.01)
