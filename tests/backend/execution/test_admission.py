import pytest

from backend.errors import BusyError
from backend.execution.admission import Admission, Limits


def admission(**changes):
    return Admission(Limits(**{"waiting": 3, "seconds": 10.0, "megabytes": 1, **changes}))


def test_a_full_queue_says_when_to_come_again_and_is_open_as_soon_as_one_leaves():
    queue = admission()
    for _ in range(3):
        queue.check(0.0)
        queue.enter(10, 0.0)
    with pytest.raises(BusyError, match="3 pictures wait") as refused:
        queue.check(0.0)
    assert refused.value.retry_after_s == 1
    assert queue.refused == 1
    queue.leave(10, 0.1)
    queue.check(0.1)


def test_few_but_large_pictures_fill_it_too():
    queue = admission()
    queue.enter(2**20, 0.0)
    with pytest.raises(BusyError):
        queue.check(0.0)


def test_who_would_wait_too_long_at_the_speed_seen_is_told_so_at_once():
    queue = admission(waiting=100)
    for _ in range(20):
        queue.enter(1, 0.0)
    for answer in range(1, 9):
        queue.leave(1, answer * 1.0)  # one second each: the twelve left take 12 s
    assert queue.expected_wait_s(8.0) == pytest.approx(12.0)
    with pytest.raises(BusyError) as refused:
        queue.check(8.0)
    assert refused.value.retry_after_s == 6
    for answer in range(9, 12):
        queue.leave(1, answer * 1.0)
    queue.check(11.0)


def test_a_slow_network_never_shuts_a_short_queue():
    queue = admission(seconds=0.1, waiting=100)
    for _ in range(3):
        queue.enter(1, 0.0)
    queue.check(100.0)


def test_a_model_that_is_read_for_seconds_shuts_nobody_out_before_or_after():
    queue = admission(waiting=100)
    for _ in range(20):
        queue.enter(1, 0.0)
        queue.check(6.0)
    queue.leave(1, 6.0)
    queue.check(6.1)  # six seconds for the first answer say nothing of the others
    for _ in range(19):
        queue.leave(1, 6.5)
    for _ in range(20):
        queue.enter(1, 7.0)
        queue.check(7.0)


def test_a_queue_that_stands_still_is_slow_though_nothing_was_answered():
    queue = admission(waiting=100)
    for _ in range(5):
        queue.enter(1, 0.0)
    queue.check(9.9)
    with pytest.raises(BusyError):
        queue.check(10.1)


def test_an_idle_time_says_nothing_of_the_speed():
    queue = admission(waiting=100)
    for _ in range(10):
        queue.enter(1, 0.0)
    for answer in range(1, 11):
        queue.leave(1, answer * 2.0)
    for _ in range(6):
        queue.enter(1, 1000.0)
    assert queue.expected_wait_s(1000.0) == 0.0
    queue.check(1000.0)
