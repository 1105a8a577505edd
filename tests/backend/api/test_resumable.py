"""Uploads in pieces, as tus clients send them: what came stays, whatever breaks off."""

import base64
import hashlib
import os
import time

import pytest
from starlette.testclient import TestClient

from backend.api.routes import resumable
from backend.config import Settings
from backend.errors import ConflictError, NotFoundError
from backend.main import HANDLERS
from backend.storage.audit_log import NOBODY_KNOWN
from backend.storage.uploads import UploadStore

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


def told(**texts):
    return ", ".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in texts.items())


@pytest.fixture
def begun(client, shapes_zip):
    headers = {**TUS, "Upload-Length": str(len(shapes_zip)), "Upload-Metadata": told(filename="my shapes.zip")}
    answer = client.post("/api/cv/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    return answer.headers["Location"]


def send(client, place, data, *, offset, **headers):
    return client.patch(place, content=data, headers={**BYTES, "Upload-Offset": str(offset), **headers})


def run_queued_job(services, settings):
    from backend.contracts import RunControl

    job = services.queue.claim("w")
    HANDLERS[job.kind](job, control=RunControl(), settings=settings)
    services.queue.finish(job.job_id, worker_id="w")
    return job


def test_the_server_says_what_it_can_do(client):
    answer = client.options("/api/cv/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) >= {"creation", "termination", "checksum", "expiration"}
    assert answer.headers["Tus-Max-Size"] == str(2**20)


def test_an_upload_in_pieces_becomes_a_dataset(client, begun, shapes_zip, services, settings):
    half = len(shapes_zip) // 2
    first = send(client, begun, shapes_zip[:half], offset=0)
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, str(half))
    assert "Sightglass-Job" not in first.headers
    head = client.head(begun, headers=TUS)
    assert (head.status_code, head.headers["Upload-Offset"]) == (200, str(half))
    assert head.headers["Upload-Length"] == str(len(shapes_zip))
    assert head.headers["Cache-Control"] == "no-store"
    assert head.headers["Upload-Expires"].endswith("GMT")
    last = send(client, begun, shapes_zip[half:], offset=half)
    assert last.headers["Upload-Offset"] == str(len(shapes_zip))
    job = run_queued_job(services, settings)
    assert last.headers["Sightglass-Job"] == job.job_id
    dataset = client.get(f"/api/cv/datasets/{last.headers['Sightglass-Dataset']}").json()
    assert (dataset["name"], dataset["total_images"]) == ("my shapes", 20)
    # the bytes are gone, and whoever asks late still learns that all of them arrived
    assert not list(settings.uploads_dir.glob("*.part"))
    assert client.head(begun, headers=TUS).headers["Sightglass-Job"] == job.job_id
    view = client.get(begun).json()
    assert (view["offset"], view["job_id"]) == (len(shapes_zip), job.job_id)
    assert client.get("/api/cv/uploads").json() == [view]


def test_it_survives_a_restart_of_the_service(client, begun, shapes_zip, settings, make_app):
    send(client, begun, shapes_zip[:1000], offset=0)
    with TestClient(make_app(settings)) as other:
        assert other.head(begun, headers=TUS).headers["Upload-Offset"] == "1000"
        assert send(other, begun, shapes_zip[1000:], offset=1000).headers["Sightglass-Job"]


def test_the_job_is_queued_once_and_by_whoever_asks(client, begun, shapes_zip, services):
    upload_id = begun.rsplit("/", 1)[-1]
    services.uploads.path(upload_id).write_bytes(shapes_zip)  # as if the service had died after the last byte
    jobs = {client.head(begun, headers=TUS).headers["Sightglass-Job"] for _ in range(3)}
    assert len(jobs) == 1
    again = send(client, begun, b"", offset=len(shapes_zip))
    assert {again.headers["Sightglass-Job"]} == jobs
    assert services.queue.counts()["queued"] == 1
    for offset in (0, len(shapes_zip) - 1, len(shapes_zip) + 1):  # tus 1.0: 409 wherever the offset is not the true one
        late = send(client, begun, b"late", offset=offset)
        assert (late.status_code, late.headers["Upload-Offset"]) == (409, str(len(shapes_zip)))
    assert services.queue.counts()["queued"] == 1


def test_a_wrong_offset_is_answered_with_the_true_one(client, begun):
    send(client, begun, b"x" * 10, offset=0)
    for offset in (0, 5, 11):
        answer = send(client, begun, b"y", offset=offset)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "10")
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert client.head(begun, headers=TUS).headers["Upload-Offset"] == "10"


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_is_refused(client, begun, method):
    path = "/api/cv/uploads" if method == "POST" else begun
    for headers in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = client.request(method, path, headers={**headers, "Upload-Length": "5"})
        assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")


@pytest.mark.parametrize("length", ["", "-1", "1e3", "9" * 30, "٣"])
def test_a_length_must_be_a_number(client, length):
    answer = client.post("/api/cv/uploads", headers={**TUS, "Upload-Length": length.encode()})
    assert answer.status_code == 400
    assert "Upload-Length" in answer.json()["detail"]


def test_the_limit_is_said_at_the_beginning(client, settings):
    answer = client.post("/api/cv/uploads", headers={**TUS, "Upload-Length": str(2**20 + 1)})
    assert answer.status_code == 413
    assert "1 MiB" in answer.json()["detail"]
    assert not list(settings.uploads_dir.glob("up-*"))


def test_more_bytes_than_promised_are_refused_and_not_kept(client, begun, shapes_zip):
    answer = send(client, begun, shapes_zip + b"more", offset=0)
    assert answer.status_code == 413
    assert client.head(begun, headers=TUS).headers["Upload-Offset"] == str(len(shapes_zip))


