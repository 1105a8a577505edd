"""Two machines with one database and one object storage: what one publishes the other has, whole or not at all."""

import contextlib
import dataclasses
import threading
import time

import pytest

from backend.contracts import RunControl
from backend.errors import JobCancelled, NotFoundError, UnavailableError
from backend.storage import objects, packs, patience, working_copy
from backend.storage.bucket import Bucket
from backend.storage.commits import CommitLog
from backend.storage.objects import StoredFolders
from tests.waiting import slowness


class Machine:
    """A data folder of its own, beside the others' database and storage."""

    def __init__(self, data_dir, database, url):
        self.data_dir = data_dir
        self.folders = StoredFolders(data_dir, Bucket(url), CommitLog(database))
        self.dataset = data_dir / "datasets" / "ds-1"

    def write(self, files):
        for path, content in files.items():
            target = self.dataset / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def files(self):
        return {
            path.relative_to(self.dataset).as_posix(): path.read_bytes()
            for path in self.dataset.rglob("*")
            if path.is_file() and ".stored" not in path.parts
        }


FIRST = {
    "dataset.json": b'{"version": 1}',
    "items.jsonl": b"{}\n" * 5,
    **{f"images/{n}.png": bytes([n]) * (10 + n) for n in range(5)},
}


@pytest.fixture
def machines(tmp_path, database, storage_url):
    one, other = (Machine(tmp_path / name, database, storage_url) for name in ("one", "other"))
    one.write(FIRST)
    return one, other


def test_what_one_machine_publishes_another_fetches(machines):
    one, other = machines
    one.folders.publish(one.dataset)
    assert other.folders.fetch(other.dataset) == other.dataset
    assert other.files() == FIRST == one.files()


def test_nobody_sees_what_was_not_published(machines):
    _, other = machines
    other.folders.fetch(other.dataset)
    assert not other.dataset.exists()


def test_a_folder_of_images_takes_few_requests(machines, object_storage, storage_url):
    one, other = machines
    one.write({f"images/more-{n}.png": b"%d" % n for n in range(500)})
    one.folders.publish(one.dataset)
    assert len(object_storage.keys(storage_url)) == 3  # a pack of images, a pack of the rest, the commit
    object_storage.requests.clear()
    other.folders.fetch(other.dataset)
    assert len(other.files()) == 507
    assert len([one for one in object_storage.requests if one[0] == "GET"]) <= 4
    object_storage.requests.clear()
    other.folders.fetch(other.dataset)
    one.folders.publish(one.dataset)
    assert object_storage.requests == []


def test_only_what_is_new_travels(machines, object_storage, storage_url):
    one, other = machines
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    before = set(object_storage.keys(storage_url))
    one.write({"versions/2/dataset.json": b"2", "versions/2/images/9.png": b"9", "insights.json": b"seen"})
    one.folders.publish(one.dataset)
    new = set(object_storage.keys(storage_url)) - before
    assert sum(len(object_storage.read(storage_url, key)) for key in new if "/packs/" in key) == len(b"29seen")
    object_storage.requests.clear()
    other.folders.fetch(other.dataset)
    assert other.files() == one.files()
    assert not any(path.split("/", 2)[2] in before for _, path in object_storage.requests)


def test_a_file_that_changed_is_replaced_even_if_as_long_as_before(machines):
    one, other = machines
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    one.write({"dataset.json": b'{"version": 2}'})
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    assert other.files()["dataset.json"] == b'{"version": 2}'


def test_a_file_that_is_replaced_while_it_is_published_arrives_as_it_was_before_or_after(machines, monkeypatch):
    one, other = machines
    one.folders.publish(one.dataset)
    one.write({"dataset.json": b'{"version": 2}'})
    listed = objects.files_of

    def listed_and_then_replaced(folder):
        found = listed(folder)
        one.write({"dataset.json": b'{"version": 3, "longer": true}'})
        return found

    monkeypatch.setattr(objects, "files_of", listed_and_then_replaced)
    monkeypatch.setattr(Bucket, "put_file", lambda *_: pytest.fail("read a second time, after its digest was taken"))
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    assert other.files()["dataset.json"] == b'{"version": 3, "longer": true}'


