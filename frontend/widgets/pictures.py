"""Pictures on the page: thumbnails fetched from the API, and a person's own picture made fit for the screen."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import streamlit as st
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from frontend.client import ApiError, Client

# Pixels a side on the page.
THUMBNAIL = 76
TURNED = (5, 6, 7, 8)  # values of EXIF's orientation by which width and height change places
# Addresses fetched at a time: more do not come faster from one API process.
PARALLEL = 6
# Pixels. Larger ones are scaled down before they travel to the browser, tiny ones up with their pixels kept visible.
SCREEN_SIDE = 512
TINY_SIDE = 160
# A strip is as readable as its shorter side is high: it gets more of the page's width than a photograph.
LONG = 3.0  # times as wide as high
LONG_SIDE, LONG_THUMBNAIL = 1280, 192


@st.cache_data(ttl=3600, max_entries=256, show_spinner=False)
def thumbnails(_api: Client, base_url: str, addresses: tuple[str, ...]) -> list[bytes | None]:
    """Fetch images by their addresses in the API; None for one that cannot be had."""
    del base_url  # is in the signature so that the cache tells one API from another
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda address: _fetch(_api, address), addresses))


def show_row(
    api: Client,
    addresses: Sequence[str],
    *,
    alt: str | Sequence[str],
    captions: Sequence[str] | None = None,
    width: int = THUMBNAIL,
) -> int:
    """A row of small images that wraps on a narrow screen; returns how many could be had. `alt`: for all, or each."""
    fetched = thumbnails(api, api.base_url, tuple(addresses))
    words = [alt] * len(fetched) if isinstance(alt, str) else alt
    with st.container(horizontal=True, gap="small"):
        for place, image in enumerate(fetched):
            if image is not None:
                st.image(
                    image,
                    width=max(width, LONG_THUMBNAIL) if is_long(image) else width,
                    alt=words[place],
                    caption=captions[place] if captions else None,
                )
    return sum(image is not None for image in fetched)


def is_long(image: bytes) -> bool:
    """Whether a picture is a strip, much wider than high. Reads no more of it than its size."""
    try:
        with Image.open(io.BytesIO(image)) as opened:
            width, height = opened.size
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in TURNED
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return False
    return (height >= LONG * width) if turned else (width >= LONG * height)


def for_screen(image: bytes) -> bytes | None:
    """A person's picture upright and of a sensible size as PNG, or None where Pillow cannot open it.

    Called only after the API accepted the picture, which checks its size in pixels first.
    """
    opened = _open(image)
    if opened is None:
        return None
    return _png(_sized(opened))


def blend(original: bytes, overlay: bytes, *, share: float) -> bytes | None:
    """Original and heat map laid over each other; `share` 0 is the original alone, 1 the heat map alone."""
    below, above = _open(original), _open(overlay)
    if below is None or above is None:
        return None
    below = _sized(below)
    return _png(Image.blend(below, above.resize(below.size, Image.Resampling.BICUBIC), share))


def _fetch(api: Client, address: str) -> bytes | None:
    try:
        return api.image_at(address)
    except ApiError:
        return None  # a missing thumbnail is no reason to lose the page; what matters has its own call


def _open(image: bytes) -> Image.Image | None:
    try:
        opened = Image.open(io.BytesIO(image))
        opened.draft("RGB", (LONG_SIDE, LONG_SIDE))
        upright = ImageOps.exif_transpose(opened)
        if "A" in upright.getbands():
            page = Image.new("RGBA", upright.size, "white")
            return Image.alpha_composite(page, upright.convert("RGBA")).convert("RGB")
        return upright.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None


def _sized(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    most = LONG_SIDE if image.width >= LONG * image.height else SCREEN_SIDE
    if longest > most:
        image.thumbnail((most, most))
    elif longest < TINY_SIDE:
        factor = SCREEN_SIDE // longest
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return image


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
