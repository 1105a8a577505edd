"""Champion and challenger: which images are fair, who is asked, what is kept, and who the champion is."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from service_fakes import dataset_info, model_info, results_record

from backend.contracts import Dataset, ImageItem, Job, RunControl, TestPrediction, TestPredictions
from backend.data.manifest import save_dataset, version_folder
from backend.errors import InputError, NotFoundError
from backend.storage.answers import write_answers
from backend.storage.catalog import Catalog
from backend.storage.comparisons import Comparisons
from backend.storage.model_registry import ModelRegistry
from backend.workflows.compare_models import (
    Rival,
    champion_of,
    compare_rivals,
    compare_with_champion,
    run_job,
)

NAMES = ("circle", "square")


def item(name, label="circle", **changes):
    fields = {"image_id": name, "path": f"images/{name}.png", "label": label, "digest": f"digest {name}"}
    return ImageItem(**{**fields, "width": 4, "height": 4, **changes})


def data(root, items, *, version=1):
    counts = {name: sum(one.label == name for one in items) for name in sorted({one.label for one in items})}
    info = dataset_info(
        version=version, total_images=len(items), class_counts=counts, num_classes=len(counts), excluded_images=0
    )
    return Dataset(info=info, root=root, items=tuple(items))


def rival(model_id, dataset, answers, *, folder, names=NAMES):
    """A model that has these answers, `{image_id: predicted}`, to its test images."""
    labels = {one.image_id: one.label for one in dataset.items}
    images = tuple(
        TestPrediction(image_id=name, label=labels[name], predicted=said, confidence=0.9)
        for name, said in answers.items()
    )
    info = model_info(model_id, dataset_version=dataset.info.version, class_names=names)
    return Rival(info=info, folder=folder, answers=TestPredictions(class_names=names, images=images), dataset=dataset)


@pytest.fixture
def install(monkeypatch):
    """Put something in the predictor's place before torch is loaded for it."""

    def put(open_model):
        module = SimpleNamespace(Predictor=SimpleNamespace(open=open_model))
        monkeypatch.setitem(sys.modules, "backend.inference.predictor", module)

    return put


@pytest.fixture
def no_predictor(install):
    def refuse(*_, **__):
        raise AssertionError("nothing had to be answered anew")

    install(refuse)


@pytest.fixture
def always_square(install):
    """A champion that takes every picture for a square; returns how many it was shown at a time."""
    shown = []

    def probabilities(pictures):
        shown.append(len(pictures))
        return np.eye(2)[[1] * len(pictures)]

    stand_in = SimpleNamespace(class_names=NAMES, probabilities=probabilities)
    install(lambda folder, settings: stand_in)
    return shown


@pytest.fixture
def first(tmp_path):
    return data(tmp_path, [item("c-1"), item("c-2"), item("c-3"), item("s-1", "square"), item("s-2", "square")])


def test_known_answers_are_compared_without_a_network(first, tmp_path, settings, no_predictor):
    champion = rival("md-1", first, {"c-1": "circle", "s-1": "circle"}, folder=tmp_path)
    second = data(tmp_path, first.items, version=2)
    challenger = rival("md-2", second, {"c-1": "circle", "s-1": "square"}, folder=tmp_path)
    outcome = compare_rivals(challenger, champion, settings=settings)
    assert (outcome.overall.images, outcome.overall.champion_right, outcome.overall.challenger_right) == (2, 1, 2)
    assert (outcome.dataset_version, outcome.champion_version, outcome.left_out, outcome.answered_anew) == (2, 1, 0, 0)
    assert outcome.by_class == "Better on square +1; too few images to be sure."
    assert outcome.notes == ()


def test_what_the_champion_learned_from_is_left_out_and_counted(first, tmp_path, settings, no_predictor):
    champion = rival("md-1", first, {"c-1": "circle"}, folder=tmp_path)
    challenger = rival("md-2", first, {"c-1": "circle", "c-2": "circle", "s-1": "square"}, folder=tmp_path)
    outcome = compare_rivals(challenger, champion, settings=settings)
    assert (outcome.overall.images, outcome.left_out, outcome.test_images) == (1, 2, 3)
    assert "2 test images were left out" in outcome.notes[0]


def test_without_a_fair_image_it_says_so(first, tmp_path, settings, no_predictor):
    champion = rival("md-1", first, {"c-1": "circle"}, folder=tmp_path)
    challenger = rival("md-2", first, {"c-2": "circle"}, folder=tmp_path)
    assert "cannot be compared" in compare_rivals(challenger, champion, settings=settings).headline


def test_the_same_picture_under_another_id_is_the_same_picture(first, tmp_path, settings, no_predictor):
    champion = rival("md-1", first, {"c-1": "circle"}, folder=tmp_path)
    copies = data(tmp_path, [item("x-1", digest="digest c-1"), item("x-2", digest="digest c-2")], version=1)
    challenger = rival("md-2", copies, {"x-1": "circle", "x-2": "circle"}, folder=tmp_path)
    outcome = compare_rivals(challenger, champion, settings=settings)
    assert (outcome.overall.images, outcome.left_out) == (1, 1)


