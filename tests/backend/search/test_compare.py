import socket
from collections import Counter
from dataclasses import replace

import pytest

from backend.contracts import Dataset, Progress, Recipe, RunControl
from backend.data import open_dataset, stratified_split
from backend.engine import feature_store as feature_store_module
from backend.errors import DatasetError, JobCancelled, RecipeError
from backend.search import compare as compare_module
from backend.search import look_in as look_in_module
from backend.search import runner as runner_module
from backend.search import screen as screen_module
from backend.search import study as study_module
from backend.search import turns as turns_module
from backend.search.compare import Run, compare
from backend.search.learning_curve import advice
from backend.search.presets import DEPTHS
from backend.storage.answers import read_answers

LITE = "efficientnet_lite0"
NET = "mobilenetv3_large"  # smallest of the four defaults; from scratch here


@pytest.fixture
def dataset(make_zip, settings):
    return open_dataset(make_zip({"circle": 15, "square": 15}), into=settings.datasets_dir, settings=settings)


def recipe(dataset, **options):
    return Recipe(dataset_id=dataset.info.dataset_id, **{"models": (LITE, NET), "strategy": "probe", **options})


@pytest.fixture
def reports():
    return []


@pytest.fixture
def run(settings, reports):
    return Run(settings=settings, control=RunControl(report=reports.append), job_id="job-test", model_id="model-test")


@pytest.fixture
def no_network(monkeypatch):
    """Whoever opens a socket or looks a name up fails."""
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, lambda *args, **kwargs: pytest.fail(f"the network was touched: {args}"))


@pytest.mark.usefixtures("no_network")
def test_a_comparison_ranks_every_network_beside_the_baseline_and_saves_the_best(dataset, run, reports):
    outcome = compare(dataset, recipe(dataset), run=run)
    results = outcome.results
    assert {row.name for row in results.leaderboard} == {LITE, NET, "baseline"}
    assert all(row.status == "ok" for row in results.leaderboard)
    assert sorted(row.rank for row in results.leaderboard) == [1, 2, 3]
    networks = [row for row in results.leaderboard if row.strategy != "baseline"]
    assert results.best_model.name == networks[0].name
    assert networks[0].val_accuracy >= networks[1].val_accuracy
    weights = {row.name: (row.weights, row.weights_source) for row in networks}
    assert weights == {LITE: ("imagenet", "bundled"), NET: ("scratch", None)}
    assert (
        sum(map(sum, results.confusion_matrix.matrix))
        == results.split.test
        == sum(c.support for c in results.per_class)
    )
    assert any("from scratch" in note and NET in note for note in results.notes)
    assert {path.name for path in outcome.folder.iterdir()} >= {"model.pth", "model.json", "test_predictions.json"}
    assert_answers_agree(outcome, dataset)
    assert reports[-1].progress == 1.0
    shares = [report.progress for report in reports if report.progress is not None]
    assert shares == sorted(shares)
    finished = [
        r.candidate for r in reports if isinstance(r, Progress) and r.candidate and r.candidate.state == "succeeded"
    ]
    assert {candidate.name for candidate in finished} == {LITE, NET}


def assert_answers_agree(outcome, dataset):
    """The kept answers give the very counts of the confusion matrix, for images with their own labels."""
    answers, matrix = read_answers(outcome.folder), outcome.results.confusion_matrix
    counted = Counter((answer.label, answer.predicted) for answer in answers.images)
    cells = {
        (truth, predicted): count
        for truth, row in zip(matrix.labels, matrix.matrix, strict=True)
        for predicted, count in zip(matrix.labels, row, strict=True)
    }
    assert counted == Counter(cells)
    labels = {item.image_id: item.label for item in dataset.items}
    assert all(labels[answer.image_id] == answer.label for answer in answers.images)
    assert len({answer.image_id for answer in answers.images}) == outcome.results.split.test
    assert all(0.5 <= answer.confidence <= 1 for answer in answers.images)  # the larger one of two


