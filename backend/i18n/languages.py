"""The languages that the service speaks, and which one a reader prefers. To add one: its folder and its line here."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from backend.i18n.catalogue import Catalogue, read_catalogue
from backend.i18n.numbers import GERMAN, Numbers

SOURCE: Final = "en"  # what is written in the code and stored; it has no catalogue
TRANSLATED: Final[dict[str, Numbers]] = {"de": GERMAN}
LANGUAGES: Final = (SOURCE, *TRANSLATED)
# Of a header; browsers send some 40 characters.
LONGEST_HEADER = 1000
_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


@cache
def catalogue_of(language: str) -> Catalogue | None:
    """The language's catalogue, read when it is first asked for (some 10 ms); None for English, which needs none."""
    if language not in TRANSLATED:
        return None
    return read_catalogue(Path(__file__).parent / language, TRANSLATED[language])


@lru_cache(512)
def preferred(header: bytes) -> str:
    """The language that `Accept-Language` asks for (RFC 9110, 12.5.4): the highest q, of equal ones the first named.

    A part of the header that is none is passed over; where nothing fits, the answer is English.
    """
    asked: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(header[:LONGEST_HEADER].decode("latin-1").split(",")):
        match = _RANGE.fullmatch(part)
        if match:
            language = match[1].lower().partition("-")[0]
            weight = (float(match[2]) if match[2] else 1.0, -place)
            asked[language] = max(asked.get(language, weight), weight)
    rest = asked.get("*", (0.0, 0))
    best = max(LANGUAGES, key=lambda language: asked.get(language, rest))
    return best if asked.get(best, rest)[0] > 0 else SOURCE
