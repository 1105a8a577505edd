from __future__ import annotations

import io
import itertools
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from backend.contracts import LabelConfidence, ModelRef, Prediction
from backend.contracts.serving import Ask
from backend.errors import ImageError, NotFoundError
from backend.inference.batcher import Batcher
from backend.inference.serving import Answer
from tests.waiting import PATIENCE_S


class Model:
    """Answers with the brightness of the picture's first pixel; waits in a pass while `held` is set."""

    def __init__(self, name="model-1", *, lanes=1, batch_size=4):
        self.info = SimpleNamespace(model_id=name, class_names=("dark", "bright"), thresholds=None)
        self.lanes, self.batch_size = lanes, batch_size
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Semaphore(0)
        self.warm = 0

    def prepared(self, picture):
        side = picture.width
        return (np.asarray(picture.convert("RGB").resize((side, side))),)

    def answer(self, pictures):
        self.entered.release()
        assert self.free.wait(PATIENCE_S)
        self.batches.append([int(one[0][0, 0, 0]) for one in pictures])
        if any(value == 66 for value in self.batches[-1]):
            raise ValueError("a number that cannot be computed")
        bright = np.array([value / 255 for value in self.batches[-1]])
        return Answer(np.stack([1 - bright, bright], axis=1), np.zeros((len(pictures), 2), np.float32))

    def predictions(self, answer, *, top_k, latency_ms):
        model = ModelRef(model_id=self.info.model_id, name="net", accuracy=0.9)
        return [
            Prediction(
                predictions=tuple(
                    LabelConfidence(label=self.info.class_names[i], confidence=float(row[i]))
                    for i in np.argsort(-row)[:count]
                ),
                model=model,
                unfamiliar=False,
                unfamiliarity=0.0,
                latency_ms=latency,
            )
            for row, count, latency in zip(answer.probabilities, top_k, latency_ms, strict=True)
        ]

    def warm_up(self):
        self.warm += 1


class Models:
    """A cache of models by folder; those in `cold` are loaded by `get` alone, which waits for `thawed`."""

    def __init__(self, *models, cold=()):
        self.by_name = {model.info.model_id: model for model in models}
        self.cold = set(cold)
        self.thawed = threading.Event()

    def peek(self, folder):
        return None if folder.name in self.cold else self.by_name.get(folder.name)

    def get(self, folder):
        if folder.name not in self.by_name:
            raise NotFoundError(f"There is no model in '{folder.name}'.")
        if folder.name in self.cold:
            assert self.thawed.wait(PATIENCE_S)
            self.cold.discard(folder.name)
        return self.by_name[folder.name]


class Answers:
    """What came back, by number."""

    def __init__(self):
        self.found = {}
        self.notes = []
        self._changed = threading.Condition()

    def take(self, outcomes, note):
        with self._changed:
            self.found.update(outcomes)
            if note is not None:
                self.notes.append(note)
            self._changed.notify_all()

    def wait_for(self, *numbers):
        with self._changed:
            assert self._changed.wait_for(lambda: set(numbers) <= self.found.keys(), PATIENCE_S), self.found
        return [self.found[number] for number in numbers]


@pytest.fixture
def start():
    begun = []

    def begin(*models, threads=1, cold=()):
        cache, answers = Models(*models, cold=cold), Answers()
        batcher = Batcher(cache, answers.take, threads=threads, max_pixels=10_000)
        begun.append((batcher, cache, models))
        return batcher, answers, cache

    yield begin
    for batcher, cache, models in begun:
        cache.thawed.set()
        for model in models:
            model.free.set()
        batcher.close()


def picture(value=100, side=8):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def ask(value=100, *, model="model-1", top_k=1, side=8):
    return Ask(str(Path("/models") / model), picture(value, side), top_k)


def wait_until_ready(batcher, count):
    """Until so many decoded pictures wait for a pass."""
    end = time.monotonic() + PATIENCE_S
    while sum(len(group.tickets) for group in list(batcher._ready.values())) < count:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_lone_picture_is_computed_at_once_and_those_that_gather_meanwhile_together(start):
    model = Model()
    batcher, answers, _ = start(model)
    model.free.clear()
    batcher.take(1, ask(1))
    assert model.entered.acquire(timeout=PATIENCE_S)
    for number in range(2, 8):
        batcher.take(number, ask(number))
    wait_until_ready(batcher, 6)
    model.free.set()
    answers.wait_for(*range(1, 8))
    assert [len(batch) for batch in model.batches] == [1, 4, 2]
    assert sorted(itertools.chain(*model.batches)) == [1, 2, 3, 4, 5, 6, 7]
    assert [note.size for note in answers.notes] == [1, 4, 2]
    assert all(len(note.waited) == note.size for note in answers.notes)


def test_two_idle_threads_share_what_waits(start):
    model = Model(lanes=2)
    batcher, answers, _ = start(model, threads=2)
    model.free.clear()
    for number in (1, 2):
        batcher.take(number, ask(number))
        assert model.entered.acquire(timeout=PATIENCE_S)  # each on a thread of its own
    for number in range(3, 7):
        batcher.take(number, ask(number))
    wait_until_ready(batcher, 4)
    model.free.set()
    answers.wait_for(*range(1, 7))
    assert max(map(len, model.batches)) <= 4