def test_the_test_labels_are_read_once_after_the_last_trial_and_one_network_is_left_in_memory(
    dataset, run, monkeypatch
):
    order, held = [], []
    read, train = compare_module.read_test, runner_module.run_probe

    def spy_read(study, ranked, winner, *, places):
        order.append("read")
        held.extend(trial.candidate.name for trial in ranked if trial.model is not None)
        return read(study, ranked, winner, places=places)

    def spy_train(*args, **kwargs):
        order.append("trial")
        return train(*args, **kwargs)

    monkeypatch.setattr(compare_module, "read_test", spy_read)
    monkeypatch.setattr(runner_module, "run_probe", spy_train)
    results = compare(dataset, recipe(dataset), run=run).results
    assert order == ["trial", "trial", "read"]
    assert held == [results.best_model.name]


def test_the_test_labels_decide_nothing_but_the_test_scores(dataset, run, settings, monkeypatch):
    chosen = recipe(dataset, models=(LITE,))
    honest = compare(dataset, chosen, run=run).results
    split = stratified_split(dataset, test_size=chosen.test_size, seed=chosen.seed)
    other = {"circle": "square", "square": "circle"}
    items = [
        item.model_copy(update={"label": other[item.label]}) if place in split.test else item
        for place, item in enumerate(dataset.items)
    ]
    swapped = Dataset(info=dataset.info, root=dataset.root, items=tuple(items))
    monkeypatch.setattr(study_module, "divide", lambda *_args, **_kwargs: split)
    lied = compare(swapped, chosen, run=Run(settings=settings)).results
    assert lied.test.accuracy == pytest.approx(1 - honest.test.accuracy)
    assert lied.best_model.val_accuracy == honest.best_model.val_accuracy
    assert lied.history == honest.history


def test_the_same_seed_gives_the_same_result(dataset, run, settings):
    first = compare(dataset, recipe(dataset, models=(LITE,)), run=run).results
    second = compare(dataset, recipe(dataset, models=(LITE,)), run=Run(settings=settings)).results
    assert first.test == second.test
    assert first.confusion_matrix == second.confusion_matrix


def test_a_refinement_that_only_makes_a_network_worse_is_discarded_and_said_so(dataset, run, monkeypatch):
    monkeypatch.setitem(DEPTHS, "balanced", replace(DEPTHS["balanced"], epochs=1))
    ruinous = {"finetune.backbone_lr": 10.0, "finetune.head_lr": 10.0}
    chosen = recipe(dataset, models=(LITE,), strategy="auto", preset="balanced", overrides=ruinous)
    results = compare(dataset, chosen, run=run).results
    by_name = {row.name: row for row in results.leaderboard}
    refined = by_name[f"{LITE}:refined"]
    assert (refined.status, refined.rank) == ("skipped", None)
    assert "the probe stands" in refined.reason
    assert results.best_model.strategy == "probe"


def test_balanced_refines_the_best_probe_and_keeps_whichever_is_better(dataset, run, monkeypatch):
    monkeypatch.setitem(DEPTHS, "balanced", replace(DEPTHS["balanced"], epochs=1))
    results = compare(dataset, recipe(dataset, models=(LITE,), strategy="auto", preset="balanced"), run=run).results
    by_name = {row.name: row for row in results.leaderboard}
    assert by_name[f"{LITE}:refined"].strategy == "finetune"
    assert by_name[LITE].strategy == "probe"
    best = results.leaderboard[0]
    assert best.val_accuracy == max(row.val_accuracy for row in results.leaderboard if row.rank is not None)


def test_a_network_that_fails_is_a_row_with_its_reason_and_the_others_go_on(dataset, run, monkeypatch):
    probe = runner_module.run_probe

    def broken(study, entrant, rung, *, watch):
        if entrant.candidate.name == NET:
            raise RuntimeError("its layers fell off")
        return probe(study, entrant, rung, watch=watch)

    monkeypatch.setattr(runner_module, "run_probe", broken)
    results = compare(dataset, recipe(dataset), run=run).results
    row = next(row for row in results.leaderboard if row.name == NET)
    assert (row.status, row.rank) == ("failed", None)
    assert "its layers fell off" in row.reason
    assert results.best_model.name == LITE


