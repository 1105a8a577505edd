"""What models answered, by day: counts that several API processes add up. It does not know what they say.

One row a model and day; reading, adding and writing are one transaction of the only writer.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from backend.contracts import PredictionCounts
from backend.storage.database import Database
from backend.storage.tables import models, prediction_counts


class PredictionLog:
    """The counts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counts: Mapping[tuple[str, str], PredictionCounts]) -> None:
        """Add counts by model and day (`2026-01-31`, UTC) to those that are there; of models that are gone nothing.

        Raises:
            UnavailableError: the database does not answer; nothing was added.
        """
        with self._database.writing() as connection:
            names = sorted({model_id for model_id, _ in counts})
            known = set(connection.scalars(select(models.c.model_id).where(models.c.model_id.in_(names))))
            for (model_id, day), more in sorted(counts.items()):
                if model_id not in known:
                    continue
                where = (prediction_counts.c.model_id == model_id, prediction_counts.c.day == day)
                record = connection.scalar(select(prediction_counts.c.record).where(*where))
                before = PredictionCounts() if record is None else PredictionCounts.model_validate_json(record)
                connection.execute(delete(prediction_counts).where(*where))
                total = sum_of(before, more).model_dump_json()
                connection.execute(insert(prediction_counts).values(model_id=model_id, day=day, record=total))

    def days(self, model_id: str, *, since: str = "") -> dict[str, PredictionCounts]:
        """A model's counts by day, oldest first, beginning with the day `since`."""
        query = (
            select(prediction_counts.c.day, prediction_counts.c.record)
            .where(prediction_counts.c.model_id == model_id, prediction_counts.c.day >= since)
            .order_by(prediction_counts.c.day)
        )
        with self._database.reading() as connection:
            return {day: PredictionCounts.model_validate_json(record) for day, record in connection.execute(query)}


def sum_of(*parts: PredictionCounts) -> PredictionCounts:
    """Counts of several days or processes together."""
    labels: dict[str, int] = {}
    for part in parts:
        for label, count in part.labels.items():
            labels[label] = labels.get(label, 0) + count
    bins = [sum(column) for column in zip(*(part.confidence for part in parts), strict=True)]
    return PredictionCounts(
        predictions=sum(part.predictions for part in parts),
        labels=labels,
        confidence=tuple(bins) if bins else PredictionCounts().confidence,
        judged=sum(part.judged for part in parts),
        unfamiliar=sum(part.unfamiliar for part in parts),
    )