def test_bytes_of_another_type_are_refused(client, begun):
    answer = client.patch(begun, content=b"x", headers={**TUS, "Upload-Offset": "0"})
    assert answer.status_code == 415


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_checksum_is_compared(client, begun, algorithm):
    right = base64.b64encode(hashlib.new(algorithm, b"abc").digest()).decode()
    wrong = send(client, begun, b"abd", offset=0, **{"Upload-Checksum": f"{algorithm} {right}"})
    assert wrong.status_code == 460
    assert client.head(begun, headers=TUS).headers["Upload-Offset"] == "0"
    assert send(client, begun, b"abc", offset=0, **{"Upload-Checksum": f"{algorithm} {right}"}).status_code == 204


@pytest.mark.parametrize("value", ["crc32 AAAA", "sha1 %%%", "sha1"])
def test_a_checksum_that_cannot_be_compared_is_refused(client, begun, value):
    answer = send(client, begun, b"abc", offset=0, **{"Upload-Checksum": value})
    assert answer.status_code in (400, 460)
    assert client.head(begun, headers=TUS).headers["Upload-Offset"] == "0"


def test_an_upload_can_be_given_up(client, begun, settings):
    send(client, begun, b"x" * 10, offset=0)
    assert client.delete(begun, headers=TUS).status_code == 204
    assert client.head(begun, headers=TUS).status_code == 404
    assert send(client, begun, b"x", offset=10).status_code == 404
    assert list(settings.uploads_dir.iterdir()) == []


def test_a_proxy_that_forbids_patch_is_no_obstacle(client, begun):
    headers = {**BYTES, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert client.post(begun, content=b"abc", headers=headers).headers["Upload-Offset"] == "3"
    assert client.post(begun, headers={**TUS, "X-HTTP-Method-Override": "GET"}).status_code == 400
    assert client.post(begun, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204


def test_bytes_may_come_with_the_beginning(client, shapes_zip):
    headers = {**BYTES, "Upload-Length": str(len(shapes_zip)), "Upload-Metadata": told(name="at once")}
    answer = client.post("/api/cv/uploads", content=shapes_zip, headers=headers)
    assert answer.status_code == 201
    assert answer.headers["Upload-Offset"] == str(len(shapes_zip))
    assert answer.headers["Sightglass-Job"]


def test_only_one_may_write(client, begun, services):
    upload = services.uploads.get(begun.rsplit("/", 1)[-1])
    with services.uploads.writer(upload):
        assert send(client, begun, b"x", offset=0).status_code == 423
        assert client.delete(begun, headers=TUS).status_code == 423
    assert send(client, begun, b"x", offset=0).status_code == 204


def test_who_read_an_upload_before_it_was_finished_leaves_nothing_behind(client, begun, shapes_zip, services, settings):
    """HEAD reads that all bytes are there; before it queues the job, another request has, and the job has run."""
    stale = services.uploads.get(begun.rsplit("/", 1)[-1])
    assert send(client, begun, shapes_zip, offset=0).status_code == 204
    run_queued_job(services, settings)
    with pytest.raises(ConflictError, match="is complete"), services.uploads.writer(stale):
        raise AssertionError("unreachable: there is nothing to write to")
    assert client.head(begun, headers=TUS).headers["Upload-Offset"] == str(stale.length)
    services.uploads.remove(stale.upload_id)
    with pytest.raises(NotFoundError), services.uploads.writer(stale):
        raise AssertionError("unreachable: there is nothing to write to")
    assert not list(settings.uploads_dir.glob("*.part"))


def test_two_requests_that_find_an_upload_whole_queue_one_job(client, begun, shapes_zip, services):
    """The second reads the upload before the first has written down its job, and comes to finish it afterwards."""
    stale = services.uploads.get(begun.rsplit("/", 1)[-1])
    assert send(client, begun, shapes_zip, offset=0).status_code == 204
    services.uploads.take_bytes(stale.upload_id)  # the job has read them already
    done = resumable._finish(stale, services, NOBODY_KNOWN)
    assert done.job_id
    assert len(services.queue.list()) == 1
    assert client.head(begun, headers=TUS).headers["Upload-Offset"] == str(stale.length)


def test_what_was_abandoned_goes(settings, services):
    store = UploadStore(settings.uploads_dir, expire_h=2)
    old, new = (store.create(10, filename="", name="x") for _ in range(2))
    then = time.time() - 3 * 3600
    for path in settings.uploads_dir.glob(f"{old.upload_id}.*"):
        os.utime(path, (then, then))
    assert store.remove_expired() == 1
    assert [path.stem for path in settings.uploads_dir.glob("*.json")] == [new.upload_id]


def test_an_archive_that_is_none_fails_the_job_and_leaves_no_bytes(client, services, settings):
    headers = {**BYTES, "Upload-Length": "5"}
    assert client.post("/api/cv/uploads", content=b"hello", headers=headers).status_code == 201
    with pytest.raises(Exception, match="not a ZIP"):
        run_queued_job(services, settings)
    assert not list(settings.uploads_dir.glob("*.part"))
    assert list(settings.datasets_dir.iterdir()) == []


def test_a_key_is_asked_for_before_anything_is_written(make_app, tmp_path):
    settings = Settings(data_dir=tmp_path / "data", api_keys="secret", offline=True)
    with TestClient(make_app(settings)) as client:
        assert client.post("/api/cv/uploads", headers={**TUS, "Upload-Length": "5"}).status_code == 401
        assert not list(settings.uploads_dir.iterdir())


def test_an_upload_in_one_piece_never_touches_the_system_s_temporary_folder(client, shapes_zip, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    answer = client.post("/api/cv/upload", files={"file": ("s.tar", shapes_zip)})
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "s"
    assert list((tmp_path / "data" / "uploads").iterdir()) == []
