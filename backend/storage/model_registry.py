"""The states of models: candidate, promoted, archived; who promoted what, and the way back. It knows no files.

Every change is one transaction of the only writer (`Database.writing`), with its line in the audit log: a reader sees
the model before or the one after, and two promotions at once leave one. The database refuses a second one as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from backend.contracts import (
    FINAL_STATES,
    AuditAction,
    Caller,
    ModelState,
    Promotion,
    PromotionKind,
    RegisteredModel,
    RegisteredTableModel,
    utc_now,
)
from backend.errors import ConflictError, NotFoundError
from backend.storage.audit_log import NOBODY_KNOWN, write_entry
from backend.storage.database import Database
from backend.storage.tables import jobs, models, prediction_counts, promotions, results

AnyModel = RegisteredModel | RegisteredTableModel
TICK = timedelta(microseconds=1)


M = TypeVar("M", RegisteredModel, RegisteredTableModel)


class RecordRegistry(Generic[M]):
    """The models of one kind in one database, with their states."""

    kind: ClassVar[str]
    address: ClassVar[str]
    model_type: type[M]

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- looking

    def models(self, *, dataset_id: str | None = None, state: ModelState | None = None) -> list[M]:
        """Models of a dataset and in a state, where these are named; newest first."""
        conditions = [] if dataset_id is None else [models.c.dataset_id == dataset_id]
        with self._database.reading() as connection:
            found = self._read(connection, conditions)
        return [model for model in found if state in (None, model.state)]

    def model(self, model_id: str) -> M:
        """One model.

        Raises:
            NotFoundError: no such model.
        """
        with self._database.reading() as connection:
            return self._one(connection, model_id)

    def history(self, dataset_id: str) -> list[Promotion]:
        """Who answered for a dataset, newest first."""
        query = select(promotions).where(promotions.c.dataset_id == dataset_id)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(promotions.c.promotion_id.desc())).mappings()
            return [Promotion.model_validate(dict(row)) for row in rows]

    def predecessor(self, model: AnyModel) -> str | None:
        """The model that a rollback of this one would bring back; None: it is not promoted, or nobody was before."""
        if model.state != "promoted":
            return None
        with self._database.reading() as connection:
            row = _before(connection, model)
        return None if row is None else str(row["model_id"])

    # -- changing

    def promote(self, model_id: str, *, caller: Caller = NOBODY_KNOWN) -> M:
        """Make a model its dataset's choice and the default of `POST /predict`.

        Raises:
            NotFoundError: no such model.
            ConflictError: it is archived.
        """
        with self._database.writing() as connection:
            model = self._one(connection, model_id)
            if model.state == "archived":
                raise ConflictError(
                    f"Model '{model_id}' is archived; POST {self.address}/models/{model_id}/restore takes it back "
                    "first."
                )
            before = _promoted(connection, model.dataset_id)
            _switch(connection, model, moment=_after_all(connection))
            if before is None or before["model_id"] != model_id:
                replaced = None if before is None else str(before["model_id"])
                _remember(connection, "promoted", model, replaced=replaced, caller=caller)
            _audit(connection, "promoted", model, caller)
            return self._one(connection, model_id)

    def rollback(self, model_id: str, *, caller: Caller = NOBODY_KNOWN) -> M:
        """Take back the promotion of a model: the one that answered before it does so again; returns that one.

        The model steps down by name, so that two people who take back the same promotion take back one. Whoever takes
        its place takes all of it: where it was the default of `POST /predict`, its predecessor is.

        Raises:
            NotFoundError: no such model.
            ConflictError: it is not the promoted one (any more), or nobody was promoted before it.
        """
        with self._database.writing() as connection:
            model = self._one(connection, model_id)
            current = _promoted(connection, model.dataset_id)
            if current is None or current["model_id"] != model_id:
                raise ConflictError(_not_promoted(model, current))
            before = _before(connection, model)
            if before is None:
                raise ConflictError(_nobody_before(model))
            target = self._one(connection, before["model_id"])
            _switch(connection, target, moment=current["promoted_at"])
            undone = update(promotions).where(
                promotions.c.dataset_id == model.dataset_id,
                promotions.c.kind == "promoted",
                promotions.c.undone_at.is_(None),
                promotions.c.promotion_id > before["promotion_id"],
            )
            connection.execute(undone.values(undone_at=utc_now()))
            _remember(connection, "rolled_back", target, replaced=model_id, caller=caller)
            _audit(connection, "rolled_back", model, caller, detail=f"back to {target.model_id}")
            return self._one(connection, target.model_id)

    def archive(self, model_id: str, *, caller: Caller = NOBODY_KNOWN) -> M:
        """Put a model aside: neither its dataset's id nor the default stands for it; its own id still does.

        Raises:
            NotFoundError: no such model.
            ConflictError: it is the promoted one.
        """
        with self._database.writing() as connection:
            model = self._one(connection, model_id)
            if model.state == "promoted":
                raise ConflictError(f"Model '{model_id}' {STILL_PROMOTED}")
            if model.state != "archived":
                _set(connection, model_id, archived_at=utc_now())
                _audit(connection, "archived", model, caller)
            return self._one(connection, model_id)

    def restore(self, model_id: str, *, caller: Caller = NOBODY_KNOWN) -> M:
        """Take an archived model back among the candidates; of others nothing changes.

        Raises:
            NotFoundError: no such model.
        """
        with self._database.writing() as connection:
            model = self._one(connection, model_id)
            if model.state == "archived":
                _set(connection, model_id, archived_at=None)
                _audit(connection, "restored", model, caller)
            return self._one(connection, model_id)

    def delete(self, model_id: str, *, caller: Caller = NOBODY_KNOWN) -> None:
        """Take a model from the registry, with its results and its counts; comparisons and history stay.

        Raises:
            NotFoundError: no such model.
            ConflictError: it is promoted, or a queued or running job uses it.
        """
        with self._database.writing() as connection:
            model = self._one(connection, model_id)
            if model.state == "promoted":
                raise ConflictError(f"Model '{model_id}' {STILL_PROMOTED}")
            job_id = _job_that_uses(connection, model)
            if job_id is not None:
                raise ConflictError(f"Job '{job_id}' still uses model '{model_id}'; wait for its end or cancel it.")
            for table in (results, prediction_counts, models):
                connection.execute(delete(table).where(table.c.model_id == model_id))
            _audit(connection, "deleted", model, caller, detail=f"{model.name}, of job {model.job_id}")

    # -- reading rows

    def _read(self, connection: Connection, conditions: Sequence[Any]) -> list[M]:
        newest = select(func.max(promotions.c.promotion_id)).group_by(promotions.c.model_id)
        came = select(promotions).where(promotions.c.promotion_id.in_(newest)).subquery()
        query = (
            select(models, came.c.actor, came.c.created_at)
            .outerjoin(came, (came.c.model_id == models.c.model_id) & (came.c.dataset_id == models.c.dataset_id))
            .where(models.c.kind == self.kind, *conditions)
            .order_by(models.c.sequence.desc())
        )
        return [self._registered(row) for row in connection.execute(query).mappings()]

    def _registered(self, row: RowMapping) -> M:
        read: dict[str, Any] = json.loads(row["record"])
        standing: dict[str, Any] = {"promoted": False, "archived_at": row["archived_at"]}
        if row["promoted_at"] is not None:
            came = {"promoted_at": row["created_at"] or row["promoted_at"], "promoted_by": row["actor"] or ""}
            standing |= {**came, "promoted": True, "state": "promoted"}
        else:
            standing["state"] = "candidate" if row["archived_at"] is None else "archived"
        return self.model_type.model_validate({**read, **standing})

    def _one(self, connection: Connection, model_id: str) -> M:
        found = self._read(connection, [models.c.model_id == model_id])
        if not found:
            raise NotFoundError(f"There is no model '{model_id}'; GET {self.address}/models lists those there are.")
        return found[0]


class ModelRegistry(RecordRegistry[RegisteredModel]):
    """The models of images."""

    kind = "images"
    address = "/api/cv"
    model_type = RegisteredModel


class TableModelRegistry(RecordRegistry[RegisteredTableModel]):
    """The models of tables."""

    kind = "table"
    address = "/api/tabular"
    model_type = RegisteredTableModel


STILL_PROMOTED = "is the promoted one; promote another or roll back first."


def _promoted(connection: Connection, dataset_id: str) -> RowMapping | None:
    query = select(models.c.model_id, models.c.promoted_at).where(
        models.c.dataset_id == dataset_id, models.c.promoted_at.is_not(None)
    )
    return connection.execute(query).mappings().first()


def _switch(connection: Connection, model: AnyModel, *, moment: datetime) -> None:
    """Take the place of whoever is promoted, and only then put the model there: the index allows one at any time."""
    down = update(models).where(models.c.dataset_id == model.dataset_id, models.c.promoted_at.is_not(None))
    connection.execute(down.values(promoted_at=None))
    _set(connection, model.model_id, promoted_at=moment)


def _set(connection: Connection, model_id: str, **values: datetime | None) -> None:
    connection.execute(update(models).where(models.c.model_id == model_id).values(**values))


def _after_all(connection: Connection) -> datetime:
    """Now, and later than any promotion before: the clocks of two machines differ, and the last one has to win."""
    latest: datetime | None = connection.scalar(select(func.max(models.c.promoted_at)))
    return utc_now() if latest is None else max(utc_now(), latest + TICK)


def _remember(
    connection: Connection, kind: PromotionKind, model: AnyModel, *, replaced: str | None, caller: Caller
) -> None:
    row = {"dataset_id": model.dataset_id, "kind": kind, "model_id": model.model_id, "replaced_id": replaced}
    connection.execute(insert(promotions).values(**row, actor=caller.name, created_at=utc_now()))


def _audit(
    connection: Connection, action: AuditAction, model: AnyModel, caller: Caller, *, detail: str | None = None
) -> None:
    said = model.name if detail is None else detail
    write_entry(connection, action, model.model_id, caller=caller, dataset_id=model.dataset_id, detail=said)


def _before(connection: Connection, model: AnyModel) -> RowMapping | None:
    """The latest promotion that still stands, of another model that can answer again."""
    query = (
        select(promotions.c.promotion_id, promotions.c.model_id)
        .join(models, models.c.model_id == promotions.c.model_id)
        .where(
            promotions.c.dataset_id == model.dataset_id,
            promotions.c.kind == "promoted",
            promotions.c.undone_at.is_(None),
            promotions.c.model_id != model.model_id,
            models.c.archived_at.is_(None),
        )
        .order_by(promotions.c.promotion_id.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def _nobody_before(model: AnyModel) -> str:
    return (
        f"No model was promoted before '{model.model_id}' that could take its place; it may be archived or deleted. "
        f"POST /api/cv/models/MODEL/promote chooses one of GET /api/cv/models?dataset_id={model.dataset_id}."
    )


def _not_promoted(model: AnyModel, current: RowMapping | None) -> str:
    now = f"'{current['model_id']}' is" if current else "none of its dataset is"
    return f"Model '{model.model_id}' is not the promoted one, so there is nothing to take back; {now}."


def _job_that_uses(connection: Connection, model: AnyModel) -> str | None:
    """A job that has not ended and names the model, or the one that trained it and may still compare it."""
    query = select(jobs.c.job_id, jobs.c.payload).where(jobs.c.state.not_in(sorted(FINAL_STATES)))
    for job_id, payload in connection.execute(query.order_by(jobs.c.sequence)):
        if job_id == model.job_id or f'"{model.model_id}"' in payload:
            return str(job_id)
    return None
