import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.errors import UnavailableError


@pytest.fixture
def scrape(client):
    """The figures of this moment: (name, labels) -> value."""

    def ask():
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    return ask


def requests(figures, **labels):
    return figures.get(("sightglass_http_requests_total", tuple(sorted(labels.items()))), 0)


def test_requests_are_counted_by_the_template_of_their_route(client, scrape):
    labels = {"method": "GET", "route": "/api/cv/jobs/{job_id}", "status": "404"}
    before = requests(scrape(), **labels)
    for number in range(3):
        client.get(f"/api/cv/jobs/job-{number}")
    assert requests(scrape(), **labels) == before + 3


def test_what_callers_make_up_adds_no_series(client, scrape):
    scrape()
    client.get("/nowhere/0")
    client.request("BREW", "/nowhere")
    known = set(scrape())
    for number in range(5):
        client.get(f"/nowhere/{number}")
        client.get(f"/api/cv/nothing/{number}")
        client.request(f"BREW{number}", "/nowhere")
        client.get(f"/api/cv/jobs/job-{number}")
    new = set(scrape()) - known
    assert {dict(labels).get("route") for _, labels in new} <= {"/api/cv/jobs/{job_id}", "/metrics"}
    assert not any(str(number) in str(dict(labels).get("route")) for _, labels in new for number in range(5))


def test_a_bug_of_ours_is_counted_as_500(client, services, scrape, monkeypatch):
    labels = {"method": "GET", "route": "/api/cv/datasets", "status": "500"}
    before = requests(scrape(), **labels)
    monkeypatch.setattr(services.catalog, "datasets", lambda: 1 / 0)
    assert client.get("/api/cv/datasets").status_code == 500
    assert requests(scrape(), **labels) == before + 1


def test_jobs_are_counted_in_each_state_when_somebody_asks(services, scrape):
    for _ in range(3):
        services.queue.enqueue("train_images", {})
    services.queue.claim("w")
    jobs = {labels[0][1]: value for (name, labels), value in scrape().items() if name == "sightglass_jobs"}
    assert jobs == {"queued": 2, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 0}


def test_uploads_are_counted_in_bytes(client, scrape, shapes_zip):
    before = scrape()[("sightglass_upload_bytes_total", ())]
    client.post("/api/cv/upload", files={"file": ("shapes.zip", shapes_zip)})
    assert scrape()[("sightglass_upload_bytes_total", ())] >= before + len(shapes_zip)


def test_memory_build_and_worker_stand_there(services, scrape):
    services.presence.sign("w1")
    figures = scrape()
    assert figures[("sightglass_process_resident_memory_bytes", ())] > 2**20
    assert figures[("sightglass_inference_resident_memory_bytes", ())] > 2**20, "the fake pool is this process"
    assert services.pool.process_ids() == [os.getpid()]
    assert [value for (name, _), value in figures.items() if name == "sightglass_build_info"] == [1]
    assert 0 <= figures[("sightglass_worker_silence_seconds", ())] < 60


def test_a_database_that_does_not_answer_is_a_figure_and_no_error(services, scrape, monkeypatch):
    assert scrape()[("sightglass_database_up", ())] == 1

    def fail():
        raise UnavailableError("The database does not answer now.")

    monkeypatch.setattr(services.queue, "census", fail)
    assert scrape()[("sightglass_database_up", ())] == 0


def test_refusals_at_the_door_are_counted_by_their_reason(client, scrape):
    name = ("sightglass_refused_requests_total", (("reason", "host"),))
    before = scrape().get(name, 0)
    client.get("/health", headers={"Host": "evil.example"})
    assert scrape()[name] == before + 1
