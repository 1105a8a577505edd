"""What there is: datasets, trained models and their results, as rows; of images and of tables alike.

It does not know the files behind them, nor how anything was computed. Upserts are by id, so that a job which is
started a second time leaves one result, not two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Column, Connection, RowMapping, ScalarSelect, Table, delete, func, insert, select, update

from backend.contracts import FINAL_STATES, LOOKING_KINDS, DatasetInfo, ModelInfo, Results
from backend.contracts.table import TableInfo, TableModelInfo, TableResults
from backend.errors import ConflictError, NotFoundError
from backend.storage.database import Database
from backend.storage.tables import datasets, jobs, models, results

D = TypeVar("D", DatasetInfo, TableInfo)
R = TypeVar("R", Results, TableResults)
M = TypeVar("M", ModelInfo, TableModelInfo)


class RecordCatalog(Generic[D, R, M]):
    """Datasets, models and results of one kind, in one database. Ids are unique among all kinds."""

    kind: ClassVar[str]
    address: ClassVar[str]
    dataset_type: type[D]
    result_type: type[R]
    model_type: type[M]

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def _list_datasets(self) -> str:
        return f"GET {self.address}/datasets lists those there are"

    @property
    def _list_models(self) -> str:
        return f"GET {self.address}/models lists those there are"

    # -- datasets

    def add_dataset(self, info: D) -> None:
        """Add a dataset, or replace the row of the same id."""
        row = {"created_at": info.created_at, "kind": self.kind, "record": info.model_dump_json()}
        with self._database.writing() as connection:
            _upsert(connection, datasets, {"dataset_id": info.dataset_id}, row)

    def datasets(self) -> list[D]:
        """All datasets, newest first."""
        query = select(datasets.c.record).where(datasets.c.kind == self.kind)
        query = query.order_by(datasets.c.created_at.desc(), datasets.c.dataset_id)
        with self._database.reading() as connection:
            return [self.dataset_type.model_validate_json(record) for record in connection.scalars(query)]

    def dataset(self, dataset_id: str) -> D:
        """One dataset.

        Raises:
            NotFoundError: no such dataset.
        """
        query = select(datasets.c.record).where(datasets.c.dataset_id == dataset_id, datasets.c.kind == self.kind)
        with self._database.reading() as connection:
            record = connection.scalar(query)
        if record is None:
            raise NotFoundError(f"There is no dataset '{dataset_id}'; {self._list_datasets}.")
        return self.dataset_type.model_validate_json(record)

    def delete_dataset(self, dataset_id: str) -> None:
        """Take a dataset from the catalogue; models trained on it and their results stay.

        Raises:
            NotFoundError: no such dataset.
            ConflictError: a queued or running job uses it; one that only looks does not count.
        """
        with self._database.writing() as connection:
            job_id = _active_job(connection, dataset_id)
            if job_id is not None:
                raise ConflictError(
                    f"Job '{job_id}' still uses dataset '{dataset_id}'; wait for its end or cancel it first."
                )
            gone = connection.execute(delete(datasets).where(datasets.c.dataset_id == dataset_id))
            if gone.rowcount == 0:
                raise NotFoundError(f"There is no dataset '{dataset_id}'; {self._list_datasets}.")

    # -- results

    def publish(self, outcome: R, model: M) -> None:
        """Store a finished job's results and its model in one transaction; publishing again replaces both."""
        with self._database.writing() as connection:
            _upsert(
                connection,
                models,
                {"model_id": model.model_id},
                {
                    "dataset_id": model.dataset_id,
                    "job_id": model.job_id,
                    "kind": self.kind,
                    "record": model.model_dump_json(),
                },
            )
            _upsert(
                connection,
                results,
                {"job_id": outcome.job_id},
                {
                    "dataset_id": outcome.dataset_id,
                    "model_id": outcome.model_id,
                    "kind": self.kind,
                    "record": outcome.model_dump_json(),
                },
            )
            # A job that was started twice: the first attempt's model goes, unless somebody promoted it meanwhile.
            connection.execute(
                delete(models).where(
                    models.c.job_id == outcome.job_id,
                    models.c.model_id != model.model_id,
                    models.c.promoted_at.is_(None),
                )
            )

    def published(self, job_id: str) -> bool:
        """Whether a job's results and model are there for all to see."""
        with self._database.reading() as connection:
            return connection.execute(select(results.c.job_id).where(results.c.job_id == job_id)).first() is not None

    def results_for_dataset(self, dataset_id: str, *, version: int | None = None) -> R:
        """The results of the dataset's newest finished job; with `version`, of the newest that trained on it.

        Raises:
            NotFoundError: there are none; the detail says whether a job is on its way.
        """
        query = select(results.c.record).where(results.c.dataset_id == dataset_id, results.c.kind == self.kind)
        query = query.order_by(_cut_short(results.c.job_id), results.c.sequence.desc())
        with self._database.reading() as connection:
            for record in connection.scalars(query):  # a dataset has few runs; the first one read is nearly always it
                outcome = self.result_type.model_validate_json(record)
                if version in (None, outcome.dataset_version):
                    return outcome
            job_id = _active_job(connection, dataset_id)
        self.dataset(dataset_id)
        what = f"Dataset '{dataset_id}'" if version is None else f"Version {version} of dataset '{dataset_id}'"
        if job_id is not None:
            raise NotFoundError(f"{what} has no results yet; job '{job_id}' is on its way: GET /api/cv/jobs/{job_id}.")
        raise NotFoundError(f"{what} has no results yet; POST {self.address}/train/start trains on it.")

    def results_for_job(self, job_id: str) -> R:
        """The results of one job.

        Raises:
            NotFoundError: there are none; the detail says where the job stands.
        """
        with self._database.reading() as connection:
            own = select(results.c.record).where(results.c.job_id == job_id, results.c.kind == self.kind)
            record = connection.scalar(own)
            job = connection.execute(select(jobs.c.state, jobs.c.error).where(jobs.c.job_id == job_id)).first()
        if record is not None:
            return self.result_type.model_validate_json(record)
        if job is None:
            raise NotFoundError(f"There is no job '{job_id}'; GET /api/cv/jobs lists those there are.")
        raise NotFoundError(self._why_no_results(job_id, job.state, job.error))

    # -- models

    def models(self, *, archived: bool = True) -> list[M]:
        """All models, newest first; on request without those that were put aside."""
        query = select(models.c.record, models.c.promoted_at).where(models.c.kind == self.kind)
        query = query.order_by(models.c.sequence.desc())
        if not archived:
            query = query.where(models.c.archived_at.is_(None))
        with self._database.reading() as connection:
            return [self._model(row) for row in connection.execute(query).mappings()]

    def model(self, model_id: str) -> M:
        """One model.

        Raises:
            NotFoundError: no such model.
        """
        row = self._first(models.c.model_id == model_id)
        if row is None:
            raise NotFoundError(f"There is no model '{model_id}'; {self._list_models}.")
        return self._model(row)

    def resolve_model(self, dataset_or_model_id: str) -> M:
        """A model by its own id, or by its dataset's: then the promoted one, else the newest that is not archived.

        Raises:
            NotFoundError: neither a model nor a dataset with a model.
        """
        row = self._first(models.c.model_id == dataset_or_model_id) or self._first(
            models.c.dataset_id == dataset_or_model_id, models.c.archived_at.is_(None)
        )
        if row is not None:
            return self._model(row)
        with self._database.reading() as connection:
            known = connection.scalar(
                select(datasets.c.dataset_id).where(
                    datasets.c.dataset_id == dataset_or_model_id, datasets.c.kind == self.kind
                )
            )
            job_id = _active_job(connection, dataset_or_model_id)
            of_it = (models.c.dataset_id == dataset_or_model_id, models.c.kind == self.kind)
            archived = connection.scalar(select(func.count()).select_from(models).where(*of_it))
        if archived:
            raise NotFoundError(
                f"All models of dataset '{dataset_or_model_id}' are archived. Name one by its own id, or take one "
                "back: POST /api/cv/models/MODEL/restore."
            )
        if known is None:
            raise NotFoundError(
                f"'{dataset_or_model_id}' is neither a model nor a dataset; {self._list_models}, {self._list_datasets}."
            )
        on_its_way = f"job '{job_id}' is on its way" if job_id else f"POST {self.address}/train/start trains one"
        raise NotFoundError(f"Dataset '{dataset_or_model_id}' has no model yet; {on_its_way}.")

    def default_model(self) -> M | None:
        """The model promoted last, on any dataset; else the newest that is not archived; None where there is none."""
        row = self._first(models.c.archived_at.is_(None))
        return None if row is None else self._model(row)

    def _first(self, *conditions: Any) -> RowMapping | None:
        """The model promoted last, else the newest, among those that fit."""
        query = select(models.c.record, models.c.promoted_at).where(models.c.kind == self.kind, *conditions)
        promoted_first = (
            models.c.promoted_at.is_(None),
            models.c.promoted_at.desc(),
            _cut_short(models.c.job_id),
            models.c.sequence.desc(),
        )
        with self._database.reading() as connection:
            return connection.execute(query.order_by(*promoted_first).limit(1)).mappings().first()

    def _model(self, row: RowMapping) -> M:
        model = self.model_type.model_validate_json(row["record"])
        return model.model_copy(update={"promoted": row["promoted_at"] is not None})

    def _why_no_results(self, job_id: str, state: str, error: str | None) -> str:
        if state == "failed":
            return f"Job '{job_id}' failed and has no results: {error}"
        if state == "cancelled":
            return f"Job '{job_id}' was cancelled and has no results; POST {self.address}/train/start begins a new one."
        if state == "succeeded":
            return f"Job '{job_id}' has no results of this kind."
        return f"Job '{job_id}' is {state} and has no results yet; GET /api/cv/jobs/{job_id} says how far it is."


