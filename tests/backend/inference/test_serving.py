from __future__ import annotations

import json
import threading
from typing import get_args

import numpy as np
import pytest

from backend.config import ServingBackend
from backend.engine.forward import openvino_library
from backend.inference import backends, kept_graph, serving
from backend.inference.choosing import CHOICE_FILE, MOST_APART_EXACT, Choice, Measured, choose
from backend.inference.serving import Plan, ServedNetwork

needs_openvino = pytest.mark.skipif(openvino_library.openvino_version() is None, reason="OpenVINO is not installed")


@pytest.fixture
def member(predictor):
    return predictor.bundle.voices[0]


@pytest.fixture
def pixels(member):
    fed = member.preprocessing
    return np.random.default_rng(0).integers(0, 256, (6, fed.height, fed.width, 3), dtype=np.uint8)


class Wrong:
    """torch, but for its answers."""

    def __init__(self, member, *, kind="wrong", lanes=1):
        self._right = backends.make("torch", backends.Material(member))
        self.kind, self.lanes, self.batch_size = kind, lanes, 4

    def __call__(self, images):
        return self._right(images)[:, ::-1].copy()


@needs_openvino
def test_the_faster_way_takes_over_with_the_same_answers(member, pixels):
    served = ServedNetwork(member, plan=Plan(convert_after=6))
    before = served.answer(pixels)
    assert served.wait()
    after = served.answer(pixels)
    np.testing.assert_allclose(after.probabilities, before.probabilities, atol=MOST_APART_EXACT)
    np.testing.assert_allclose(after.features, before.features, atol=1e-4 * np.abs(before.features).max())
    assert after.probabilities.dtype == np.float64
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1.0)
    assert served.described()["backend"] == "openvino"
    assert served.copies == 2


