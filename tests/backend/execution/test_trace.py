import pickle
import threading

from backend.execution.trace import carried, fields, request_id, traced, work_for


def test_outside_of_a_request_there_is_no_id():
    assert request_id() == ""
    assert dict(fields()) == {}


def test_the_inner_request_counts_and_the_outer_one_comes_back():
    with traced("outer"):
        with traced("inner"):
            assert request_id() == "inner"
        assert request_id() == "outer"
    assert request_id() == ""


def test_work_of_a_process_is_known_on_all_its_threads():
    seen = []
    with work_for(job_id="job-1", request_id="req-1"):
        thread = threading.Thread(target=lambda: seen.append((request_id(), dict(fields()))))
        thread.start()
        thread.join()
    assert seen == [("req-1", {"job_id": "job-1", "request_id": "req-1"})]
    assert dict(fields()) == {}


def test_a_job_that_no_request_started_is_named_alone():
    with work_for(job_id="job-1", request_id=""):
        assert dict(fields()) == {"job_id": "job-1"}


def test_a_call_takes_its_request_to_another_process():
    with traced("req-1"):
        call = pickle.dumps(carried(request_id))
    assert pickle.loads(call)() == "req-1"
    assert request_id() == ""


def test_a_call_without_a_request_is_left_as_it_is():
    assert carried(max, 1, 2)() == 2
