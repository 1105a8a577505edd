"""How log lines look: one line each, with the `extra` fields of the call as key=value behind the message."""

from __future__ import annotations

import logging

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


def configure_logging(level: str) -> None:
    """Send everything from `level` on to standard error; call once in each process, at its start."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # lists its plug-ins at every start