@needs_openvino
@pytest.mark.parametrize("name", ["openvino", "openvino-mixed"])
def test_several_threads_get_their_own_answers_from_it(member, pixels, name):
    served = ServedNetwork(member, plan=Plan(backend=name))
    served.warm_up()
    assert served.described()["backend"] == name
    expected = served.answer(pixels).features
    found = {}

    def ask(place):
        found[place] = [served.answer(pixels[place : place + 1]).features for _ in range(3)]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(pixels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, rows in found.items():
        for row in rows:
            np.testing.assert_allclose(row[0], expected[place], atol=1e-4 * np.abs(expected).max())


def test_few_pictures_are_answered_without_a_conversion(member, pixels):
    served = ServedNetwork(member, plan=Plan(convert_after=13))
    served.answer(pixels)
    served.answer(pixels)
    assert not served.wait()


@pytest.mark.parametrize("fault", ["cannot", "disagrees", "absent"])
def test_torch_goes_on_where_it_cannot_take_over(member, pixels, monkeypatch, caplog, fault):
    def cannot(*_):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(kept_graph, "graph_for", cannot)
    monkeypatch.setattr(openvino_library, "openvino_version", lambda: None if fault == "absent" else "1")
    monkeypatch.setattr(backends, "onnxruntime_is_here", lambda: False)
    if fault == "disagrees":
        monkeypatch.setattr(kept_graph, "graph_for", lambda _: None)
        monkeypatch.setitem(backends.BACKENDS, "openvino", lambda material: Wrong(material.member))
    served = ServedNetwork(member, plan=Plan(convert_after=1))
    before = served.answer(pixels)
    assert not served.wait()
    np.testing.assert_array_equal(served.answer(pixels).probabilities, before.probabilities)
    assert bool(caplog.records) == (fault != "absent")


@pytest.fixture
def measuring(member, tmp_path, monkeypatch):
    """A network whose choice is made after six different pictures, between torch and stand-ins for what is faster."""
    monkeypatch.setattr(serving, "candidates", lambda _: ("torch-bf16", "torch"))
    return lambda: ServedNetwork(member, plan=Plan(folder=tmp_path / "kept", convert_after=100, sample=6))


def test_a_choice_is_measured_once_and_kept_for_the_next_start(measuring, pixels, monkeypatch, tmp_path):
    monkeypatch.setitem(backends.BACKENDS, "torch-bf16", lambda material: backends.make("torch", material))
    told = []
    served = measuring()
    served.changed = lambda: told.append(served.described()["backend"])
    served.answer(pixels)
    served.wait()
    described = served.described()
    assert {row["name"] for row in described["measured"]} == {"torch-bf16", "torch"}
    assert (described["chosen_by"], described["pictures"]) == ("measurement", 6)
    assert told == [described["backend"]]
    kept = json.loads((tmp_path / "kept" / CHOICE_FILE).read_text())
    assert kept["name"] == described["backend"]

    monkeypatch.setattr(serving, "measure", lambda *_, **__: pytest.fail("measured again"))
    again = measuring()
    again.answer(pixels)
    again.wait()
    assert again.described()["backend"] == described["backend"]


def test_what_answers_otherwise_is_never_chosen_however_fast(measuring, pixels, monkeypatch, caplog):
    monkeypatch.setitem(backends.BACKENDS, "torch-bf16", lambda material: Wrong(material.member))
    monkeypatch.setattr("backend.inference.choosing._speed", lambda forward, _: 1e6 if forward.kind == "wrong" else 1.0)
    served = measuring()
    before = served.answer(pixels)
    served.wait()
    assert served.described()["backend"] == "torch"
    np.testing.assert_array_equal(served.answer(pixels).probabilities, before.probabilities)
    assert any("disagrees" in record.message for record in caplog.records)


def row(name, *, speed, agreement=1.0, most=0.0):
    return Measured(name, name, speed, agreement, mean_apart=most / 10, p99_apart=most / 2, most_apart=most)


def test_the_mixed_backend_is_taken_where_half_the_width_alone_does_not_agree():
    half, refused = row("openvino-bf16", speed=190, most=0.1), row("openvino-bf16", speed=190, agreement=0.99, most=0.1)
    mixed, exact = row("openvino-mixed", speed=130, most=0.05), row("openvino", speed=100, most=1e-6)
    assert choose([half, mixed, exact], pictures=256).name == "openvino-bf16"
    assert choose([refused, mixed, exact], pictures=256).name == "openvino-mixed"
    off = row("openvino-mixed", speed=130, agreement=0.99, most=0.05)
    assert choose([refused, off, exact], pictures=256).name == "openvino"
    assert not row("openvino-mixed", speed=1, most=0.25).agrees


def test_what_rounds_must_be_faster_than_what_does_not():
    exact, other = row("openvino", speed=100), row("onnxruntime", speed=110)
    for speed, name in ((101, "openvino-mixed"), (100, "openvino"), (90, "openvino")):
        assert choose([row("openvino-mixed", speed=speed, most=0.05), exact], pictures=256).name == name
    assert choose([exact, other], pictures=256).name == "openvino"  # both are exact: about as fast is not faster


@needs_openvino
@pytest.mark.parametrize("fast", [True, False])
def test_each_arithmetic_that_the_processor_has_is_measured(member, monkeypatch, fast):
    monkeypatch.setattr(backends, "fast_arithmetic", lambda _: "bf16" if fast else "fp32")
    found = [name for name in backends.candidates(member) if name.startswith("openvino")]
    assert found == (["openvino-bf16", "openvino-mixed", "openvino"] if fast else ["openvino"])
    assert all(name in backends.BACKENDS for name in found)


def test_each_backend_of_the_settings_can_be_made_and_each_that_can_be_made_is_a_setting():
    assert {*get_args(ServingBackend)} == {serving.AUTO, *backends.BACKENDS}


def test_equal_pictures_show_nothing_new(measuring, pixels):
    served = measuring()
    for _ in range(4):
        served.answer(np.repeat(pixels[:1], 4, axis=0))
    assert served.described()["chosen_by"] == "default"


def test_a_damaged_choice_is_none(tmp_path):
    assert Choice.load(tmp_path) is None
    for text in ("{", "[]", '{"format": 1}', '{"format": 2, "name": "torch"}'):
        (tmp_path / CHOICE_FILE).write_text(text)
        assert Choice.load(tmp_path) is None


def test_a_setting_forbids_all_others(member, pixels):
    served = ServedNetwork(member, plan=Plan(backend="torch", convert_after=1, sample=2))
    served.answer(pixels)
    assert not served.wait()
    assert served.described()["chosen_by"] == "setting"


@needs_openvino
def test_a_converted_network_is_read_from_the_cache_and_made_anew_where_it_is_damaged(member, pixels, tmp_path):
    def start():
        served = ServedNetwork(member, plan=Plan(backend="openvino", folder=tmp_path))
        served.warm_up()
        return served

    expected = start().answer(pixels).features
    kept = tmp_path / "graph" / openvino_library.FILE
    written = kept.stat().st_mtime_ns
    np.testing.assert_allclose(start().answer(pixels).features, expected, atol=1e-4 * np.abs(expected).max())
    assert kept.stat().st_mtime_ns == written
    kept.write_text("no graph")
    np.testing.assert_allclose(start().answer(pixels).features, expected, atol=1e-4 * np.abs(expected).max())
    assert kept.stat().st_size > 1000
