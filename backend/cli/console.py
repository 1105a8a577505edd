"""Where the command line writes: answers to stdout, everything else to stderr. It knows no command."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from backend.config import Settings
from backend.errors import InputError

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130  # what a shell reports for Ctrl-C


def answers() -> Console:
    """Stdout; made anew each time, so that a redirected stdout is honoured."""
    return Console(soft_wrap=True, highlight=False)


def messages() -> Console:
    """Stderr."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def complain(detail: str) -> None:
    """One red sentence on stderr."""
    messages().print(" ".join(detail.split()), style="red", markup=False)


def print_json(value: Any) -> None:
    """Plain JSON on stdout, for other programs."""
    answers().out(json.dumps(value, indent=2, ensure_ascii=False), highlight=False)


def read_settings(**chosen: Any) -> Settings:
    """Settings from the environment; what is `chosen`, by a flag, stands above it.

    Raises:
        InputError: a value does not fit; the message names it.
    """
    try:
        return Settings(**chosen)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(("SIGHTGLASS", *(str(part).upper() for part in first["loc"])))
        raise InputError(f"{name} is {first['input']!r}: {first['msg']}. See docs/guide/settings.md.") from error
    except SettingsError as error:  # a value that cannot be read at all
        raise InputError(f"The settings do not fit: {error}. See docs/guide/settings.md.") from error
