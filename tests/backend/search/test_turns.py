"""Turns one after the other and side by side. The study and the tracker are stand-ins: no network is built."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from backend.contracts import Candidate, RunControl
from backend.errors import JobCancelled
from backend.search.trial import Trial
from backend.search.turns import Turn, Turns
from backend.tracking import NullTracker
from tests.waiting import PATIENCE_S

NAMES = ("resnet18", "mobilenetv3_large", "efficientnet_b0")


class Room:
    """A runner with room for some turns at once; remembers that it was stopped."""

    def __init__(self, width):
        self.width = width
        self.stopped = False

    def stop(self):
        self.stopped = True


def turns(width):
    study = SimpleNamespace(ranking=np.zeros(1, int), targets=np.zeros(1, int))
    return Turns(study, control=RunControl(), tracker=NullTracker(), runner=Room(width))


def turn(name):
    return Turn(candidate=Candidate(name=name, family="x", timm_name=name), strategy="probe", share=(0.0, 0.1))


def trial_of(name, **more):
    return Trial(candidate=turn(name).candidate, strategy="probe", status="skipped", **more)


def test_one_at_a_time_an_offer_knows_all_that_went_before():
    asked, ended = [], []

    def offers():
        for name in NAMES:
            asked.append((name, list(ended)))
            yield turn(name), lambda *, watch, name=name: trial_of(name)

    for one, _ in turns(1).take_all(offers()):
        ended.append(one.candidate.name)
    assert asked == [(name, list(NAMES[:place])) for place, name in enumerate(NAMES)]


def test_side_by_side_all_run_at_once_and_each_comes_back_with_its_own_turn():
    together = threading.Barrier(3, timeout=PATIENCE_S)

    def work(name):
        def do(*, watch):
            together.wait()  # breaks where they run one after the other
            return trial_of(name)

        return do

    taken = list(turns(3).take_all((turn(name), work(name)) for name in NAMES))
    assert sorted(one.candidate.name for one, _ in taken) == sorted(NAMES)
    assert all(one.candidate.name == trial.candidate.name for one, trial in taken)
    assert {trial.reason for _, trial in taken} == {None}


def test_no_more_run_at_once_than_there_is_room_for():
    lock, now, most = threading.Lock(), [0], [0]

    def do(*, watch):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.05)
        with lock:
            now[0] -= 1
        return trial_of("resnet18")

    assert len(list(turns(2).take_all((turn(name), do) for name in (*NAMES, *NAMES)))) == 6
    assert most[0] == 2


def test_a_failure_side_by_side_is_a_trial_and_a_cancellation_ends_everything():
    both = turns(2)

    def broken(*, watch):
        raise ValueError("no such layer")

    (_, failed), *_ = both.take_all([(turn("resnet18"), broken)])
    assert (failed.status, failed.reason) == ("failed", "ValueError: no such layer")

    def cancelled(*, watch):
        raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        list(both.take_all([(turn("resnet18"), cancelled)]))
    assert both.runner.stopped
