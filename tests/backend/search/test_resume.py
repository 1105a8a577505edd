"""A run that is cut short at any point of its journal goes on, and ends with the uninterrupted run's results."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch

from backend.contracts import Recipe, RunControl
from backend.data import open_dataset
from backend.engine import epoch_checkpoint
from backend.search import refine as refine_module
from backend.search import screen as screen_module
from backend.search import tuning as tuning_module
from backend.search.compare import Run, compare
from backend.search.presets import DEPTHS
from backend.storage import journal as journal_module
from backend.storage.journal import FileJournal

TINY, OTHER = "timm:test_efficientnet", "timm:test_resnet"
TIMES = {"train_seconds", "predict_ms_per_image"}


class PowerCut(BaseException):
    """Goes through everything, as a kill does."""


class Cut:
    """A journal's disk that fails for good at its n-th write, before or after it."""

    def __init__(self, monkeypatch):
        self.left, self.late, self.written = None, False, Counter()
        for module, name in ((journal_module, "atomic_write"), (epoch_checkpoint, "atomic_file")):
            monkeypatch.setattr(module, name, self._cutting(getattr(module, name), name))

    def _cutting(self, write, name):
        def cutting(path, *args):
            self.written[name] += 1
            if self.left == 0 and not self.late:
                raise PowerCut
            done = write(path, *args)
            if self.left == 0:
                raise PowerCut
            if self.left is not None:
                self.left -= 1
            return done

        return cutting

    def after(self, writes, *, late):
        self.left, self.late = writes, late

    def never(self):
        self.left = None


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """timm's test networks pass for pretrained ones, and every epoch is worth a checkpoint."""
    for module in (refine_module, tuning_module):
        monkeypatch.setattr(module, "create_network", _as_if_pretrained(module.create_network))
    monkeypatch.setattr(refine_module, "LEAST_STEPS", 0)
    monkeypatch.setattr(epoch_checkpoint, "COST_SHARE", float("inf"))
    best = replace(DEPTHS["best"], epochs=2, refined=1, tuning_trials=3)
    monkeypatch.setitem(DEPTHS, "best", best)


def _as_if_pretrained(create):
    def created(*args, **kwargs):
        network = create(*args, **kwargs)
        network.weights = "imagenet"
        return network

    return created


@pytest.fixture
def dataset(make_zip, settings):
    return open_dataset(make_zip({"circle": 12, "square": 12}), into=settings.datasets_dir, settings=settings)


@pytest.fixture
def cut(monkeypatch):
    return Cut(monkeypatch)


RECIPES = {
    "probe": {"models": (TINY, OTHER), "strategy": "probe"},
    "finetune": {
        "models": (TINY, OTHER),
        "strategy": "finetune",
        "num_epochs": 3,
        "overrides": {"finetune.ema_decay": 0.9, "finetune.mixup_alpha": 0.2},
    },
    "trained head": {
        "models": (TINY,),
        "strategy": "finetune",
        "num_epochs": 3,
        "overrides": {"finetune.head": "train", "finetune.head_epochs": 1, "finetune.unfreeze_epochs": 1},
    },
    "best": {"models": (TINY, OTHER), "strategy": "auto", "preset": "best", "overrides": {"refine.views": 1}},
}


@pytest.fixture
def attempt(dataset, settings):
    def attempt(kind, *, cold=False):
        if cold:
            shutil.rmtree(settings.cache_dir, ignore_errors=True)
        recipe = Recipe(dataset_id=dataset.info.dataset_id, seed=3, batch_size=4, **RECIPES[kind])
        journal = FileJournal(settings.jobs_dir / "job-test")
        run = Run(settings=settings, control=RunControl(), job_id="job-test", model_id="model-test", journal=journal)
        return compare(dataset, recipe, run=run), journal

    return attempt


def comparable(outcome):
    """All of the results but what the clock says."""
    results = outcome.results.model_dump(exclude={"total_seconds"})
    results["leaderboard"] = [{k: v for k, v in row.items() if k not in TIMES} for row in results["leaderboard"]]
    results["best_model"] = {k: v for k, v in results["best_model"].items() if k not in TIMES}
    weights = torch.load(outcome.folder / "model.pth", weights_only=True)["state_dict"]
    return results, weights


def assert_equal(one, other):
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("kind", RECIPES)
def test_a_run_that_is_cut_at_any_write_ends_as_the_uninterrupted_one(kind, attempt, cut):
    outcome, journal = attempt(kind)
    expected, writes = comparable(outcome), cut.written.total()
    assert writes > 3
    journal.remove()
    for late in (False, True):
        interrupted = 0
        for _ in range(writes + 5):
            # every attempt loses its third write, so that each of the run's writes is lost once and then survived
            cut.after(2 if not late else 1, late=late)
            try:
                outcome, journal = attempt(kind)
            except PowerCut:
                interrupted += 1
                continue
            break
        cut.never()
        assert interrupted >= writes // 3
        assert_equal(comparable(outcome), expected)
        journal.remove()
