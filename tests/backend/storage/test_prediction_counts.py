"""Counts add up, also from several processes at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.contracts import PredictionCounts
from backend.storage.database import Database
from backend.storage.prediction_counts import PredictionLog, sum_of

BINS = (0, 0, 0, 0, 0, 0, 0, 0, 1, 2)
MONDAY, TUESDAY = "2026-01-05", "2026-01-06"


def counts(**labels):
    return PredictionCounts(predictions=3, labels=labels, confidence=BINS, judged=2, unfamiliar=1)


@pytest.fixture
def log(database, add_model):
    add_model(1)
    return PredictionLog(database)


def test_counts_of_a_day_add_up(log):
    log.add({("md-1", MONDAY): counts(cat=2, dog=1), ("md-1", TUESDAY): counts(cat=3)})
    log.add({("md-1", MONDAY): counts(dog=1, fox=2)})
    assert log.days("md-1") == {
        MONDAY: PredictionCounts(
            predictions=6,
            labels={"cat": 2, "dog": 2, "fox": 2},
            confidence=tuple(2 * place for place in BINS),
            judged=4,
            unfamiliar=2,
        ),
        TUESDAY: counts(cat=3),
    }
    assert list(log.days("md-1", since=TUESDAY)) == [TUESDAY]
    assert log.days("md-2") == {}


def test_several_processes_lose_nothing(log, database):
    def count(_place):
        own = Database(database.url.render_as_string(hide_password=False))
        for _ in range(10):
            PredictionLog(own).add({("md-1", MONDAY): counts(cat=3)})
        own.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(4)))
    assert log.days("md-1")[MONDAY].labels == {"cat": 120}


def test_a_model_that_is_gone_is_not_counted(log):
    log.add({("md-gone", MONDAY): counts(cat=3), ("md-1", MONDAY): counts(cat=3)})
    assert log.days("md-gone") == {}
    assert log.days("md-1")[MONDAY].predictions == 3


def test_the_sum_of_nothing_is_nothing():
    assert sum_of() == PredictionCounts()
