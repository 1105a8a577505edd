"""What is told to MLflow's registry, and that nobody waits for it or fails by it."""

import logging
import threading

import pytest
from service_fakes import model_info, results_record

from backend.storage.catalog import Catalog
from backend.storage.model_registry import ModelRegistry
from backend.workflows import mirror_models as module
from backend.workflows.mirror_models import mirror_in_background, mirror_models


@pytest.fixture
def settings(settings, database):
    address = database.url.render_as_string(hide_password=False)
    return settings.model_copy(update={"database_url": address, "mlflow_tracking_uri": "http://mlflow.test"})


@pytest.fixture
def told(monkeypatch, database):
    catalog = Catalog(database)
    for number in (1, 2):
        info = model_info(f"md-{number}", job_id=f"job-{number}")
        catalog.publish(results_record(f"job-{number}", model_id=info.model_id), info)
    ModelRegistry(database).promote("md-1")
    calls = []

    def tell(settings, dataset_id, models):
        calls.append((dataset_id, [(model.model_id, model.state) for model in models]))

    monkeypatch.setattr(module, "mirror_registry", tell)
    return calls


def test_the_registry_is_told_as_it_stands(settings, told):
    mirror_models(settings, ["ds-1", "ds-none"])
    assert told == [("ds-1", [("md-2", "candidate"), ("md-1", "promoted")]), ("ds-none", [])]


def test_with_tracking_off_nobody_is_told(settings, told):
    off = settings.model_copy(update={"mlflow_tracking_uri": "off"})
    mirror_models(off, ["ds-1"])
    mirror_in_background(off, "ds-1")
    assert told == []


def test_a_store_that_is_away_is_logged_without_its_address(settings, told, monkeypatch, caplog):
    def refuse(*_):
        raise ConnectionError("http://user:secret@mlflow.test")

    monkeypatch.setattr(module, "mirror_registry", refuse)
    with caplog.at_level(logging.WARNING):
        mirror_models(settings, ["ds-1"])
    assert "MLflow's registry was not told" in caplog.text
    assert "secret" not in caplog.text


def test_a_training_does_not_wait_for_it(settings, told, monkeypatch):
    gate, done = threading.Event(), threading.Event()

    def tell(*_):
        gate.wait(60)
        done.set()

    monkeypatch.setattr(module, "mirror_registry", tell)
    mirror_in_background(settings, "ds-1")  # returns while the store hangs
    assert not done.is_set()
    gate.set()
    assert done.wait(60)
