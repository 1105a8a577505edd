"""Successive halving on real networks and few images: the rungs are made small."""

import pytest

from backend.contracts import Deadline, Recipe
from backend.data import open_dataset
from backend.engine.feature_store import FeatureSource
from backend.search import rungs
from backend.search import runner as runner_module
from backend.search import screen as screen_module
from backend.search.budget import DoesNotFit
from backend.search.compare import Run, compare

# what has learned, and two small networks that have not
LITE, NET, THIRD = "efficientnet_lite0", "timm:test_efficientnet", "timm:test_resnet"


@pytest.fixture
def dataset(make_zip, settings):
    pictures = make_zip({"circle": 30, "square": 30, "cross": 30})
    return open_dataset(pictures, into=settings.datasets_dir, settings=settings)


@pytest.fixture
def small_rungs(monkeypatch):
    monkeypatch.setattr(rungs, "FIRST", 18)
    monkeypatch.setattr(rungs, "FACTOR", 2)
    monkeypatch.setattr(rungs, "ALWAYS", 2)


@pytest.fixture
def seen(monkeypatch):
    """Per network, how many images each of its probes learned from."""
    probes: dict[str, list[int]] = {}
    probe = runner_module.run_probe

    def spy(study, entrant, rung, *, watch):
        probes.setdefault(entrant.candidate.name, []).append(len(rung.places))
        return probe(study, entrant, rung, watch=watch)

    monkeypatch.setattr(runner_module, "run_probe", spy)
    return probes


def recipe(dataset, **options):
    return Recipe(dataset_id=dataset.info.dataset_id, models=(LITE, NET, THIRD), strategy="probe", **options)


def rows(results):
    return {row.name: row for row in results.leaderboard}


@pytest.mark.usefixtures("small_rungs")
def test_a_network_that_has_lost_on_few_images_is_stopped_there_and_says_so(dataset, settings, seen, monkeypatch):
    monkeypatch.setattr(screen_module, "is_tie", lambda *_: False)
    board = rows(compare(dataset, recipe(dataset), run=Run(settings=settings)).results)
    assert max(seen[LITE]) == 72
    assert seen[LITE] == [18, 36, 72]
    stopped = [name for name in (NET, THIRD) if board[name].status == "skipped"]
    assert stopped
    for name in stopped:
        assert max(seen[name]) < 72
        assert "Stopped after" in board[name].reason
        assert board[name].rank is None
        assert board[name].val_accuracy is not None
        assert board[name].train_images == max(seen[name])


@pytest.mark.usefixtures("small_rungs")
def test_whoever_ties_with_the_best_goes_on(dataset, settings, seen, monkeypatch):
    monkeypatch.setattr(screen_module, "is_tie", lambda *_: True)
    board = rows(compare(dataset, recipe(dataset), run=Run(settings=settings)).results)
    assert all(board[name].status == "ok" for name in (LITE, NET, THIRD))
    assert all(max(sizes) == 72 for sizes in seen.values())


@pytest.mark.usefixtures("small_rungs")
def test_where_nobody_can_look_at_all_images_the_best_so_far_is_the_model(dataset, settings, monkeypatch):
    probe = runner_module.run_probe

    def late(study, entrant, rung, *, watch):
        if len(rung.places) > 18:
            raise DoesNotFit("Looking at more images would take about 900 s.")
        return probe(study, entrant, rung, watch=watch)

    monkeypatch.setattr(runner_module, "run_probe", late)
    results = compare(dataset, recipe(dataset), run=Run(settings=settings)).results
    board = rows(results)
    best = board[results.best_model.name]
    assert (best.status, best.rank, best.train_images) == ("ok", 1, 18)
    assert best.accuracy is not None
    others = [board[name] for name in (LITE, NET, THIRD) if name != best.name]
    assert {row.status for row in others} == {"skipped"}
    assert any("allowed to learn from 18 of 72" in note for note in results.notes)


def test_features_of_a_lower_rung_are_not_computed_again(dataset, settings, monkeypatch):
    monkeypatch.setattr(rungs, "FIRST", 18)
    computed = []
    compute = FeatureSource._compute

    def spy(self, place_of, **how):
        computed.extend((self._request.spec.name, place) for place in place_of.values())
        return compute(self, place_of, **how)

    monkeypatch.setattr(FeatureSource, "_compute", spy)
    compare(dataset, recipe(dataset), run=Run(settings=settings))
    assert len(computed) == len(set(computed))


def test_the_deadline_of_the_recipe_replaces_the_one_that_was_handed_in(dataset, settings):
    run = Run(settings=settings)
    run.control.deadline = Deadline(0.0)
    results = compare(dataset, recipe(dataset, time_budget_s=300), run=run).results
    assert results.best_model.name
    assert 200 < run.control.deadline.remaining() <= 300