def test_a_file_that_vanishes_while_a_folder_is_listed_is_not_published(machines, monkeypatch):
    one, other = machines
    one.write({"old.json": b"1"})
    looked = working_copy.status_of

    def gone_and_looked(path):
        if path.name == "old.json":
            path.unlink()
        return looked(path)

    monkeypatch.setattr(working_copy, "status_of", gone_and_looked)
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST


def test_two_machines_that_publish_at_once_lose_nothing(machines):
    one, other = machines
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    one.write({"insights.json": b"by one"})
    other.write({"quality.json": b"by other"})
    threads = [threading.Thread(target=m.folders.publish, args=(m.dataset,)) for m in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for machine in machines:
        machine.folders.fetch(machine.dataset)
    assert one.files() == other.files() == {**FIRST, "insights.json": b"by one", "quality.json": b"by other"}


def test_lists_come_without_the_images_and_an_image_alone(machines, object_storage):
    one, other = machines
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset, bulk=False)
    assert set(other.files()) == {"dataset.json", "items.jsonl"}
    assert other.folders.fetch_file(other.dataset, "images/3.png").read_bytes() == FIRST["images/3.png"]
    assert not other.folders.fetch_file(other.dataset, "images/none.png").exists()
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST
    object_storage.requests.clear()
    assert other.folders.fetch_file(other.dataset, "images/4.png").is_file()
    assert object_storage.requests == []


def test_a_large_file_travels_on_its_own(machines, monkeypatch):
    one, other = machines
    monkeypatch.setattr(packs, "PACK_BYTES", 1000)
    monkeypatch.setattr(objects, "SMALL_BYTES", 1000)
    one.write({"model.pth": bytes(range(256)) * 40, **{f"images/{n:03}.png": b"x" * 300 for n in range(20)}})
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    assert other.files() == one.files()


def test_a_storage_that_is_down_is_said_and_leaves_nothing_visible(machines, object_storage):
    one, other = machines
    object_storage.pause()
    try:
        began = time.monotonic()
        for action in (one.folders.publish, other.folders.check):
            with pytest.raises(UnavailableError, match="object storage s3://sightglass-tests") as caught:
                action(*([one.dataset] if action == one.folders.publish else []))
            assert "s3cr3t" not in caught.value.detail
        assert time.monotonic() - began < 30 * slowness()
    finally:
        object_storage.resume()
    other.folders.fetch(other.dataset)
    assert not other.dataset.exists()
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST


def test_a_fetch_that_breaks_off_leaves_nothing_half(machines, monkeypatch):
    one, other = machines
    monkeypatch.setattr(packs, "PACK_BYTES", 20)
    one.folders.publish(one.dataset)
    seen = []
    get = Bucket.get_file

    def break_off(self, key, target):
        seen.append(key)
        if len(seen) == 3:
            raise UnavailableError("gone")
        get(self, key, target)

    monkeypatch.setattr(Bucket, "get_file", break_off)
    with pytest.raises(UnavailableError, match="gone"):
        other.folders.fetch(other.dataset)
    assert not other.dataset.exists()
    assert list(other.dataset.parent.iterdir()) == []
    monkeypatch.setattr(Bucket, "get_file", get)
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST


def test_damaged_objects_are_found(machines, object_storage, storage_url):
    one, other = machines
    one.folders.publish(one.dataset)
    for key in object_storage.keys(storage_url):
        if "/packs/" in key:
            data = object_storage.read(storage_url, key)
            object_storage.overwrite(storage_url, key, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UnavailableError, match="otherwise than it was stored"):
        other.folders.fetch(other.dataset)
    with pytest.raises(UnavailableError, match="otherwise than it was stored"):
        other.folders.fetch_file(other.dataset, "images/4.png")
    assert not other.dataset.exists()


