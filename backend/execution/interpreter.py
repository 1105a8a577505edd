"""How a short-lived process starts and ends quickly with half a million objects of torch in memory.

Of a command that took 9.2 s, loading torch and timm took 4.9, of which 0.8 in the garbage collector; at its end every
module was taken apart for nothing, in another 1.2 s. It knows no command.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

# CPython's 700 means hundreds of collections while a million objects are made that all stay.
COLLECT_AFTER = 50_000
USUAL = 700


class QuickExit:
    """Ends the process without taking its modules apart, after every other exit handler has run.

    `code` is the exit code; 1 until it is set, so that a crash is not taken for success.
    """

    def __init__(self) -> None:
        self.code = 1

    def arm(self) -> None:
        """Handlers run last in, first out: call this before any library registers its own."""
        atexit.register(self._leave)

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BrokenPipeError, ValueError):  # the reader went away, or closed it: nothing to say to nobody
                stream.flush()
        os._exit(self.code)


def collect_rarely() -> None:
    """Let the garbage collector look less often while libraries load; what is freed by counting is not concerned."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


def keep_loaded() -> None:
    """Libraries are loaded: spare them all later collections, and let the collector look as often as it would.

    Networks are cycles, so without it the peak of a comparison of seven was 2,099 MiB instead of 1,822. Does nothing
    where `collect_rarely` was not asked for.
    """
    if gc.get_threshold()[0] == COLLECT_AFTER:
        gc.freeze()
        gc.set_threshold(USUAL, *gc.get_threshold()[1:])
