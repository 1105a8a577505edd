"""A run that is cut short at any point of its journal goes on, and ends with the uninterrupted run's results."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from backend.contracts import FeatureUse, Recipe, RunControl
from backend.data import open_dataset
from backend.engine import epoch_checkpoint, kept_network
from backend.search import refine as refine_module
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
        monkeypatch.setattr(journal_module, "atomic_write", self._cutting(journal_module.atomic_write, "notes"))
        for module in (epoch_checkpoint, kept_network):
            name = module.__name__.rpartition(".")[2]
            monkeypatch.setattr(module, "atomic_file", self._cutting_file(module.atomic_file, name))

    def _cutting(self, write, name):
        def cutting(path, data):
            self._count(name, done=False)
            write(path, data)
            self._count(name, done=True)

        return cutting

    def _cutting_file(self, write, name):
        @contextmanager
        def cutting(path):
            with write(path) as temporary:
                yield temporary
                self._count(name, done=False)
            self._count(name, done=True)

        return cutting

    def _count(self, name, *, done):
        if self.left == 0 and done == self.late:
            raise PowerCut
        if done:
            self.written[name] += 1
            self.left = None if self.left is None else max(0, self.left - 1)

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
    def attempt(kind):
        recipe = Recipe(dataset_id=dataset.info.dataset_id, seed=3, batch_size=4, **RECIPES[kind])
        journal = FileJournal(settings.jobs_dir / "job-test")
        run = Run(settings=settings, control=RunControl(), job_id="job-test", model_id="model-test", journal=journal)
        return compare(dataset, recipe, run=run), journal

    attempt.folder = settings.jobs_dir / "job-test"
    return attempt


def comparable(outcome):
    """All of the results but what the clock says, and what an earlier run has left on the disk."""
    results = outcome.results.model_dump(exclude={"total_seconds", "features"})
    results["leaderboard"] = [{k: v for k, v in row.items() if k not in TIMES} for row in results["leaderboard"]]
    results["best_model"] = {k: v for k, v in results["best_model"].items() if k not in TIMES}
    weights = torch.load(outcome.folder / "model.pth", weights_only=True)["state_dict"]
    return results, weights


def assert_equal(one, other):
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


# How many writes each attempt survives, as few as there can be: a trial and its network are two, opening is one. More
# where an attempt takes seconds.
@pytest.mark.parametrize(("kind", "survived"), [("probe", 2), ("finetune", 3), ("trained head", 3), ("best", 8)])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_run_that_is_cut_at_every_write_ends_as_the_uninterrupted_one(kind, survived, late, attempt, cut):
    """Each attempt dies at a later write than the one before, until one comes through; `late`: right after it."""
    outcome, journal = attempt(kind)
    expected, writes = comparable(outcome), cut.written.copy()
    journal.remove()
    cut.written.clear()
    interrupted = 0
    while True:
        cut.after(survived, late=late)
        try:
            outcome, journal = attempt(kind)
        except PowerCut:
            interrupted += 1
            assert interrupted <= writes.total(), "no attempt comes further than the one before"
            continue
        break
    cut.never()
    assert interrupted >= (writes.total() - 2) // survived
    assert_equal(comparable(outcome), expected)
    # each attempt opens the journal anew; beyond that nothing that was written is written again
    assert cut.written.total() <= writes.total() + 2 * interrupted
    assert not list(journal.folder.parent.rglob(".tmp-*"))
    journal.remove()
    assert not journal.folder.parent.exists()


def test_features_of_an_earlier_attempt_are_none_of_an_earlier_run(attempt, cut, settings):
    """Whichever write an attempt dies at, the run's own features are not told as what it found."""
    cut.after(6, late=True)
    with pytest.raises(PowerCut):
        attempt("probe")
    assert list((settings.cache_dir / "features").rglob("plain/*")), "the cut came after some work"
    cut.never()
    outcome, journal = attempt("probe")
    assert outcome.results.features == FeatureUse(images=48, at_hand=0, networks=2)
    journal.remove()
    outcome, _ = attempt("probe")
    assert outcome.results.features == FeatureUse(images=48, at_hand=48, networks=2)


def test_a_journal_of_another_recipe_is_of_no_use(attempt, cut):
    _, journal = attempt("probe")
    before = cut.written.total()
    attempt("probe")
    assert cut.written.total() == before + 1  # that there is another attempt
    _, journal = attempt("finetune")
    assert cut.written.total() > before + 4
    assert journal.folder.parent.name == "job-test"


def test_time_that_earlier_attempts_used_counts(attempt, cut):
    cut.after(4, late=False)
    with pytest.raises(PowerCut):
        attempt("probe")
    cut.never()
    (attempt.folder / "clock.json").write_text('{"used_s": 1000.0}')
    outcome, _ = attempt("probe")
    assert outcome.results.total_seconds > 1000
