"""What every record has in common: frozen, strict about unknown fields, plain JSON out and in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{2,63}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


class Record(BaseModel):
    """A frozen record that crosses rooms."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), ser_json_inf_nan="null")


def utc_now() -> datetime:
    return datetime.now(UTC)
