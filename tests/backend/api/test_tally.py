"""Answers are counted in memory and written now and then, never by a request."""

import threading

import pytest
from service_fakes import model_info, results_record

from backend.api import tally as module
from backend.api.tally import PredictionTally
from backend.contracts import PredictionCounts
from backend.errors import UnavailableError
from backend.storage.catalog import Catalog
from backend.storage.prediction_counts import PredictionLog
from backend.workflows.watch_drift import NO_LABEL


class Log:
    """Keeps what it was told; `broken` says that the database does not answer."""

    def __init__(self):
        self.told, self.broken, self.heard = {}, False, threading.Event()

    def add(self, counts):
        self.heard.set()
        if self.broken:
            raise UnavailableError("away")
        self.told = dict(counts)


def count(tally, label="cat", confidence=0.93, *, unfamiliar=False):
    tally.add("md-1", labels=[label], confidence=confidence, unfamiliar=unfamiliar)


def only(log):
    (counts,) = log.told.values()
    return counts


def test_answers_are_counted_by_label_confidence_and_familiarity():
    tally = PredictionTally(log := Log())
    for confidence in (0.0, 0.05, 0.1, 0.999, 1.0):
        count(tally, confidence=confidence, unfamiliar=confidence < 0.06)
    tally.add("md-1", labels=["dog"], confidence=0.95)
    tally.write()
    assert only(log) == PredictionCounts(
        predictions=6, labels={"cat": 5, "dog": 1}, confidence=(2, 1, 0, 0, 0, 0, 0, 0, 0, 3), judged=5, unfamiliar=2
    )


def test_a_day_has_counts_of_its_own(monkeypatch):
    from datetime import UTC, datetime

    tally = PredictionTally(log := Log())
    for day in (1, 2):
        monkeypatch.setattr(module, "utc_now", lambda day=day: datetime(2026, 1, day, 23, 59, tzinfo=UTC))
        count(tally)
    tally.write()
    assert list(log.told) == [("md-1", "2026-01-01"), ("md-1", "2026-01-02")]


def test_what_could_not_be_written_is_written_later_and_once():
    tally = PredictionTally(log := Log())
    log.broken = True
    count(tally)
    tally.write()
    log.broken = False
    count(tally)
    tally.write()
    assert only(log).predictions == 2
    log.told = {}
    tally.write()
    assert log.told == {}


def test_it_writes_by_itself_and_at_the_end():
    tally = PredictionTally(log := Log(), write_every_s=0.01)
    count(tally)
    tally.start()
    assert log.heard.wait(30)
    tally._stop.set()
    tally._thread.join()
    count(tally, label="late")
    tally.close()
    assert only(log).labels == {"late": 1}


def test_threads_lose_no_count():
    tally = PredictionTally(log := Log())
    threads = [threading.Thread(target=lambda: [count(tally) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.write()
    assert only(log).predictions == 2000


def test_an_answer_of_several_labels_counts_for_each_and_one_without_any_too():
    tally = PredictionTally(log := Log())
    tally.add("md-1", labels=["scratch", "hole"], confidence=0.8)
    tally.add("md-1", labels=[], confidence=0.2)
    tally.write()
    assert only(log).labels == {"scratch": 1, "hole": 1, NO_LABEL: 1}
    assert only(log).predictions == 2


@pytest.fixture
def model_id(services):
    Catalog(services.database).publish(results_record(), model_info())
    return "md-1"


def test_both_ways_of_asking_are_counted_and_refusals_are_not(client, services, model_id, png):
    assert client.post(f"/api/cv/predict/{model_id}", files={"file": png}).status_code == 200
    assert client.post("/predict", files={"file": png}).status_code == 200
    assert client.post(f"/api/cv/predict/{model_id}", files={"file": b"no picture"}).status_code == 422
    services.tally.write()
    (counts,) = PredictionLog(services.database).days(model_id).values()
    assert (counts.predictions, counts.labels, counts.judged) == (2, {"circle": 1, "square": 1}, 2)
