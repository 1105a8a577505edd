import numpy as np
import pytest

from benchmarks.forward import agreement, lines


def part(way, rate, agreement=1.0, network="resnet18"):
    return {"network": network, "way": way, "kind": f"{way} 1.0", "rate": rate, "agreement": agreement, "ready": 1.0}


def test_the_fastest_way_that_agrees_is_set_beside_float32():
    [speed, least] = lines([part("torch fp32", 50), part("torch bf16", 150), part("quick", 900, agreement=0.9)])
    assert speed.value == pytest.approx(3)
    assert "torch bf16" in speed.ours
    assert least.cells()[-1] == "missed"


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
