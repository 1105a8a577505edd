"""The short way of a prediction answers as the framework's way does, and leaves to it whatever is not ordinary."""

import pytest
from service_fakes import model_info, results_record

from backend.api import quick_image
from backend.errors import BusyError
from backend.execution.answer_line import CallerGone

PROBLEM = "application/problem+json"


@pytest.fixture
def model_id(services, dataset_id):
    services.catalog.publish(results_record(dataset_id=dataset_id), model_info(dataset_id=dataset_id))
    return "md-1"


@pytest.fixture
def forms(monkeypatch):
    """How many forms were taken apart the short way."""
    taken = []
    real = quick_image.only_file

    def counted(body, boundary):
        found = real(body, boundary)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(quick_image, "only_file", counted)
    return taken


@pytest.mark.parametrize("path", ["/predict", "/api/cv/predict/md-1", "/api/cv/predict/md-1?top_k=1&explain=false"])
def test_both_ways_give_the_same_answer(client, model_id, png, forms, path):
    short = client.post(path, files={"file": ("a.png", png, "image/png")})
    long = client.post(path, files={"file": ("a.png", png, "image/png")}, data={"note": "more than a file"})
    assert forms == [True, False]
    assert short.status_code == long.status_code == 200
    assert short.json() == long.json()
    assert short.headers["content-type"] == long.headers["content-type"] == "application/json"


@pytest.mark.parametrize("query", ["explain=true", "top_k=1&other=2", "top_k=01001", "explain=0", "top_k=+3"])
def test_an_unusual_query_goes_the_framework_s_way(client, model_id, png, forms, query):
    client.post(f"/api/cv/predict/{model_id}?{query}", files={"file": ("a.png", png)})
    assert forms == []


def test_a_large_picture_goes_the_framework_s_way(client, model_id, png, forms):
    answer = client.post("/predict", files={"file": ("a.png", png + b"\0" * 2**20)})
    assert answer.status_code in (200, 413)
    assert forms == []


@pytest.mark.usefixtures("model_id")
@pytest.mark.parametrize("more", [{}, {"note": "x"}], ids=["short", "long"])
@pytest.mark.parametrize("path", ["/predict", "/api/cv/predict/md-1"])
def test_a_full_queue_is_a_503_that_says_when_to_come_again(client, services, png, monkeypatch, path, more):
    async def full(*_, **__):
        raise BusyError("256 pictures wait.", retry_after_s=7)

    monkeypatch.setattr(services.pool, "ask", full)
    answer = client.post(path, files={"file": ("a.png", png)}, data=more)
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["detail"] == "256 pictures wait."


def test_it_is_refused_before_its_body_is_read(client, services, model_id, forms, png, monkeypatch):
    def full():
        raise BusyError("full", retry_after_s=1)

    monkeypatch.setattr(services.pool, "check_room", full)
    assert client.post("/predict", files={"file": ("a.png", png)}).status_code == 503
    assert forms == []


def test_who_has_hung_up_is_no_failure(client, services, model_id, png, monkeypatch):
    async def gone(*_, **__):
        raise CallerGone

    monkeypatch.setattr(services.pool, "ask", gone)
    assert client.post("/predict", files={"file": ("a.png", png)}).status_code == quick_image.CALLER_GONE


def test_an_id_that_cannot_be_is_not_looked_up(client, model_id, png):
    assert client.post("/api/cv/predict/NO", files={"file": ("a.png", png)}).status_code == 404