def test_when_every_network_fails_the_error_says_why_for_each(dataset, run, monkeypatch):
    def broken(study, entrant, rung, *, watch):
        raise MemoryError

    monkeypatch.setattr(runner_module, "run_probe", broken)
    with pytest.raises(DatasetError, match=f"'{NET}' [(]Not enough memory"):
        compare(dataset, recipe(dataset), run=run)
    assert not run.folder.exists()


def test_cancelling_after_a_network_has_finished_leaves_a_model_of_the_best(dataset, settings):
    finished = []

    def report(progress):
        if progress.candidate is not None and progress.candidate.state == "succeeded":
            finished.append(progress.candidate.name)

    control = RunControl(report=report, cancelled=lambda: bool(finished))
    outcome = compare(dataset, recipe(dataset), run=Run(settings=settings, control=control))
    assert control.ended_early
    rows = {row.name: row for row in outcome.results.leaderboard if row.strategy != "baseline"}
    assert sorted(row.status for row in rows.values()) == ["ok", "skipped"]
    assert rows[finished[0]].status == "ok"
    assert outcome.results.best_model.name == finished[0]
    assert compare_module.CANCELLED in outcome.results.notes
    assert (outcome.folder / "model.pth").is_file()
    assert_answers_agree(outcome, dataset)


def test_cancelling_stops_the_run_and_leaves_no_model(dataset, settings):
    run = Run(settings=settings, control=RunControl(cancelled=lambda: True))
    with pytest.raises(JobCancelled):
        compare(dataset, recipe(dataset), run=run)
    assert not run.folder.exists()


def test_a_used_up_budget_skips_the_rest_but_the_first_network_finishes(dataset, run, monkeypatch):
    monkeypatch.setattr(turns_module.TrialControl, "check", _expired)
    results = compare(dataset, recipe(dataset, time_budget_s=60), run=run).results
    states = {row.name: row.status for row in results.leaderboard}
    assert states.pop("baseline") == "ok"
    assert sorted(states.values()) == ["ok", "skipped"]
    skipped = next(row for row in results.leaderboard if row.status == "skipped")
    assert "used up" in skipped.reason


def _expired(self):
    from backend.errors import DeadlineExceeded

    raise DeadlineExceeded("used up")


def test_a_subset_of_the_classes_is_all_that_is_learned(make_zip, settings, run):
    dataset = open_dataset(
        make_zip({"circle": 15, "cross": 15, "square": 15}), into=settings.datasets_dir, settings=settings
    )
    results = compare(dataset, recipe(dataset, models=(LITE,), classes=("circle", "square")), run=run).results
    assert results.class_names == ("circle", "square")
    assert results.split.train + results.split.val + results.split.test == 30


def test_an_unknown_override_is_refused_with_the_nearest_key(dataset, run):
    with pytest.raises(RecipeError, match=r"finetune\.backbone_lr"):
        compare(dataset, recipe(dataset, overrides={"finetune.backbone_rl": 1}), run=run)


def test_a_disk_that_fills_up_while_the_model_is_saved_leaves_no_part_of_it(dataset, run, monkeypatch):
    def full(folder, answers):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backend.engine.bundle.write_answers", full)
    with pytest.raises(OSError, match="No space left"):
        compare(dataset, recipe(dataset, models=(LITE,)), run=run)
    assert not run.folder.exists()


