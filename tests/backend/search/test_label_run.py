"""The whole search where an image may have several labels: cheap networks, small pictures, real training."""

import csv
import io
import zipfile

import numpy as np
import pytest

from backend.contracts import Recipe, RunControl
from backend.data import open_dataset
from backend.engine.bundle import load_bundle
from backend.search.compare import Run, compare
from tests.conftest import draw_picture, png_bytes

LITE = "efficientnet_lite0"
LABELS = ("circle", "cross")
QUICK = {"refine.folds": 2, "refine.views": 1}


def several_zip(folder, *, images=36):
    """Pictures with a circle, a cross, both side by side, or neither."""
    random = np.random.default_rng(0)
    target, rows = folder / "several.zip", io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(("filename", *LABELS))
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(images):
            present = [number % 2, (number // 2) % 2]
            picture = draw_picture("circle", 9000 + number, size=(96, 48)).resize((96, 48))
            halves = [
                draw_picture(name, number * 10 + place) if one else draw_picture("square", int(random.integers(1e6)))
                for place, (name, one) in enumerate(zip(LABELS, present, strict=True))
            ]
            for place, half in enumerate(halves):
                picture.paste(half, (48 * place, 0))
            archive.writestr(f"{number:03}.png", png_bytes(picture))
            writer.writerow((f"{number:03}.png", *present))
        archive.writestr("labels.csv", rows.getvalue())
    return target


@pytest.fixture
def dataset(tmp_path, settings):
    return open_dataset(several_zip(tmp_path), into=settings.datasets_dir, settings=settings)


def recipe(dataset, **options):
    return Recipe(dataset_id=dataset.info.dataset_id, **{"models": (LITE,), **options})


def run_of(settings, **options):
    return Run(settings=settings, control=RunControl(), job_id="job-labels", model_id="model-labels", **options)


def test_a_refinement_is_judged_label_by_label_and_saved_with_its_thresholds(dataset, settings):
    """A real refinement: the one way that trains by BCE, cross-fits and passes the gate."""
    outcome = compare(dataset, recipe(dataset, preset="balanced", overrides=QUICK), run=run_of(settings))
    rows = {row.name: row for row in outcome.results.leaderboard}
    refined = rows[f"{LITE}:refined"]
    assert refined.status in {"ok", "skipped"}
    assert "mean average precision" in refined.reason
    assert outcome.model.task == "multilabel"
    assert len(outcome.model.thresholds) == 2
    bundle = load_bundle(outcome.folder, settings=settings)
    assert bundle.network.task == "multilabel"
    history = outcome.results.history[refined.name]
    assert history[-1].train_loss < history[1].train_loss  # the first is the solved head, before any step


def test_a_plain_fine_tune_learns_several_labels(dataset, settings):
    chosen = recipe(dataset, strategy="finetune", num_epochs=2)
    results = compare(dataset, chosen, run=run_of(settings)).results
    best = results.leaderboard[0]
    assert (best.strategy, best.status) == ("finetune", "ok")
    assert 0 <= best.val_mean_average_precision <= 1
    assert len(results.per_class) == 2


def test_a_run_that_is_taken_up_again_ends_at_the_same_results(dataset, settings, tmp_path):
    from backend.storage.journal import FileJournal

    chosen = recipe(dataset, strategy="probe")
    whole = compare(dataset, chosen, run=run_of(settings)).results
    first = FileJournal(tmp_path / "journal")
    compare(dataset, chosen, run=run_of(settings, journal=first))
    again = compare(dataset, chosen, run=run_of(settings, journal=FileJournal(tmp_path / "journal"))).results
    assert again.test == whole.test
    assert again.label_confusion == whole.label_confusion
    assert [row.val_mean_average_precision for row in again.leaderboard] == [
        row.val_mean_average_precision for row in whole.leaderboard
    ]


def test_ranking_can_be_chosen(dataset, settings):
    results = compare(dataset, recipe(dataset, strategy="probe", rank_by="macro_f1"), run=run_of(settings)).results
    assert results.imbalance.ranked_by == "macro_f1"
    assert any("macro-F1" in note for note in results.notes)
