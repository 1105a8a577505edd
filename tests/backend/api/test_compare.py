"""Champion and challenger through HTTP: stored answers, a job on demand, and who answers `/predict` meanwhile."""

import pytest
from service_fakes import model_info, results_record

from backend.contracts import HeadToHead, ModelComparison, TestPredictions
from backend.storage.answers import write_answers


@pytest.fixture
def two_models(services, trained):
    """The dataset's first model and one that was trained after it; returns (champion, challenger)."""
    dataset_id, _, first = trained
    job = services.queue.enqueue("train_images", {"dataset_id": dataset_id}, dataset_id=dataset_id)
    outcome = results_record(job.job_id, dataset_id=dataset_id, model_id="md-2")
    services.catalog.publish(outcome, model_info("md-2", dataset_id=dataset_id, job_id=job.job_id))
    for model_id in (first, "md-2"):
        folder = services.settings.models_dir / model_id
        folder.mkdir(parents=True)
        write_answers(folder, TestPredictions(class_names=("circle", "square"), images=()))
    return first, "md-2"


@pytest.fixture
def compared(services, two_models, dataset_id):
    champion, challenger = two_models
    overall = HeadToHead(
        images=9,
        champion_right=7,
        challenger_right=8,
        only_champion=1,
        only_challenger=2,
        p_value=1.0,
        verdict="unsure",
    )
    services.comparisons.put(
        ModelComparison(
            challenger_id=challenger,
            champion_id=champion,
            challenger_name="a",
            champion_name="b",
            dataset_id=dataset_id,
            dataset_version=2,
            champion_dataset_id=dataset_id,
            champion_version=1,
            overall=overall,
            classes=(),
            test_images=9,
            left_out=0,
            headline="About the same.",
            by_class="No class tells them apart.",
        )
    )
    return two_models


def test_a_stored_comparison_is_answered_with_and_without_the_champion_s_name(client, compared):
    champion, challenger = compared
    address = f"/api/cv/models/{challenger}/compare"
    named = client.get(address, params={"with": champion})
    assert (named.status_code, named.json()["headline"]) == (200, "About the same.")
    assert client.get(address).json() == named.json()


def test_what_was_not_compared_says_how_and_a_job_does_it(client, services, two_models):
    champion, challenger = two_models
    address = f"/api/cv/models/{challenger}/compare"
    missing = client.get(address)
    assert missing.status_code == 404
    assert f"POST {address}?with={champion}" in missing.json()["detail"]
    queued = client.post(address)
    assert (queued.status_code, queued.json()["kind"]) == (202, "compare_models")
    assert services.queue.get(queued.json()["job_id"]).payload == {"challenger": challenger, "champion": champion}


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("md-2/compare?with=md-2", 422, "with itself"),
        ("md-2/compare?with=nobody", 404, "no model 'nobody'"),
        ("md-2/compare?with=No%20Id!", 404, "There is no model"),
        ("nobody/compare?with=md-1", 404, "no model 'nobody'"),
        ("md-1/compare", 404, "only model of its dataset"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_cannot_be_compared_is_refused(client, two_models, method, query, status, said):
    answer = client.request(method, f"/api/cv/models/{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]


def test_a_model_without_answers_to_its_test_is_refused_before_a_job_is_queued(client, services, two_models):
    (services.settings.models_dir / "md-1" / "test_predictions.json").unlink()
    answer = client.post("/api/cv/models/md-2/compare")
    assert answer.status_code == 404
    assert "md-1" in answer.json()["detail"]


def test_a_new_model_does_not_take_a_promoted_one_s_place(client, services, two_models, dataset_id):
    champion, challenger = two_models
    assert services.catalog.resolve_model(dataset_id).model_id == challenger, "nobody is promoted: the newest answers"
    client.post(f"/api/cv/models/{champion}/promote")
    assert services.catalog.resolve_model(dataset_id).model_id == champion
    assert services.catalog.default_model().model_id == champion
    client.post(f"/api/cv/models/{challenger}/promote")
    assert services.catalog.resolve_model(dataset_id).model_id == challenger
