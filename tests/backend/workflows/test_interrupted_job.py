"""A training job and what may befall it from outside: a full disk, a kill after publishing, a dataset that went away."""

import errno
import shutil

import pytest

from backend.contracts import Job, RunControl
from backend.data.manifest import load_dataset
from backend.data.pictures import where
from backend.errors import DatasetError, DiskFullError, JobCancelled, NotFoundError
from backend.search import compare as compare_module
from backend.storage import files, flush
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.journal import FileJournal
from backend.workflows import train_images
from backend.workflows.import_dataset import import_dataset
from backend.workflows.train_images import model_id_of, run_job

JOB_ID = "job-0123456789"


@pytest.fixture
def catalog(settings):
    database = Database(settings.resolved_database_url)
    database.migrate()
    yield Catalog(database)
    database.close()


@pytest.fixture
def dataset(make_zip, settings, catalog):
    with make_zip({"circle": 12, "square": 12}).open("rb") as upload:
        return load_dataset(import_dataset(upload, name="drawn", settings=settings, catalog=catalog).root)


@pytest.fixture
def run(dataset, settings):
    payload = {"dataset_id": dataset.info.dataset_id, "models": ["timm:test_efficientnet"], "strategy": "probe"}
    job = Job(job_id=JOB_ID, kind="train_images", dataset_id=dataset.info.dataset_id, payload=payload)

    def run(**control):
        run_job(job, control=RunControl(**control), settings=settings)

    return run


def visible(folder):
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


class Disk:
    """A disk that is full from its n-th flush on."""

    def __init__(self, monkeypatch):
        self.room, self.flushed = None, 0
        sync = flush.flush_file

        def flush_file(path):
            self.flushed += 1
            if self.room is not None and self.flushed > self.room:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            sync(path)

        for room in (files, flush):
            monkeypatch.setattr(room, "flush_file", flush_file)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.95])
def test_a_full_disk_fails_the_job_in_plain_words_and_leaves_nothing(share, run, settings, catalog, monkeypatch):
    disk = Disk(monkeypatch)
    run()
    everything = disk.flushed
    assert everything > 10
    for folder in (settings.models_dir, settings.cache_dir):
        shutil.rmtree(folder)
    monkeypatch.setattr(Catalog, "published", lambda *_: False)
    disk.flushed, disk.room = 0, int(share * everything)
    with pytest.raises(DiskFullError, match="Free some space"):
        run()
    assert visible(settings.models_dir) == []
    assert visible(settings.jobs_dir) == []
    assert not list(settings.data_dir.rglob(f"{files.TEMPORARY_PREFIX}*"))
    disk.room = None
    run()
    assert visible(settings.models_dir) == [model_id_of(JOB_ID)]
    assert len(catalog.models()) == 1


def test_a_job_that_had_published_before_it_was_killed_only_says_so(run, settings, catalog, monkeypatch):
    class Killed(BaseException):
        pass

    remove = FileJournal.remove

    def kill(_journal):
        raise Killed

    monkeypatch.setattr(FileJournal, "remove", kill)
    with pytest.raises(Killed):
        run()
    assert visible(settings.jobs_dir) == [JOB_ID]
    before = (settings.models_dir / model_id_of(JOB_ID) / "model.json").stat()
    monkeypatch.setattr(FileJournal, "remove", remove)
    monkeypatch.setattr(compare_module, "compare", lambda *_, **__: pytest.fail("trained again"))
    run()
    after = (settings.models_dir / model_id_of(JOB_ID) / "model.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert visible(settings.jobs_dir) == []
    assert len(catalog.models()) == 1


def test_a_cancelled_job_leaves_its_notes_to_be_swept_for_another_may_be_at_work_on_them(run, settings):
    with pytest.raises(JobCancelled):
        run(cancelled=lambda: True)
    assert visible(settings.jobs_dir) == [JOB_ID]
    assert train_images.remove_old_journals(settings) == 1  # no row of that name is left
    assert visible(settings.jobs_dir) == []


def test_a_dataset_that_went_away_is_said_with_what_to_do(run, dataset, settings, catalog):
    for item in dataset.items:
        (dataset.root / where(item.path).file).unlink(missing_ok=True)
    with pytest.raises(DatasetError, match="can no longer be read"):
        run()
    shutil.rmtree(settings.datasets_dir / dataset.info.dataset_id)
    with pytest.raises(NotFoundError, match="upload it again"):
        run()
    assert visible(settings.jobs_dir) == []
    assert visible(settings.models_dir) == []