class Catalog(RecordCatalog[DatasetInfo, Results, ModelInfo]):
    """Datasets of images, and what was trained on them."""

    kind = "images"
    address = "/api/cv"
    dataset_type, result_type, model_type = DatasetInfo, Results, ModelInfo


class TableCatalog(RecordCatalog[TableInfo, TableResults, TableModelInfo]):
    """Tables, and what was trained on them."""

    kind = "table"
    address = "/api/tabular"
    dataset_type, result_type, model_type = TableInfo, TableResults, TableModelInfo


def _cut_short(job_id: Column[Any]) -> ScalarSelect[int]:
    """1 where the job was cancelled: what it had found is kept, but stands behind what a whole run found."""
    cancelled = (jobs.c.cancel_requested.is_(True), jobs.c.state != "succeeded")
    return select(func.count()).where(jobs.c.job_id == job_id, *cancelled).scalar_subquery()


def _active_job(connection: Connection, dataset_id: str) -> str | None:
    query = (
        select(jobs.c.job_id)
        .where(
            jobs.c.dataset_id == dataset_id,
            jobs.c.state.not_in(sorted(FINAL_STATES)),
            jobs.c.kind.not_in(sorted(LOOKING_KINDS)),
        )
        .order_by(jobs.c.sequence)
        .limit(1)
    )
    job_id: str | None = connection.scalar(query)
    return job_id


def _upsert(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Update the row of that key, or insert it. `Database.writing` has one writer at a time: the two steps are one."""
    where: Sequence[Any] = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*where).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**key, **values))
