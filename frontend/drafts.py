"""What somebody chose and has not sent yet, kept in this process for whoever comes back: a reload loses the session.

A key names a browser and a dataset. It knows neither Streamlit nor what is chosen; a restart of the page's server
forgets all.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

KEPT_S = 7 * 24 * 3600.0  # then nobody comes back for it
MOST = 500  # drafts; the one that was not touched for longest goes first
_BROWSER = re.compile(r"[A-Za-z0-9_-]{22}")  # as `new_browser` makes them: 128 bits

Choice = str | tuple[str, ...]  # the right class of an image, or all its labels
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """Image id to choice, and the version of the dataset on which they were made; None: it is not known yet."""

    choices: Mapping[str, Choice]
    version: int | None


class Drafts:
    """Drafts by key, for all browsers. Safe to share between threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[float, Draft]] = OrderedDict()

    def keep(self, key: Key, draft: Draft) -> None:
        """Put it in the place of what was there; without a choice there is nothing to keep."""
        with self._lock:
            self._kept.pop(key, None)
            if draft.choices:
                self._kept[key] = (self._clock(), draft)
            while len(self._kept) > MOST or (self._kept and self._is_old(next(iter(self._kept)))):
                self._kept.popitem(last=False)

    def find(self, key: Key) -> Draft | None:
        with self._lock:
            return None if key not in self._kept or self._is_old(key) else self._kept[key][1]

    def _is_old(self, key: Key) -> bool:
        return self._clock() - self._kept[key][0] > KEPT_S


def new_browser() -> str:
    """A name for a browser that nobody can guess."""
    return secrets.token_urlsafe(16)


def is_browser(name: object) -> bool:
    """Whether it is such a name: a cookie may hold anything."""
    return isinstance(name, str) and _BROWSER.fullmatch(name) is not None
