"""Comparisons of two models, kept so that nobody computes one twice. It does not know how one is made."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from backend.contracts import ModelComparison
from backend.errors import NotFoundError
from backend.storage.database import Database
from backend.storage.tables import comparisons


class Comparisons:
    """The comparisons of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, comparison: ModelComparison) -> None:
        """Keep a comparison; an earlier one of the same two models is replaced."""
        key = {"challenger_id": comparison.challenger_id, "champion_id": comparison.champion_id}
        where = [comparisons.c[name] == value for name, value in key.items()]
        with self._database.writing() as connection:
            connection.execute(delete(comparisons).where(*where))
            connection.execute(
                insert(comparisons).values(**key, created_at=comparison.created_at, record=comparison.model_dump_json())
            )

    def get(self, challenger_id: str, champion_id: str) -> ModelComparison:
        """The comparison of two models.

        Raises:
            NotFoundError: they have not been compared, this way round.
        """
        query = select(comparisons.c.record).where(
            comparisons.c.challenger_id == challenger_id, comparisons.c.champion_id == champion_id
        )
        with self._database.reading() as connection:
            record = connection.scalar(query)
        if record is None:
            raise NotFoundError(
                f"'{challenger_id}' has not been compared with '{champion_id}' yet; "
                f"POST /api/cv/models/{challenger_id}/compare?with={champion_id} does so as a job."
            )
        return ModelComparison.model_validate_json(record)

    def of(self, challenger_id: str) -> list[ModelComparison]:
        """All comparisons of a challenger, newest first."""
        query = (
            select(comparisons.c.record)
            .where(comparisons.c.challenger_id == challenger_id)
            .order_by(comparisons.c.created_at.desc())
        )
        with self._database.reading() as connection:
            return [ModelComparison.model_validate_json(record) for record in connection.scalars(query)]
