"""A named catalogue: register, get, list. A clash of names raises; a miss suggests the nearest name.

It does not scan folders or entry points: what is in a catalogue is visible where the catalogue is written.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from backend.errors import RecipeError

T = TypeVar("T")


class RegistryClash(Exception):
    """A name is registered twice; rename one of the two. Nothing was registered."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"`, or the empty string where nothing is near. Upper and lower case count alike."""
    original = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), original, n=1, cutoff=0.5)
    return f" Did you mean '{original[close[0]]}'?" if close else ""


class Registry(Generic[T]):
    """An ordered map from name to entry; iteration gives the entries in order of registration."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> T:
        """Add an entry.

        Raises:
            RegistryClash: the name is taken.
        """
        if name in self._entries:
            raise RegistryClash(f"{self._noun} '{name}' is already registered")
        self._entries[name] = entry
        return entry

    def get(self, name: str, *, made_of: Iterable[str] = ()) -> T:
        """Return the entry. `made_of` are names that the caller makes of those here: suggested, and not listed.

        Raises:
            RecipeError: no such name; the message names the nearest and all allowed ones.
        """
        try:
            return self._entries[name]
        except KeyError:
            hint = nearest(name, [*self.names(), *made_of])
            raise RecipeError(f"There is no {self._noun} '{name}'.{hint} Allowed: {', '.join(self.names())}.") from None

    def names(self) -> list[str]:
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
