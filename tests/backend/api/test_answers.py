"""The images behind a cell of the confusion matrix."""

import pytest

from backend.contracts import TestPrediction, TestPredictions
from backend.storage.answers import ANSWERS_FILE, write_answers

PROBLEM = "application/problem+json"


@pytest.fixture
def answered(client, services, trained):
    """A finished job whose model answered four images; returns its address."""
    dataset_id, job_id, model_id = trained
    ids = [row["image_id"] for row in client.get(f"/api/cv/datasets/{dataset_id}/images?class=circle").json()["images"]]
    told = [("circle", "circle", 0.9), ("circle", "square", 0.6), ("circle", "square", 0.8), ("square", "square", 0.7)]
    images = tuple(
        TestPrediction(image_id=image_id, label=label, predicted=predicted, confidence=confidence)
        for image_id, (label, predicted, confidence) in zip(ids, told, strict=False)
    )
    write_answers(
        services.settings.models_dir / model_id, TestPredictions(class_names=("circle", "square"), images=images)
    )
    return f"/api/cv/jobs/{job_id}/test-predictions"


def test_a_cell_s_images_come_with_the_most_confident_answer_first(client, answered):
    page = client.get(answered, params={"label": "circle", "predicted": "square"}).json()
    assert page["total"] == 2
    assert [image["confidence"] for image in page["images"]] == [0.8, 0.6]
    assert {(image["label"], image["predicted"]) for image in page["images"]} == {("circle", "square")}
    assert client.get(page["images"][0]["url"]).headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("query", "expected"),
    [({}, 4), ({"label": "circle"}, 3), ({"predicted": "square"}, 3), ({"label": "square", "predicted": "circle"}, 0)],
)
def test_truth_and_answer_narrow_the_list_each_alone(client, answered, query, expected):
    page = client.get(answered, params=query).json()
    assert page["total"] == len(page["images"]) == expected


def test_pages_follow_one_another_without_a_gap(client, answered):
    whole = client.get(answered).json()["images"]
    parts = [client.get(answered, params={"offset": offset, "limit": 3}).json() for offset in (0, 3)]
    assert [image for part in parts for image in part["images"]] == whole
    assert [(part["total"], part["offset"], part["limit"]) for part in parts] == [(4, 0, 3), (4, 3, 3)]


@pytest.mark.parametrize("side", ["label", "predicted"])
def test_an_unknown_class_is_refused_with_the_nearest(client, answered, side):
    answer = client.get(answered, params={side: "circel"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert "Did you mean 'circle'?" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=100000", "offset=-1", "offset=x"])
def test_an_impossible_page_is_refused(client, answered, query):
    assert client.get(f"{answered}?{query}").status_code == 422


def test_a_model_from_before_they_were_kept_is_not_found_and_says_what_to_do(client, trained):
    answer = client.get(f"/api/cv/jobs/{trained[1]}/test-predictions")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert "Train again" in answer.json()["detail"]


def test_an_unfinished_job_says_where_it_stands(client, services):
    job_id = services.queue.enqueue("train_images", {}).job_id
    answer = client.get(f"/api/cv/jobs/{job_id}/test-predictions")
    assert answer.status_code == 404
    assert "is queued and has no results yet" in answer.json()["detail"]


def test_a_damaged_file_is_named_and_is_no_server_error(client, services, answered, trained):
    (services.settings.models_dir / trained[2] / ANSWERS_FILE).write_text('{"class_names": 3}')
    answer = client.get(answered)
    assert answer.status_code == 422
    assert f"{ANSWERS_FILE}' is damaged" in answer.json()["detail"]
