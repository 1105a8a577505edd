"""The tables, as SQLAlchemy Core describes them. A change here needs a file in `migrations/versions` (a test compares).

Rows hold a record's JSON in `record`, and beside it only the columns that are searched or sorted by.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is taken off on the way in and put on again on the way out."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


class PlainText(TypeDecorator[str]):
    """Text that every database holds: PostgreSQL refuses NUL, and no encoding has a lone surrogate."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        if value is None:
            return None
        return value.replace("\x00", REPLACEMENT).encode("utf-8", "replace").decode("utf-8")


# 64 bits everywhere: SQLite's INTEGER has them, and takes no other name for a key that counts by itself.
LongInteger = BigInteger().with_variant(Integer, "sqlite")
# What a dataset, a model or results are of: images, or a table. Rows from before tables are of images.
IMAGES = "images"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Names for constraints, so that a later migration can find them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

datasets = Table(
    "datasets",
    metadata,
    Column("dataset_id", String(64), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("kind", String(16), nullable=False, server_default=IMAGES),
    Column("record", PlainText, nullable=False),
)

# Every version of a dataset that was changed; one that never was has no row here. `record` is what the version holds,
# `change` what made it.
dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("dataset_id", String(64), ForeignKey("datasets.dataset_id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("created_at", UtcTime, nullable=False),
    Column("record", Text, nullable=False),
    Column("change", Text, nullable=False),
)

# No key onto models either: a comparison says what was so, also of a model that is gone.
comparisons = Table(
    "comparisons",
    metadata,
    Column("challenger_id", String(64), primary_key=True),
    Column("champion_id", String(64), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("record", Text, nullable=False),
)

# No key onto datasets: a model outlives the dataset that it was trained on.
models = Table(
    "models",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("model_id", String(64), nullable=False, unique=True),
    Column("dataset_id", String(64), nullable=False, index=True),
    Column("job_id", String(64), nullable=True),
    # Set on the one model that answers for its dataset; the latest of all datasets answers `POST /predict`.
    Column("promoted_at", UtcTime, nullable=True),
    Column("archived_at", UtcTime, nullable=True),
    Column("kind", String(16), nullable=False, server_default=IMAGES),
    Column("record", PlainText, nullable=False),
)
Index(
    "uq_models_promoted",
    models.c.dataset_id,
    unique=True,
    sqlite_where=models.c.promoted_at.is_not(None),
    postgresql_where=models.c.promoted_at.is_not(None),
)

# Who answered for a dataset, oldest first. Rows that are not undone are a stack: a rollback goes back down on it. No
# key onto models: a promotion was so, also of a model that is gone.
promotions = Table(
    "promotions",
    metadata,
    Column("promotion_id", LongInteger, primary_key=True, autoincrement=True),
    Column("dataset_id", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("model_id", String(64), nullable=False),
    Column("replaced_id", String(64), nullable=True),
    Column("actor", PlainText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("undone_at", UtcTime, nullable=True),
)

# Only ever added to: the database itself refuses to change or remove a row (a trigger of migration 0004).
audit_log = Table(
    "audit_log",
    metadata,
    Column("entry_id", LongInteger, primary_key=True, autoincrement=True),
    Column("created_at", UtcTime, nullable=False),
    Column("actor", PlainText, nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(64), nullable=False, index=True),
    Column("dataset_id", String(64), nullable=True),
    Column("detail", PlainText, nullable=False),
    Column("address", PlainText, nullable=False),
    Column("request_id", PlainText, nullable=False),
    sqlite_autoincrement=True,  # an id is never used twice, so a reader's place stays true
)

# What a model answered on one day (UTC, `2026-01-31`): counts, no pictures.
prediction_counts = Table(
    "prediction_counts",
    metadata,
    Column("model_id", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("record", PlainText, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(64), nullable=False, unique=True),
    Column("dataset_id", String(64), nullable=False, index=True),
    Column("model_id", String(64), ForeignKey("models.model_id"), nullable=False),
    Column("kind", String(16), nullable=False, server_default=IMAGES),
    Column("record", PlainText, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(64), nullable=False, unique=True),
    Column("kind", String(64), nullable=False),
    Column("dataset_id", String(64), nullable=True, index=True),
    Column("state", String(16), nullable=False),
    Column("progress", Float, nullable=False),
    Column("stage", PlainText, nullable=False),
    Column("message", PlainText, nullable=False),
    Column("candidates", PlainText, nullable=False),
    Column("payload", PlainText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("worker_id", String(128), nullable=True),
    Column("error", PlainText, nullable=True),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime, nullable=True),
    Column("ended_at", UtcTime, nullable=True),
    Column("heartbeat_at", UtcTime, nullable=True),
    Column("eta_s", Float, nullable=True),
    Column("request_id", String(64), nullable=False, server_default=""),
    Index(None, "state", "sequence"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("event_id", LongInteger, primary_key=True, autoincrement=True),
    Column("job_id", String(64), ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
    Column("type", String(16), nullable=False),
    Column("data", PlainText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "job_id", "event_id"),
    sqlite_autoincrement=True,  # an event id is never used twice, so a watcher's place stays true
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", String(128), primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("heartbeat_at", UtcTime, nullable=False),
)

# The objects that make up a folder (`datasets/ds-1`), oldest first: see `objects.py`. Only written where there is an
# object storage.
stored_commits = Table(
    "stored_commits",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("tree", String(160), nullable=False),
    Column("commit_id", String(64), nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "tree", "sequence"),
)