def test_a_commit_cannot_write_outside_of_its_folder(machines, object_storage, storage_url):
    one, other = machines
    one.folders.publish(one.dataset)
    (key,) = (key for key in object_storage.keys(storage_url) if "/commits/" in key)
    commit = packs.decode(object_storage.read(storage_url, key), tree="datasets/ds-1")
    file = commit.packs[0].files[0]._replace(path="../../evil")
    pack = dataclasses.replace(commit.packs[0], files=(file,))
    object_storage.overwrite(storage_url, key, packs.encode(dataclasses.replace(commit, packs=(pack,))))
    with pytest.raises(UnavailableError, match="not what was stored"):
        other.folders.fetch(other.dataset)


def test_staged_files_appear_with_the_row_that_needs_them(machines, database, tmp_path):
    one, other = machines
    one.folders.publish(one.dataset)
    staging = tmp_path / "one" / "staging"
    (staging / "images").mkdir(parents=True)
    (staging / "dataset.json").write_bytes(b"2")
    (staging / "images" / "9.png").write_bytes(b"nine")
    reveal = one.folders.stage(staging, one.dataset, at="versions/2")
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST
    with contextlib.suppress(RuntimeError), database.writing() as connection:
        reveal(connection)
        raise RuntimeError("the row was refused")
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST
    with database.writing() as connection:
        reveal(connection)
    other.folders.fetch(other.dataset)
    new = {"versions/2/dataset.json": b"2", "versions/2/images/9.png": b"nine"}
    assert other.files() == {**FIRST, **new}


def test_removing_takes_the_objects_and_the_other_working_copies(machines, object_storage, storage_url):
    one, other = machines
    one.folders.publish(one.dataset)
    other.folders.fetch(other.dataset)
    one.folders.remove(one.dataset)
    assert object_storage.keys(storage_url) == []
    assert not one.dataset.exists()
    other.folders.clear_removed()
    assert not other.dataset.exists()


def test_what_the_storage_could_not_be_told_is_made_up_for(machines, object_storage, storage_url):
    one, other = machines
    one.folders.publish(one.dataset)
    object_storage.pause()
    try:
        one.folders.remove(one.dataset)
    finally:
        object_storage.resume()
    other.folders.fetch(other.dataset)
    assert not other.dataset.exists()
    assert object_storage.keys(storage_url) != []
    other.folders.clear_removed()
    assert object_storage.keys(storage_url) == []


def test_a_job_waits_for_a_storage_that_is_away(machines, object_storage):
    one, other = machines
    object_storage.pause()
    said = []

    def hear(progress):
        said.append(progress.message)
        object_storage.resume()

    one.folders.publish(one.dataset, control=RunControl(report=hear))
    assert len(said) == 1
    assert "does not answer" in said[0]
    other.folders.fetch(other.dataset)
    assert other.files() == FIRST


def test_a_job_that_waits_can_be_cancelled(machines, monkeypatch):
    one, _ = machines
    monkeypatch.setattr(Bucket, "put_bytes", refuse)
    with pytest.raises(JobCancelled):
        one.folders.publish(one.dataset, control=RunControl(cancelled=lambda: True))


def test_a_job_does_not_wait_for_ever(machines, monkeypatch):
    one, _ = machines
    monkeypatch.setattr(Bucket, "put_bytes", refuse)
    monkeypatch.setattr(patience, "PATIENCE_S", 0.0)
    with pytest.raises(UnavailableError, match="away"):
        one.folders.publish(one.dataset, control=RunControl())


def refuse(*_):
    raise UnavailableError("away")


def test_objects_that_are_gone_are_named(machines, object_storage, storage_url):
    one, other = machines
    one.folders.publish(one.dataset)
    Bucket(storage_url).remove("datasets")
    with pytest.raises(NotFoundError, match="datasets/ds-1/commits"):
        other.folders.fetch(other.dataset)