def test_a_corrected_label_is_the_truth_for_both(first, tmp_path, settings, no_predictor):
    champion = rival("md-1", first, {"c-1": "square"}, folder=tmp_path)
    relabelled = item("c-1", "square", first_label="circle")
    second = data(tmp_path, [relabelled, *first.items[1:]], version=2)
    challenger = rival("md-2", second, {"c-1": "square"}, folder=tmp_path)
    overall = compare_rivals(challenger, champion, settings=settings).overall
    assert (overall.champion_right, overall.challenger_right) == (1, 1)


def test_pictures_that_came_later_are_shown_to_the_champion(first, tmp_path, settings, always_square):
    later = [item("n-1"), item("n-2", "square"), item("owl", "owl")]
    for one in later:
        path = tmp_path / one.path
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    champion = rival("md-1", first, {"c-1": "circle"}, folder=tmp_path)
    second = data(tmp_path, [*first.items, *later], version=2)
    names = ("circle", "owl", "square")
    answers = {"c-1": "circle", "n-1": "circle", "n-2": "circle", "owl": "owl"}
    challenger = rival("md-2", second, answers, folder=tmp_path, names=names)
    seen = []
    outcome = compare_rivals(challenger, champion, settings=settings, control=RunControl(report=seen.append))
    assert always_square == [3]
    assert (outcome.answered_anew, outcome.overall.images) == (3, 4)
    assert (outcome.overall.champion_right, outcome.overall.challenger_right) == (2, 3)
    assert any("does not know owl" in note for note in outcome.notes)
    assert any("3 images came after the champion" in note for note in outcome.notes)
    assert seen


def test_a_model_is_not_compared_with_itself(first, tmp_path, settings):
    one = rival("md-1", first, {"c-1": "circle"}, folder=tmp_path)
    with pytest.raises(InputError, match="with itself"):
        compare_rivals(one, one, settings=settings)


# -- in the service


@pytest.fixture
def stored(database, settings, first):
    """Two models of one dataset, the second trained on its second version; returns the catalogue."""
    catalog = Catalog(database)
    root = settings.datasets_dir / "ds-1"
    for version in (1, 2):
        dataset = data(root, first.items, version=version)
        save_dataset(dataset, version_folder(root, version))
        said = {"c-1": "circle", "s-1": "circle" if version == 1 else "square"}
        one = rival(f"md-{version}", dataset, said, folder=settings.models_dir / f"md-{version}")
        one.folder.mkdir(parents=True)
        write_answers(one.folder, one.answers)
        job_id = f"job-{version}"
        model = one.info.model_copy(update={"job_id": job_id})
        catalog.publish(results_record(job_id, model_id=one.info.model_id, dataset_version=version), model)
    return catalog


@pytest.fixture
def settings(settings, database):
    return settings.model_copy(update={"database_url": database.url.render_as_string(hide_password=False)})


def test_the_champion_is_the_promoted_model_else_the_one_before(stored, database):
    assert champion_of(stored.model("md-2"), stored).model_id == "md-1"
    assert champion_of(stored.model("md-1"), stored) is None
    ModelRegistry(database).promote("md-2")
    assert champion_of(stored.model("md-1"), stored).model_id == "md-2"
    assert champion_of(stored.model("md-2"), stored).model_id == "md-1"


def test_a_job_compares_and_keeps_the_outcome(stored, database, settings, no_predictor):
    job = Job(job_id="job-9", kind="compare_models", payload={"challenger": "md-2", "champion": "md-1"})
    run_job(job, control=RunControl(), settings=settings)
    kept = Comparisons(database).get("md-2", "md-1")
    assert (kept.dataset_version, kept.champion_version, kept.overall.challenger_right) == (2, 1, 2)


def test_a_retraining_ends_with_the_comparison_and_promotes_nobody(stored, database, settings, no_predictor):
    ModelRegistry(database).promote("md-1")
    outcome = compare_with_champion(stored.model("md-2"), database, settings=settings, control=RunControl())
    assert outcome == Comparisons(database).get("md-2", "md-1")
    assert [model.model_id for model in stored.models() if model.promoted] == ["md-1"]
    assert stored.resolve_model("ds-1").model_id == "md-1"


def test_a_comparison_that_cannot_be_made_does_not_undo_the_training(stored, database, settings):
    (settings.models_dir / "md-1" / "test_predictions.json").unlink()
    assert compare_with_champion(stored.model("md-2"), database, settings=settings, control=RunControl()) is None
    with pytest.raises(NotFoundError):
        Comparisons(database).get("md-2", "md-1")
