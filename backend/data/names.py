"""Names from outside, made fit for showing and comparing: class names, member names, dataset names.

It never makes a path: files are stored under names of our own, whatever a name from outside says.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

MAX_SHOWN = 160
PACKED_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_LABEL = 200
# Invisible characters that turn the reading direction: a name could show as another one. The joiners U+200C and
# U+200D stay, because emoji and several scripts need them.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_DROPPED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean_name(text: str) -> str:
    """Return the name as people wrote it, less control characters and outer spaces.

    Unicode is kept, in composed form (NFC): macOS writes "é" as two characters, Windows as one, and both are one name.
    May return an empty string.
    """
    if text.isascii() and text.isprintable():  # most names; the way below takes 5 microseconds a character
        return text.strip()
    composed = unicodedata.normalize("NFC", text)
    kept = [
        character
        for character in composed
        if character not in _DIRECTION_MARKS and unicodedata.category(character) not in _DROPPED_CATEGORIES
    ]
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def shown(text: str, *, limit: int = MAX_SHOWN) -> str:
    """Return a cleaned name of at most `limit` characters for messages; the end, which tells files apart, stays."""
    name = clean_name(text)
    if len(name) <= limit:
        return name
    head = (limit - 1) // 2
    return f"{name[:head]}…{name[-(limit - 1 - head) :]}"


def plain_stem(filename: str) -> str:
    """A file's name without its suffixes that say how it is packed: `pets.tar.gz` becomes `pets`."""
    suffix = next((end for end in PACKED_SUFFIXES if filename.lower().endswith(end)), "")
    stem = filename[: len(filename) - len(suffix)] if suffix else PurePosixPath(filename).stem
    return stem or filename
