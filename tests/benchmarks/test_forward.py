import numpy as np
import pytest

from benchmarks.forward import agreement, lines, rows


def part(way, rate, *, agreement=1.0, chosen=False):
    words = {"network": "resnet18", "way": way, "kind": f"{way} 1.0", "chosen": chosen, "weights": "imagenet"}
    return {**words, "rate": rate, "agreement": agreement, "ready": 1.0}


def test_the_way_that_is_taken_is_set_beside_float32():
    found = [part("torch fp32", 50), part("torch bf16", 900), part("OpenVINO bf16", 150, agreement=0.9, chosen=True)]
    [speed, least] = lines(found)
    assert speed.value == pytest.approx(3)
    assert "OpenVINO bf16" in speed.ours
    assert (least.value, least.cells()[-1]) == (90, "missed")
    assert [row[2][-1] for row in rows(found)] == ["0", "0", "*"]


def test_agreement_of_random_weights_has_no_goal():
    assert len(lines([part("torch fp32", 50), {**part("OpenVINO bf16", 99, chosen=True), "weights": "scratch"}])) == 1


def test_nothing_measured_makes_no_line():
    assert lines([]) == []


def test_agreement_is_the_share_of_equal_answers():
    random = np.random.default_rng(0)
    targets = [number // 20 for number in range(40)]
    base = np.asarray(targets)[:, None] * 4.0 + random.normal(size=(40, 3))
    assert agreement(base, base, targets) == 1
    turned = base.copy()
    turned[:10] = base[20:30]
    assert agreement(base, turned, targets) == pytest.approx(0.75, abs=0.06)
