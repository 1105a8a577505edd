"""Numbers as a language writes them: the point, the comma, the space before a percent sign. It knows no sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

# As Python's format writes them: 12, 1,234.5, 93.1%, 1e-05, +3, and with a unit behind it: 12.5 s.
PATTERN = r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?%?"
_NUMBER = re.compile(rf"({PATTERN})(?<!%)((?: ?[A-Za-zµ/]{{1,12}})?)|({PATTERN})")
_UNITS = frozenset(["", " s", " ms", " min", " h", " MB", " MiB", " GiB", " KiB", " images/s"])
NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True)
class Numbers:
    """How numbers look. `percent` stands between the number and its sign."""

    decimal: str
    thousands: str
    percent: str

    def said(self, text: str) -> str | None:
        """The number in this form; None where the text is none."""
        match = _NUMBER.fullmatch(text)
        if match is None or (match[2] or "") not in _UNITS:
            return None
        number, unit = match[1] or match[3], match[2] or ""
        number = number.translate({ord("."): self.decimal, ord(","): self.thousands})
        if number.endswith("%"):
            number = f"{number[:-1]}{self.percent}%"
        return f"{number}{unit}"


GERMAN = Numbers(decimal=",", thousands=".", percent=NO_BREAK_SPACE)
