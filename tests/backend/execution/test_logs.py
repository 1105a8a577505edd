import logging

from backend.execution.logs import KeyValueFormatter


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
