"""Lines that are added, paged through and never changed."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.contracts import Caller
from backend.storage.audit_log import AuditLog

ADA = Caller(name="ada", address="192.0.2.1", request_id="req-1")


@pytest.fixture
def log(database):
    return AuditLog(database)


def test_a_line_says_who_did_what_to_what_from_where(log):
    log.add("downloaded", "md-1", caller=ADA, dataset_id="ds-1", detail="pth")
    (entry,) = log.page(limit=10).entries
    told = entry.model_dump(exclude={"entry_id", "created_at"})
    assert told == {
        "actor": "ada",
        "action": "downloaded",
        "subject": "md-1",
        "dataset_id": "ds-1",
        "detail": "pth",
        "address": "192.0.2.1",
        "request_id": "req-1",
    }
    assert entry.created_at.tzinfo is not None


def test_pages_follow_each_other_without_gap_or_overlap(log):
    for number in range(7):
        log.add("trained", f"job-{number}", caller=ADA)
    seen, before = [], None
    while True:
        page = log.page(limit=3, before=before)
        seen += [entry.subject for entry in page.entries]
        log.add("trained", "job-later", caller=ADA)  # what comes meanwhile moves nothing
        if page.next_before is None:
            break
        before = page.next_before
    assert seen == [f"job-{number}" for number in reversed(range(7))]


def test_a_page_that_holds_the_rest_says_that_there_is_no_more(log):
    for number in range(3):
        log.add("trained", f"job-{number}", caller=ADA)
    assert log.page(limit=3).next_before is None
    assert log.page(limit=3, before=1).entries == ()


def test_the_lines_of_a_dataset_are_those_of_its_models_too(log):
    log.add("uploaded", "ds-1", caller=ADA, dataset_id="ds-1")
    log.add("promoted", "md-1", caller=ADA, dataset_id="ds-1")
    log.add("promoted", "md-2", caller=ADA, dataset_id="ds-2")
    assert [entry.subject for entry in log.page(limit=9, subject="ds-1").entries] == ["md-1", "ds-1"]
    assert [entry.subject for entry in log.page(limit=9, subject="md-2").entries] == ["md-2"]


@pytest.mark.parametrize("change", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"])
def test_the_database_refuses_to_change_what_was_written(log, database, change):
    log.add("promoted", "md-1", caller=ADA)
    with pytest.raises(DBAPIError, match="only ever added to"), database.writing() as connection:
        connection.execute(text(change))
    assert log.page(limit=9).entries[0].actor == "ada"


def test_what_a_caller_sends_cannot_grow_a_line_without_end(log):
    log.add("promoted", "md-1", caller=Caller(name="n" * 5000, request_id="r" * 5000), detail="d\x00" * 5000)
    (entry,) = log.page(limit=9).entries
    assert max(len(entry.actor), len(entry.request_id), len(entry.detail)) == 500
