"""States, promotions and the way back; what happens at once leaves one answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from service_fakes import model_info, results_record
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from backend.contracts import Caller, PredictionCounts
from backend.errors import ConflictError, NotFoundError
from backend.jobs.queue import JobQueue
from backend.storage import model_registry as module
from backend.storage.audit_log import AuditLog
from backend.storage.database import Database
from backend.storage.migrating import upgrade
from backend.storage.model_registry import ModelRegistry
from backend.storage.prediction_counts import PredictionLog
from backend.storage.tables import models

ADA = Caller(name="ada", address="192.0.2.1", request_id="req-1")
BOB = Caller(name="bob")
OLD_ROW = "INSERT INTO models (model_id, dataset_id, promoted_at, record) VALUES (:id, 'ds-1', :at, :record)"


@pytest.fixture
def queue(database):
    return JobQueue(database)


def states(registry):
    return {model.model_id: model.state for model in registry.models()}


def test_models_are_listed_with_their_states_newest_first(registry, add_model):
    for number in (1, 2, 3):
        add_model(number)
    add_model(4, "ds-2")
    registry.promote("md-2", caller=ADA)
    registry.archive("md-1")
    found = registry.models()
    assert [(model.model_id, model.state) for model in found] == [
        ("md-4", "candidate"),
        ("md-3", "candidate"),
        ("md-2", "promoted"),
        ("md-1", "archived"),
    ]
    assert [model.model_id for model in registry.models(dataset_id="ds-1", state="candidate")] == ["md-3"]
    promoted, archived = registry.model("md-2"), registry.model("md-1")
    assert (promoted.promoted, promoted.promoted_by) == (True, "ada")
    assert promoted.promoted_at is not None
    assert promoted.promoted_at.tzinfo is not None
    assert (archived.promoted_at, archived.promoted_by) == (None, None)
    assert archived.archived_at is not None
    assert registry.model("md-3").metrics == model_info().metrics


@pytest.mark.parametrize("verb", ["model", "promote", "rollback", "archive", "restore", "delete"])
def test_an_unknown_model_is_named_with_the_next_step(registry, verb):
    with pytest.raises(NotFoundError, match=r"md-none.*GET /api/cv/models"):
        getattr(registry, verb)("md-none")


def test_rolling_back_goes_down_the_promotions_one_by_one(registry, add_model):
    for number in (1, 2, 3):
        registry.promote(add_model(number), caller=ADA)
    assert registry.rollback("md-3", caller=BOB).model_id == "md-2"
    assert states(registry) == {"md-1": "candidate", "md-2": "promoted", "md-3": "candidate"}
    assert registry.model("md-2").promoted_by == "bob"
    assert registry.rollback("md-2").model_id == "md-1"
    with pytest.raises(ConflictError, match=r"promoted before 'md-1'.*dataset_id=ds-1"):
        registry.rollback("md-1")
    assert registry.model("md-1").state == "promoted"


def test_what_was_taken_back_is_not_what_a_later_rollback_goes_to(registry, add_model):
    for number in (1, 2, 3):
        registry.promote(add_model(number))
    registry.rollback("md-3")
    registry.rollback("md-2")
    registry.promote(add_model(4))
    assert registry.rollback("md-4").model_id == "md-1"


def test_going_back_passes_over_models_that_are_archived_or_gone(registry, add_model):
    for number in (1, 2, 3, 4):
        registry.promote(add_model(number))
    registry.archive("md-3")
    registry.delete("md-2")
    assert registry.rollback("md-4").model_id == "md-1"


def test_a_promotion_is_taken_back_once_however_many_ask(registry, add_model):
    for number in (1, 2, 3):
        registry.promote(add_model(number))
    registry.rollback("md-3")
    with pytest.raises(ConflictError, match=r"'md-3' is not the promoted one.*'md-2' is"):
        registry.rollback("md-3")
    assert states(registry)["md-2"] == "promoted"


def test_the_history_says_who_put_what_in_whose_place(registry, add_model):
    registry.promote(add_model(1), caller=ADA)
    registry.promote("md-1", caller=BOB)  # once more changes nobody's place
    registry.promote(add_model(2), caller=BOB)
    registry.rollback("md-2", caller=ADA)
    history = registry.history("ds-1")
    told = [(one.kind, one.model_id, one.replaced_id, one.actor, one.undone_at is None) for one in history]
    assert told == [
        ("rolled_back", "md-1", "md-2", "ada", True),
        ("promoted", "md-2", "md-1", "bob", False),
        ("promoted", "md-1", None, "ada", True),
    ]
    assert registry.history("ds-2") == []


def test_the_default_goes_back_only_where_it_was(registry, catalog, add_model):
    registry.promote(add_model(1))
    registry.promote(add_model(2))
    registry.promote(add_model(9, "ds-9"))
    registry.rollback("md-2")
    assert catalog.default_model().model_id == "md-9"
    registry.promote("md-2")
    assert catalog.default_model().model_id == "md-2"
    registry.rollback("md-2")
    assert catalog.default_model().model_id == "md-1"


def test_the_last_promotion_is_the_default_also_where_its_clock_is_slow(registry, catalog, add_model, monkeypatch):
    registry.promote(add_model(1))
    add_model(2, "ds-2")
    monkeypatch.setattr(module, "utc_now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    registry.promote("md-2")
    assert catalog.default_model().model_id == "md-2"


def test_an_archived_model_answers_by_its_own_name_alone(registry, catalog, add_model):
    add_model(1)
    add_model(2)
    registry.archive("md-2")
    assert catalog.resolve_model("ds-1").model_id == "md-1"
    assert catalog.default_model().model_id == "md-1"
    assert catalog.resolve_model("md-2").model_id == "md-2"
    registry.archive("md-1")
    assert catalog.default_model() is None
    with pytest.raises(NotFoundError, match="All models of dataset 'ds-1' are archived"):
        catalog.resolve_model("ds-1")
    registry.restore("md-1")
    assert catalog.resolve_model("ds-1").model_id == "md-1"


def test_the_promoted_model_is_neither_archived_nor_deleted_and_an_archived_one_not_promoted(registry, add_model):
    registry.promote(add_model(1))
    for verb in (registry.archive, registry.delete):
        with pytest.raises(ConflictError, match="'md-1' is the promoted one"):
            verb("md-1")
    registry.archive(add_model(2))
    with pytest.raises(ConflictError, match="md-2/restore"):
        registry.promote("md-2")
    assert states(registry) == {"md-1": "promoted", "md-2": "archived"}


def test_archiving_and_restoring_twice_changes_nothing_and_is_told_once(registry, database, add_model):
    add_model(1)
    first = registry.archive("md-1").archived_at
    assert registry.archive("md-1").archived_at == first
    registry.restore("md-1")
    assert registry.restore("md-1").state == "candidate"
    assert [entry.action for entry in AuditLog(database).page(limit=9).entries] == ["restored", "archived"]


def test_a_deleted_model_goes_with_its_results_and_counts(registry, catalog, database, add_model):
    add_model(1)
    log = PredictionLog(database)
    log.add({("md-1", "2026-01-01"): PredictionCounts(predictions=1)})
    registry.delete("md-1", caller=ADA)
    assert registry.models() == []
    assert log.days("md-1") == {}
    with pytest.raises(NotFoundError):
        catalog.results_for_job("job-1")


def test_a_model_in_use_is_not_deleted(registry, queue, add_model):
    add_model(1)
    job = queue.enqueue("compare_models", {"challenger": "md-1"}, dataset_id="ds-1")
    with pytest.raises(ConflictError, match=job.job_id):
        registry.delete("md-1")
    assert registry.model("md-1")
    queue.request_cancel(job.job_id)
    registry.delete("md-1")


def test_the_training_that_made_a_model_may_still_compare_it(registry, catalog, queue):
    job = queue.enqueue("train_images", {}, dataset_id="ds-1")
    catalog.publish(results_record(job.job_id), model_info(job_id=job.job_id))
    with pytest.raises(ConflictError, match=job.job_id):
        registry.delete("md-1")


def test_a_job_that_names_another_model_does_not_hold_this_one(registry, queue, add_model):
    add_model(1)
    queue.enqueue("compare_models", {"challenger": "md-12"}, dataset_id="ds-1")
    registry.delete("md-1")
    assert registry.models() == []


def test_every_change_is_in_the_audit_log(registry, database, add_model):
    for number in (1, 2):
        registry.promote(add_model(number), caller=ADA)
    registry.rollback("md-2", caller=BOB)
    registry.archive("md-2", caller=BOB)
    registry.restore("md-2", caller=BOB)
    registry.delete("md-2", caller=ADA)
    entries = AuditLog(database).page(limit=9).entries
    assert [(entry.actor, entry.action, entry.subject) for entry in reversed(entries)] == [
        ("ada", "promoted", "md-1"),
        ("ada", "promoted", "md-2"),
        ("bob", "rolled_back", "md-2"),
        ("bob", "archived", "md-2"),
        ("bob", "restored", "md-2"),
        ("ada", "deleted", "md-2"),
    ]
    assert (entries[-1].address, entries[-1].request_id, entries[-1].dataset_id) == ("192.0.2.1", "req-1", "ds-1")


def test_a_refused_change_leaves_no_line_behind(registry, database, add_model):
    registry.promote(add_model(1))
    with pytest.raises(ConflictError):
        registry.archive("md-1")
    assert [entry.action for entry in AuditLog(database).page(limit=9).entries] == ["promoted"]


def test_promotions_at_once_leave_one_promoted_model_and_one_way_back(database, add_model):
    """Twelve at once from doors of their own: as many API processes would."""
    names = [add_model(number) for number in range(1, 7)]
    doors = [Database(database.url.render_as_string(hide_password=False)) for _ in range(4)]
    registries = [ModelRegistry(door) for door in doors]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda place: registries[place % 4].promote(names[place % 6]), range(12)))
    for door in doors:
        door.close()
    registry = ModelRegistry(database)
    (promoted,) = registry.models(state="promoted")
    history = registry.history("ds-1")
    assert promoted.model_id == history[0].model_id
    assert all(later.replaced_id == earlier.model_id for later, earlier in pairwise(history))


def test_the_database_itself_refuses_a_second_promoted_model(database, registry, add_model):
    registry.promote(add_model(1))
    add_model(2)
    moment = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(update(models).where(models.c.model_id == "md-2").values(promoted_at=moment))


def test_publishing_again_keeps_the_state(registry, catalog, add_model):
    registry.archive(add_model(1))
    add_model(1)
    registry.promote(add_model(2))
    add_model(2)
    assert states(registry) == {"md-1": "archived", "md-2": "promoted"}


def test_a_model_promoted_before_there_was_a_history_can_be_gone_back_to(empty_database):
    """Rows as migration 0003 left them, by hand with two promoted; then the new one."""
    with empty_database.writing() as connection:
        upgrade(connection, to="0003")
        for number, promoted in ((1, "2026-01-01 00:00:00"), (2, "2026-01-02 00:00:00"), (3, None)):
            info = model_info(f"md-{number}")
            row = {"id": info.model_id, "at": promoted, "record": info.model_dump_json()}
            connection.execute(text(OLD_ROW), row)
    empty_database.migrate()
    registry = ModelRegistry(empty_database)
    assert states(registry) == {"md-1": "candidate", "md-2": "promoted", "md-3": "candidate"}
    assert registry.model("md-2").promoted_by == ""
    registry.promote("md-3")
    assert registry.rollback("md-3").model_id == "md-2"
