"""What every record has in common: frozen, strict about unknown fields, plain JSON out and in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{2,63}$"
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
LISTED = re.compile(r"\[?\s*[\d.e-]+(\s*[,x]\s*[\d.e-]+)+\s*\]?")
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


class Record(BaseModel):
    """A frozen record that crosses rooms."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), ser_json_inf_nan="null")


def numbers_in(value: object) -> object:
    """A list that was written as text, as a form's line or a command line brings it: "[256, 1600]", "0.9, 0.1, 0.5".

    Anything else stays as it is; what reads the value judges it.
    """
    if not isinstance(value, str) or not LISTED.fullmatch(value.strip()):
        return value
    return [float(number) if "." in number or "e" in number else int(number) for number in NUMBER.findall(value)]


def utc_now() -> datetime:
    return datetime.now(UTC)
