import io
import json
import logging
from datetime import datetime

import pytest

from backend.execution.logs import KeyValueFormatter, make_handler
from backend.execution.trace import traced, work_for


def test_extra_fields_stand_behind_the_message():
    record = logging.makeLogRecord(
        {"msg": "job starts", "levelname": "INFO", "name": "x", "job_id": "job-1", "_ray_mark": 1}
    )
    assert KeyValueFormatter().format(record).endswith("INFO x job starts job_id='job-1'")


def test_a_traceback_follows_the_line():
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
    assert "ZeroDivisionError: division by zero" in KeyValueFormatter().format(record)


@pytest.fixture
def log():
    logger, handler = logging.getLogger("backend.x"), make_handler("json")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield logger
    logger.removeHandler(handler)


@pytest.fixture
def lines(log):
    """What it writes, read back."""
    log.handlers[0].stream = stream = io.StringIO()
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_hold_time_level_logger_message_and_what_the_call_added(log, lines):
    log.warning("it %s", "happens", extra={"job_id": "job-1", "odd": 'a\n"b" é', "_ray": 1})
    [line] = lines()
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "warning",
        "logger": "backend.x",
        "message": "it happens",
        "job_id": "job-1",
        "odd": 'a\n"b" é',
    }


def test_a_traceback_stays_within_its_line(log, lines):
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("bug")
    [line] = lines()
    assert "ZeroDivisionError" in line["exc_info"]


def test_every_line_names_its_request_and_its_job_unless_it_names_another(log, lines):
    with work_for(job_id="job-1"), traced("req-1"):
        log.info("one")
        log.info("two", extra={"job_id": "job-2"})
    log.info("three")
    assert [(line.get("job_id"), line.get("request_id")) for line in lines()] == [
        ("job-1", "req-1"),
        ("job-2", "req-1"),
        (None, None),
    ]
