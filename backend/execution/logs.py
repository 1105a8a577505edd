"""How log lines look: one line each, as text with the `extra` fields behind the message, or as JSON.

Every line says which request and which job it belongs to, where there is one. Lines never hold keys, headers, query
strings or what files contain: that is up to those who write them, and tests look.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter

from backend.execution.trace import fields

LogFormat = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class KeyValueFormatter(logging.Formatter):
    """`2026-01-01 12:00:00,000 INFO backend.jobs.worker job starts job_id=job-1`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        extra = "".join(
            f" {key}={value!r}"
            for key, value in vars(record).items()
            if key not in _STANDARD and not key.startswith("_")  # Ray marks every record for its own use
        )
        return super().formatMessage(record) + extra


class JsonLinesFormatter(JsonFormatter):
    """`{"time": "2026-01-01T12:00:00.000+00:00", "level": "info", "logger": ..., "message": ..., ...}`."""

    def __init__(self) -> None:
        super().__init__(
            ["message"],
            reserved_attrs=sorted(_STANDARD - {"message"}),
            json_ensure_ascii=False,
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        super().add_fields(log_data, record, message_dict)
        for name in [name for name in log_data if name.startswith("_")]:
            del log_data[name]


def make_handler(log_format: LogFormat) -> logging.Handler:
    """Writes lines of that form to standard error."""
    handler = logging.StreamHandler()
    handler.addFilter(_name_the_work)
    handler.setFormatter(JsonLinesFormatter() if log_format == "json" else KeyValueFormatter())
    return handler


def configure_logging(level: str, *, log_format: LogFormat = "text") -> None:
    """Send everything from `level` on to standard error; call once in each process, at its start."""
    logging.basicConfig(level=level.upper(), handlers=[make_handler(log_format)], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # lists its plug-ins at every start
    for name in ("httpx", "httpx2"):  # log whole addresses, and a download's may hold what opens it
        logging.getLogger(name).setLevel(logging.WARNING)


def _name_the_work(record: logging.LogRecord) -> bool:
    """Add the request and the job, where the line does not name its own."""
    for name, value in fields().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True
