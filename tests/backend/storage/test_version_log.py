import threading

import pytest
from service_fakes import dataset_info

from backend.contracts import VersionChange
from backend.errors import NotFoundError, VersionConflict
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.version_log import VersionLog


@pytest.fixture
def log(database, catalog):
    catalog.add_dataset(dataset_info())
    return VersionLog(database)


def step(version, *, base=None, **changes):
    change = VersionChange(
        dataset_id="ds-1",
        version=version,
        base_version=version - 1 if base is None else base,
        kind="corrections",
        total_images=4,
        num_classes=2,
        **changes,
    )
    return dataset_info(version=version, name=f"shapes {version}"), change


def test_a_dataset_that_was_never_changed_has_its_first_version(log):
    [first] = log.history("ds-1")
    assert (first.version, first.kind, first.added, first.base_version) == (1, "upload", 4, None)


def test_a_version_becomes_the_newest_and_the_first_stays_known(log, catalog):
    placed = []
    log.commit(*step(2, author="ada"), place=lambda: placed.append("files"))
    assert placed == ["files"]
    assert catalog.dataset("ds-1").version == 2
    assert [(change.version, change.author) for change in log.history("ds-1")] == [(1, ""), (2, "ada")]
    assert log.describe("ds-1").name == "shapes 2"
    assert log.describe("ds-1", 1).name == "shapes"


def test_a_change_of_a_version_that_is_not_the_newest_is_refused_with_the_true_one(log):
    log.commit(*step(2), place=lambda: None)
    with pytest.raises(VersionConflict, match="at version 2 and no longer at 1") as refused:
        log.commit(*step(2), place=lambda: pytest.fail("files must stay where they are"))
    assert refused.value.version == 2
    assert len(log.history("ds-1")) == 2


def test_where_the_files_cannot_be_placed_nothing_has_changed(log, catalog):
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        log.commit(*step(2), place=fail)
    assert catalog.dataset("ds-1").version == 1
    assert len(log.history("ds-1")) == 1


def test_of_several_at_once_one_wins(log, database):
    start, outcomes = threading.Barrier(4), []

    def attempt():
        own = Database(str(database.url))
        start.wait()
        try:
            VersionLog(own).commit(*step(2), place=lambda: outcomes.append("placed"))
        except VersionConflict as error:
            outcomes.append(error.version)
        finally:
            own.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["2", "2", "2", "placed"]


@pytest.mark.parametrize("version", [0, -1, 3, 10**30])
def test_a_version_that_is_not_there_is_not_found(log, version):
    log.commit(*step(2), place=lambda: None)
    with pytest.raises(NotFoundError, match="is at version 2"):
        log.describe("ds-1", version)


def test_a_deleted_dataset_takes_its_history_along(log, catalog):
    log.commit(*step(2), place=lambda: None)
    catalog.delete_dataset("ds-1")
    with pytest.raises(NotFoundError):
        log.history("ds-1")
    with pytest.raises(NotFoundError):
        log.commit(*step(3), place=lambda: pytest.fail("there is nothing to place"))
    catalog.add_dataset(dataset_info())
    assert len(log.history("ds-1")) == 1


def test_every_process_sees_the_same(log, database):
    log.commit(*step(2), place=lambda: None)
    other = Database(str(database.url))
    assert Catalog(other).dataset("ds-1").version == 2
    assert len(VersionLog(other).history("ds-1")) == 2
    other.close()