def test_a_second_run_on_the_same_data_computes_no_feature_and_builds_the_winner_alone(
    dataset, run, settings, monkeypatch
):
    first = compare(dataset, recipe(dataset), run=run).results
    built = []
    create = feature_store_module.create_network
    monkeypatch.setattr(
        feature_store_module, "create_network", lambda spec, **how: built.append(spec.name) or create(spec, **how)
    )
    monkeypatch.setattr(feature_store_module.FeatureSource, "_compute", lambda *_, **__: pytest.fail("computed"))
    second = compare(dataset, recipe(dataset), run=Run(settings=settings)).results
    assert built == [second.best_model.name]
    assert second.test == first.test
    networks = len([row for row in first.leaderboard if row.strategy == "probe"])
    assert (first.features.at_hand, first.features.networks) == (0, networks)
    assert second.features.at_hand == second.features.images == first.features.images == networks * len(dataset.items)


def test_what_cannot_fit_the_budget_is_skipped_with_its_estimate(dataset, run, monkeypatch):
    estimate = feature_store_module.FeatureSource.estimate_seconds

    def slow(self, count):
        return 1000.0 if self._request.spec.name == NET else estimate(self, count)

    monkeypatch.setattr(feature_store_module.FeatureSource, "estimate_seconds", slow)
    monkeypatch.setattr(feature_store_module.FeatureSource, "cached", lambda *_: False)
    monkeypatch.setattr(screen_module, "TIGHT", 0.0)
    results = compare(dataset, recipe(dataset, time_budget_s=120), run=run).results
    row = next(row for row in results.leaderboard if row.name == NET)
    assert (row.status, row.rank) == ("skipped", None)
    assert "would take about" in row.reason
    assert "time_budget_s" in row.reason
    assert results.best_model.name == LITE


def test_results_say_how_sure_the_winner_is_and_whether_more_pictures_would_help(dataset, run):
    results = compare(dataset, recipe(dataset, models=(LITE,)), run=run).results
    assert results.calibration is not None
    assert results.calibration.log_loss_after <= results.calibration.log_loss_before
    assert [point.train_images for point in results.learning_curve] == sorted(
        point.train_images for point in results.learning_curve
    )
    assert len(results.learning_curve) == 4
    assert results.learning_curve_advice == advice(results.learning_curve)
    assert results.imbalance is not None
    assert (results.imbalance.balanced, results.imbalance.ranked_by) == (False, "accuracy")
    assert results.leaderboard[0].train_images == results.split.train + results.split.val


def test_uneven_classes_are_balanced_and_ranked_by_macro_f1_unless_somebody_says_otherwise(make_zip, settings):
    uneven = open_dataset(make_zip({"circle": 24, "square": 6}), into=settings.datasets_dir, settings=settings)
    found = compare(uneven, recipe(uneven, models=(LITE,)), run=Run(settings=settings)).results.imbalance
    assert (found.ratio, found.balanced, found.ranked_by, found.automatic) == (4.0, True, "macro_f1", True)
    chosen = recipe(uneven, models=(LITE,), class_balance="plain", rank_by="accuracy")
    plain = compare(uneven, chosen, run=Run(settings=settings)).results.imbalance
    assert (plain.balanced, plain.ranked_by, plain.automatic) == (False, "accuracy", False)


def test_the_saved_network_answers_with_the_calibrated_confidence(dataset, run, monkeypatch):
    from backend.data.pictures import open_picture
    from backend.inference.predictor import Predictor

    calibrate = look_in_module.calibrate
    monkeypatch.setattr(
        look_in_module, "calibrate", lambda *args: calibrate(*args).model_copy(update={"temperature": 3.0})
    )
    outcome = compare(dataset, recipe(dataset, models=(LITE,)), run=run)
    answers = read_answers(outcome.folder)
    predictor = Predictor.open(outcome.folder, settings=run.settings)
    items = {item.image_id: item for item in dataset.items}
    pictures = [open_picture(dataset.root, items[one.image_id].path, max_pixels=10**8) for one in answers.images]
    served = predictor.probabilities(pictures).max(axis=1)
    assert served == pytest.approx([one.confidence for one in answers.images], abs=0.03)
