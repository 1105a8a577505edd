from types import SimpleNamespace

import numpy as np
import pytest

from backend.contracts import FinetuneSettings, RunControl
from backend.search import hyper
from backend.search.hyper import tune


class Landscape:
    """A course whose answers are the better the nearer its learning rate is to 1e-3: no network, no minutes."""

    def __init__(self, settings=None, seed=1, told=None):
        self.settings = settings or FinetuneSettings(backbone_lr=1e-4)
        self.seed = seed
        self.targets = np.zeros(30, dtype=np.int64)
        self.told = [] if told is None else told

    def folds(self, count, *, judged):
        parts = np.array_split(np.arange(30), count)
        return iter([(np.zeros(0, dtype=np.int64), part) for part in parts[:judged]])

    def start(self):
        return None

    def train(self, network, learn, judge, *, control):
        control.check()
        self.told.append(self.settings)
        right = float(np.exp(-abs(np.log10(self.settings.backbone_lr) + 3) - 0.1))
        rows = np.tile([right, 1 - right], (len(judge), 1))
        return SimpleNamespace(by_blend={0.5: rows / 2 + 0.25, 1.0: rows})


@pytest.fixture(autouse=True)
def _replaced(monkeypatch):
    monkeypatch.setattr(hyper, "replace", lambda course, settings: Landscape(settings, course.seed, course.told))


def test_the_best_settings_win_and_the_plain_ones_come_first():
    course = Landscape()
    found = tune(course, trials=12, folds=3, seconds=1e9, control=RunControl())
    assert course.told[0].backbone_lr == pytest.approx(1e-4)
    assert abs(np.log10(found.course.settings.backbone_lr) + 3) < 0.5
    assert found.trials == 12
    assert "best of 12 settings" in found.words


def test_what_begins_badly_is_pruned_after_its_first_fold():
    course = Landscape()
    found = tune(course, trials=12, folds=3, seconds=1e9, control=RunControl())
    assert found.pruned > 0
    assert len(course.told) == 3 * (12 - found.pruned) + found.pruned


def test_the_same_seed_proposes_the_same_settings():
    told = []
    for seed in (1, 1, 2):
        course = Landscape(seed=seed)
        tune(course, trials=5, folds=2, seconds=1e9, control=RunControl())
        told.append([settings.backbone_lr for settings in course.told])
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_without_time_the_plain_settings_are_all_that_is_tried():
    found = tune(Landscape(), trials=9, folds=2, seconds=0.0, control=RunControl())
    assert found.trials == 1
    assert found.course.settings.backbone_lr == pytest.approx(1e-4)
