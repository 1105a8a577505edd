"""One sentence of the catalogue: English with places, and what it is in another language. It knows no language.

A place of the English text is `{}`. In the other text it is `{0}`, which is taken over letter by letter (a name, a
path), `{0:t}`, whose text may be one of the catalogue itself, or `{0:n}`, a number. Where a text fits in two ways, a
name holds words of the sentence, the reading is not certain, and there is none. Looking for ways has a bound, so that
no name, however it is made, takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from backend.i18n.numbers import PATTERN

PLACE = "{}"
_RUN_OF_PLACES = re.compile(r"\{\}(?:\{\})+")
_MARK = re.compile(r"\{(\d+)(?::([tn]))?\}")
NAME, TEXT, NUMBER = "", "t", "n"
_NUMBER = re.compile(f"({PATTERN[:-2]})%?")
# Of a search through one text; an ordinary one takes as many as it has places.
MOST_STEPS = 2000


class Ambiguous(Exception):
    """The text fits, and in more than one way."""


def normalised(text: str) -> str:
    """A template as the catalogue lists it: without space around it; places with nothing between them are one."""
    return _RUN_OF_PLACES.sub(PLACE, text.strip())


@dataclass(frozen=True)
class Template:
    """`english` with places, and `other` with the same places numbered."""

    english: str
    other: str

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """What stands around the places: one more than there are places."""
        return tuple(self.english.split(PLACE))

    @cached_property
    def weight(self) -> int:
        """How many characters must be there: of two that fit, the heavier one says more."""
        return sum(map(len, self.literals))

    @cached_property
    def anchor(self) -> str:
        """The longest of them."""
        return max(self.literals, key=len)

    @cached_property
    def parts(self) -> tuple[str | tuple[int, str], ...]:
        """The other text: literals, and places as (number, kind)."""
        found: list[str | tuple[int, str]] = []
        end = 0
        for mark in _MARK.finditer(self.other):
            found += [self.other[end : mark.start()], (int(mark[1]), mark[2] or NAME)]
            end = mark.end()
        return (*found, self.other[end:])

    @property
    def places(self) -> int:
        """How many places there are."""
        return len(self.literals) - 1

    @property
    def kinds(self) -> dict[int, str]:
        """The kind of each place that the other text has."""
        return dict(part for part in self.parts if not isinstance(part, str))

    def match(self, text: str) -> tuple[str, ...] | None:
        """What stands in the places of that text; None where it is another sentence.

        Raises:
            Ambiguous: it fits in more than one way.
        """
        first, last = self.literals[0], self.literals[-1]
        if not self.places:
            return () if text == first else None
        if len(text) < self.weight or not text.startswith(first) or not text.endswith(last):
            return None
        numbers = frozenset(place for place, kind in self.kinds.items() if kind == NUMBER)
        ways = _Ways(text, self.literals, numbers).all()
        if len(ways) > 1:
            raise Ambiguous
        return ways[0] if ways else None


class _Ways:
    """The ways, two at most, in which a text is literals with something between them."""

    def __init__(self, text: str, literals: tuple[str, ...], numbers: frozenset[int]) -> None:
        self._text = text
        self._literals = literals
        self._numbers = numbers
        self._end = len(text) - len(literals[-1])
        self._dead: set[tuple[int, int]] = set()  # (place, begin) from where no way leads to the end
        self._steps = 0

    def all(self) -> list[tuple[str, ...]]:
        return self._from(0, len(self._literals[0]))

    def _from(self, place: int, begin: int) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        if (place, begin) in self._dead:
            return found
        for end in self._ends(place, begin):
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise Ambiguous
            value = (self._text[begin:end],)
            if place == len(self._literals) - 2:
                found.append(value)
            else:
                found += [value + rest for rest in self._from(place + 1, end + len(self._literals[place + 1]))]
            if len(found) > 1:
                return found[:2]
        if not found:
            self._dead.add((place, begin))
        return found

    def _ends(self, place: int, begin: int) -> Iterator[int]:
        """Where the place that begins there may end: before each occurrence of the literal after it."""
        literal = self._literals[place + 1]
        is_last = place == len(self._literals) - 2
        if place in self._numbers:
            match = _NUMBER.match(self._text, begin)
            for end in () if match is None else {match.end(): None, match.end(1): None}:
                if end == self._end if is_last else self._text.startswith(literal, end):
                    yield end
        elif is_last:
            if begin <= self._end:
                yield self._end
        else:
            at = self._text.find(literal, begin, self._end)
            while at >= 0:
                yield at
                at = self._text.find(literal, at + 1, self._end)
