from datetime import UTC, datetime

import pytest
from service_fakes import dataset_info, model_info, results_record
from sqlalchemy import insert, text, update

from backend.contracts import utc_now
from backend.errors import ConflictError, NotFoundError
from backend.storage.tables import jobs


def add_job(database, job_id, *, state, dataset_id="ds-1", error=None):
    row = {
        "job_id": job_id,
        "kind": "train_images",
        "dataset_id": dataset_id,
        "state": state,
        "progress": 0.0,
        "stage": state,
        "message": "",
        "candidates": "[]",
        "payload": "{}",
        "attempts": 0,
        "cancel_requested": False,
        "error": error,
        "created_at": utc_now(),
    }
    with database.writing() as connection:
        connection.execute(insert(jobs).values(**row))


def test_a_dataset_comes_back_as_it_went_in(catalog):
    info = dataset_info(name="größe 10", warnings=("few",))
    catalog.add_dataset(info)
    assert catalog.dataset("ds-1") == info


def test_datasets_are_listed_newest_first(catalog):
    for day, dataset_id in ((1, "ds-old"), (3, "ds-new"), (2, "ds-mid")):
        catalog.add_dataset(dataset_info(dataset_id, created_at=datetime(2026, 1, day, tzinfo=UTC)))
    assert [info.dataset_id for info in catalog.datasets()] == ["ds-new", "ds-mid", "ds-old"]


def test_adding_a_dataset_again_replaces_it(catalog):
    catalog.add_dataset(dataset_info())
    catalog.add_dataset(dataset_info(name="renamed"))
    assert [info.name for info in catalog.datasets()] == ["renamed"]


@pytest.mark.parametrize("method", ["dataset", "delete_dataset", "results_for_dataset", "resolve_model"])
def test_an_unknown_dataset_is_named_with_the_next_step(catalog, method):
    with pytest.raises(NotFoundError, match=r"ds-none.*GET /api/cv/datasets"):
        getattr(catalog, method)("ds-none")


def test_a_dataset_in_use_cannot_be_deleted(catalog, database):
    catalog.add_dataset(dataset_info())
    add_job(database, "job-1", state="queued")
    with pytest.raises(ConflictError, match="job-1"):
        catalog.delete_dataset("ds-1")
    assert catalog.dataset("ds-1")


def test_deleting_a_dataset_keeps_the_models_trained_on_it(catalog, database):
    catalog.add_dataset(dataset_info())
    add_job(database, "job-1", state="succeeded")
    catalog.publish(results_record(), model_info())
    catalog.delete_dataset("ds-1")
    with pytest.raises(NotFoundError):
        catalog.dataset("ds-1")
    assert catalog.model("md-1").model_id == "md-1"
    assert catalog.results_for_job("job-1").model_id == "md-1"


def test_published_results_are_found_by_job_and_by_dataset(catalog):
    catalog.publish(results_record(), model_info())
    catalog.publish(results_record("job-2", model_id="md-2"), model_info("md-2", job_id="job-2"))
    assert catalog.results_for_job("job-1") == results_record()
    assert catalog.results_for_dataset("ds-1").job_id == "job-2"
    assert [model.model_id for model in catalog.models()] == ["md-2", "md-1"]


def test_publishing_a_job_again_leaves_one_result_and_one_model(catalog):
    catalog.publish(results_record(), model_info())
    catalog.publish(results_record(model_id="md-again"), model_info("md-again"))
    assert catalog.results_for_job("job-1").model_id == "md-again"
    assert [model.model_id for model in catalog.models()] == ["md-again"]


def test_a_failed_publication_leaves_nothing(catalog, database):
    with database.writing() as connection:
        connection.execute(text("DROP TABLE results"))
    with pytest.raises(Exception, match="results"):
        catalog.publish(results_record(), model_info())
    assert catalog.models() == []


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ("queued", None, "is queued"),
        ("running", None, "is running"),
        ("failed", "no pictures", "failed and has no results: no pictures"),
        ("cancelled", None, "was cancelled"),
    ],
)
def test_missing_results_say_where_the_job_stands(catalog, database, state, error, said):
    add_job(database, "job-1", state=state, error=error)
    with pytest.raises(NotFoundError, match=said):
        catalog.results_for_job("job-1")


def test_missing_results_of_a_dataset_name_the_job_on_its_way(catalog, database):
    catalog.add_dataset(dataset_info())
    with pytest.raises(NotFoundError, match="train/start"):
        catalog.results_for_dataset("ds-1")
    add_job(database, "job-7", state="running")
    with pytest.raises(NotFoundError, match="job-7"):
        catalog.results_for_dataset("ds-1")
    with pytest.raises(NotFoundError, match="job-7"):
        catalog.resolve_model("ds-1")


def test_an_unknown_job_is_named(catalog):
    with pytest.raises(NotFoundError, match="no job 'job-x'"):
        catalog.results_for_job("job-x")


def test_a_dataset_stands_for_its_promoted_model_else_its_newest(catalog, registry):
    for number in (1, 2, 3):
        catalog.publish(
            results_record(f"job-{number}", model_id=f"md-{number}"), model_info(f"md-{number}", job_id=f"job-{number}")
        )
    assert catalog.resolve_model("ds-1").model_id == "md-3"
    assert catalog.resolve_model("md-1").model_id == "md-1"
    assert registry.promote("md-1").promoted
    assert catalog.resolve_model("ds-1").model_id == "md-1"
    registry.promote("md-2")
    assert [model.model_id for model in catalog.models() if model.promoted] == ["md-2"]


def test_the_default_model_is_the_one_promoted_last_else_the_newest(catalog, registry):
    assert catalog.default_model() is None
    catalog.publish(results_record("job-1", model_id="md-1"), model_info("md-1"))
    catalog.publish(
        results_record("job-2", model_id="md-2", dataset_id="ds-2"),
        model_info("md-2", job_id="job-2", dataset_id="ds-2"),
    )
    assert catalog.default_model().model_id == "md-2"
    registry.promote("md-1")
    assert catalog.default_model().model_id == "md-1"
    registry.promote("md-2")
    assert catalog.default_model().model_id == "md-2"


def test_what_a_cancelled_run_had_found_stands_behind_a_whole_run(catalog, database):
    add_job(database, "job-whole", state="succeeded")
    add_job(database, "job-cut", state="running")
    catalog.publish(results_record("job-whole", model_id="md-whole"), model_info("md-whole", job_id="job-whole"))
    with database.writing() as connection:
        connection.execute(update(jobs).where(jobs.c.job_id == "job-cut").values(cancel_requested=True))
    catalog.publish(results_record("job-cut", model_id="md-cut"), model_info("md-cut", job_id="job-cut"))
    assert catalog.results_for_job("job-cut").model_id == "md-cut"
    assert catalog.results_for_dataset("ds-1").job_id == "job-whole"
    assert catalog.resolve_model("ds-1").model_id == "md-whole"
    assert catalog.default_model().model_id == "md-whole"
    with database.writing() as connection:  # it had come to its end before the wish was heard
        connection.execute(update(jobs).where(jobs.c.job_id == "job-cut").values(state="succeeded"))
    assert catalog.results_for_dataset("ds-1").job_id == "job-cut"
