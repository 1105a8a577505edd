"""The way round: train, correct, add, train again, compare; on a real network. What was computed once stays computed."""

import importlib

import pytest

from backend.contracts import Corrections, Job, RunControl
from backend.data.manifest import load_dataset
from backend.data.split import stratified_split
from backend.storage.catalog import Catalog
from backend.storage.comparisons import Comparisons
from backend.storage.database import Database
from backend.storage.model_registry import ModelRegistry
from backend.storage.version_log import VersionLog
from backend.workflows.change_dataset import Desk, add_images, correct_dataset
from backend.workflows.import_dataset import import_dataset
from backend.workflows.train_images import model_id_of, run_job

NEW = 6  # pictures of each class that come later


@pytest.fixture
def database(settings):
    database = Database(settings.resolved_database_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def dataset(make_zip, settings, database):
    with make_zip({"circle": 20, "square": 20}).open("rb") as upload:
        return load_dataset(import_dataset(upload, name="drawn", settings=settings, catalog=Catalog(database)).root)


@pytest.fixture
def forwards(monkeypatch):
    """How many pictures went through a network, call by call."""
    feature_store = importlib.import_module("backend.engine.feature_store")  # torch: only who needs it pays
    counts = []
    plain = feature_store._Pace.timed

    def count(self, forward, images):
        counts.append(len(images))
        return plain(self, forward, images)

    monkeypatch.setattr(feature_store._Pace, "timed", count)
    return counts


def train(dataset_id, number, settings, **options):
    payload = {"dataset_id": dataset_id, "models": ["efficientnet_lite0"], "strategy": "probe", **options}
    job = Job(job_id=f"job-{number:010}", kind="train_images", dataset_id=dataset_id, payload=payload)
    run_job(job, control=RunControl(), settings=settings)
    return model_id_of(job.job_id)


def test_a_corrected_and_grown_dataset_is_trained_again_and_compared(dataset, settings, database, make_zip, forwards):
    dataset_id, catalog = dataset.info.dataset_id, Catalog(database)
    champion = train(dataset_id, 1, settings)
    ModelRegistry(database).promote(champion)
    first_forwards = sum(forwards)
    assert first_forwards >= 40
    forwards.clear()

    desk = Desk(root=dataset.root, dataset_id=dataset_id, log=VersionLog(database))
    wrong, other = dataset.items[0].image_id, dataset.items[1].image_id
    correct_dataset(desk, Corrections(exclude=(wrong,), relabel={other: "square"}))
    challenger = train(dataset_id, 2, settings)
    assert forwards == [], "no picture is new, so none may go through a network again"
    assert reused(catalog, dataset_id) == (39, 39), "without the one that was left out"
    assert catalog.model(challenger).dataset_version == 2
    assert catalog.model(champion).dataset_version == 1, "an old model keeps its version"
    again = Comparisons(database).get(challenger, champion)
    assert (again.left_out, again.answered_anew) == (0, 0), "an image keeps its side, so all answers are there"
    assert again.overall.images == again.test_images > 0

    add_images(desk, make_zip({"circle": 20 + NEW, "square": 20 + NEW}, name="more.zip"), settings=settings)
    third = train(dataset_id, 3, settings)
    assert sum(forwards) == first_forwards // 40 * 2 * NEW, "new pictures alone"
    assert reused(catalog, dataset_id) == (39 + 2 * NEW, 39)
    grown = Comparisons(database).get(third, champion)
    assert (grown.dataset_version, grown.champion_version, grown.left_out) == (3, 1, 0)
    assert grown.answered_anew > 0
    assert grown.headline

    assert catalog.resolve_model(dataset_id).model_id == champion, "a retraining promotes nobody"
    assert catalog.default_model().model_id == champion


def reused(catalog, dataset_id):
    """Images of the newest run, and those of them whose features lay there before it."""
    use = catalog.results_for_dataset(dataset_id).features
    return use.images, use.at_hand


def test_an_earlier_version_can_be_trained_on(dataset, settings, database):
    desk = Desk(root=dataset.root, dataset_id=dataset.info.dataset_id, log=VersionLog(database))
    correct_dataset(desk, Corrections(exclude=tuple(item.image_id for item in dataset.items[:10])))
    model = train(dataset.info.dataset_id, 1, settings, dataset_version=1)
    results = Catalog(database).results_for_dataset(dataset.info.dataset_id, version=1)
    assert (results.model_id, results.dataset_version) == (model, 1)
    assert results.split.train + results.split.val + results.split.test == 40


def test_no_image_changes_sides_between_versions(dataset, settings, database, make_zip):
    desk = Desk(root=dataset.root, dataset_id=dataset.info.dataset_id, log=VersionLog(database))
    excluded = tuple(item.image_id for item in dataset.items[::7])
    moved = {dataset.items[1].image_id: "square", dataset.items[-2].image_id: "circle"}
    correct_dataset(desk, Corrections(exclude=excluded, relabel=moved))
    add_images(desk, make_zip({"circle": 30, "square": 30}, name="more.zip"), settings=settings)
    sides = [sides_of(load_dataset(dataset.root, version=version)) for version in (1, 2, 3)]
    for before, after in ((sides[0], sides[1]), (sides[1], sides[2]), (sides[0], sides[2])):
        shared = before.keys() & after.keys()
        assert len(shared) >= 34
        assert {image: before[image] for image in shared} == {image: after[image] for image in shared}


def sides_of(dataset):
    split = stratified_split(dataset, test_size=0.2, seed=42)
    parts = {"train": split.train, "val": split.val, "test": split.test}
    return {dataset.items[place].image_id: name for name, places in parts.items() for place in places}