def test_a_model_with_one_lane_is_never_entered_twice(start):
    model = Model(lanes=1)
    batcher, answers, _ = start(model, threads=3)
    model.free.clear()
    for number in range(5):
        batcher.take(number, ask(number))
    assert model.entered.acquire(timeout=PATIENCE_S)
    wait_until_ready(batcher, 1)
    assert not model.entered.acquire(blocking=False)
    model.free.set()
    answers.wait_for(*range(5))


def test_each_answer_goes_to_who_asked_however_many_labels_they_want(start):
    batcher, answers, _ = start(Model())
    for number in range(40):
        batcher.take(number, ask(number * 5, top_k=(None, 1, 2)[number % 3]))
    for number, answer in enumerate(answers.wait_for(*range(40))):
        bright = number * 5 / 255
        assert answer.labels == (("bright",) if bright > 0.5 else ("dark",))
        assert answer.confidence == pytest.approx(max(bright, 1 - bright))
        assert (b"probs" in answer.body) == (number % 3 == 0)
        assert answer.body.count(b"label") == number % 3


def test_a_bad_picture_fails_alone(start):
    model = Model()
    batcher, answers, _ = start(model)
    model.free.clear()
    batcher.take(0, ask())
    assert model.entered.acquire(timeout=PATIENCE_S)
    batcher.take(1, Ask("/models/model-1", b"no picture", 1))
    batcher.take(2, ask(side=200))  # more pixels than are allowed
    batcher.take(3, ask(70))
    batcher.take(4, ask(66))  # what the network cannot compute
    batcher.take(5, ask(80))
    wait_until_ready(batcher, 3)
    model.free.set()
    first, torn, large, before, impossible, after = answers.wait_for(*range(6))
    assert isinstance(torn, ImageError)
    assert "pixels" in large.detail
    assert isinstance(impossible, ValueError)
    assert [one.confidence for one in (before, after)] == [pytest.approx(1 - 70 / 255), pytest.approx(1 - 80 / 255)]
    assert first.labels == ("dark",)


def test_pictures_of_another_shape_or_model_never_share_a_pass(start):
    first, second = Model("first"), Model("second")
    batcher, answers, _ = start(first, second)
    first.free.clear()
    batcher.take(0, ask(1, model="first"))
    assert first.entered.acquire(timeout=PATIENCE_S)
    for number, (name, side) in enumerate([("first", 8), ("second", 8), ("first", 9), ("first", 8)], start=1):
        batcher.take(number, ask(number, model=name, side=side))
    wait_until_ready(batcher, 4)
    first.free.set()
    answers.wait_for(*range(5))
    assert sorted(map(tuple, first.batches)) == [(1,), (1, 4), (3,)]
    assert second.batches == [[2]]


def test_who_came_first_is_computed_first_however_long_the_decoding_took(start):
    model = Model(batch_size=1)
    batcher, answers, _ = start(model)
    model.free.clear()
    batcher.take(0, ask(0))
    assert model.entered.acquire(timeout=PATIENCE_S)
    slow, go_on = threading.Event(), threading.Event()
    real = model.prepared

    def prepared(image):
        if image.getpixel((0, 0))[0] == 1:
            slow.set()
            assert go_on.wait(PATIENCE_S)
        return real(image)

    model.prepared = prepared
    batcher.take(1, ask(1))
    assert slow.wait(PATIENCE_S)
    batcher.take(2, ask(2))
    batcher.take(3, ask(3))
    wait_until_ready(batcher, 2)
    go_on.set()
    wait_until_ready(batcher, 3)
    model.free.set()
    answers.wait_for(*range(4))
    assert model.batches == [[0], [1], [2], [3]]


def test_a_model_that_is_being_loaded_holds_up_no_other(start):
    warm, cold = Model("warm"), Model("cold")
    batcher, answers, cache = start(warm, cold, cold=["cold"])
    for number in range(6):
        batcher.take(number, ask(number, model="cold"))
    batcher.take(9, ask(9, model="warm"))
    answers.wait_for(9)
    assert 0 not in answers.found
    cache.thawed.set()
    answers.wait_for(*range(6))


def test_a_model_that_is_not_there_is_said_to_who_asked(start):
    batcher, answers, _ = start(Model())
    batcher.take(1, ask(model="gone"))
    batcher.prepare(2, "/models/gone")
    for error in answers.wait_for(1, 2):
        assert isinstance(error, NotFoundError)


def test_a_model_is_warm_before_it_is_said_to_be(start):
    model = Model()
    batcher, answers, _ = start(model)
    batcher.prepare(1, "/models/model-1")
    assert answers.wait_for(1) == [None]
    assert model.warm == 1


def test_what_nobody_waits_for_is_not_decoded(start, monkeypatch):
    model = Model()
    batcher, answers, _ = start(model)
    decoding, go_on = threading.Semaphore(0), threading.Event()
    decoded = []
    real = model.prepared

    def slowly(image):
        decoding.release()
        assert go_on.wait(PATIENCE_S)
        decoded.append(image.getpixel((0, 0))[0])
        return real(image)

    model.prepared = slowly
    for number in (1, 2):  # both decoders are busy with these
        batcher.take(number, ask(number))
        assert decoding.acquire(timeout=PATIENCE_S)
    batcher.take(3, ask(3))
    batcher.withdraw(3)
    batcher.withdraw(77)  # was answered long ago
    batcher.take(4, ask(4))
    go_on.set()
    answers.wait_for(1, 2, 4)
    assert 3 not in decoded
    assert 3 not in answers.found
    assert not batcher._withdrawn
    assert not batcher._inside
