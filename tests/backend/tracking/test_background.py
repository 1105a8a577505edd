from __future__ import annotations

import threading
import time

from backend.tracking.background import BackgroundSteps
from tests.waiting import PATIENCE_S


def test_steps_run_in_order_outside_the_calling_thread() -> None:
    seen: list[tuple[int, str]] = []
    steps = BackgroundSteps("notes")
    for number in range(5):
        steps.submit(lambda number=number: seen.append((number, threading.current_thread().name)))
    assert steps.close(timeout_s=PATIENCE_S)
    assert seen == [(number, "notes") for number in range(5)]


def test_after_a_failure_later_steps_are_dropped() -> None:
    seen: list[str] = []
    steps = BackgroundSteps("notes")
    steps.submit(lambda: seen.append("first"))
    steps.submit(lambda: {}["missing"])
    steps.submit(lambda: seen.append("third"))
    assert steps.close(timeout_s=PATIENCE_S)
    assert seen == ["first"]
    assert isinstance(steps.failure, KeyError)


def test_closing_waits_no_longer_than_allowed() -> None:
    free = threading.Event()
    steps = BackgroundSteps("notes")
    steps.submit(lambda: free.wait(PATIENCE_S) and None)
    begun = time.perf_counter()
    assert not steps.close(timeout_s=0.2)  # and not only after the step
    assert time.perf_counter() - begun < PATIENCE_S / 2
    free.set()
    assert steps.close(timeout_s=PATIENCE_S)


def test_dropping_forgets_only_what_has_not_begun() -> None:
    begun, free = threading.Event(), threading.Event()
    seen: list[str] = []

    def first() -> None:
        begun.set()
        free.wait(PATIENCE_S)
        seen.append("first")

    steps = BackgroundSteps("notes")
    steps.submit(first)
    steps.submit(lambda: seen.append("second"))
    assert begun.wait(PATIENCE_S)
    steps.drop_waiting()
    steps.submit(lambda: seen.append("last"))
    free.set()
    assert steps.close(timeout_s=PATIENCE_S)
    assert seen == ["first", "last"]


def test_closing_what_never_began_ends_at_once() -> None:
    assert BackgroundSteps("notes").close(timeout_s=0.1)
