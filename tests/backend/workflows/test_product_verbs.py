"""The verbs on real rooms: an archive in, a job run, a model published, a picture answered, a file taken home."""

import base64
import io
import json

import pytest
from PIL import Image

from backend.contracts import Job, Recipe, RunControl
from backend.data.manifest import load_dataset
from backend.data.pictures import read_picture
from backend.errors import DatasetError, ImageError, InputError, NotFoundError, RecipeError
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.workflows.candidates import check_timm_networks
from backend.workflows.explain import explain_image
from backend.workflows.export_model import export_model
from backend.workflows.import_dataset import import_dataset
from backend.workflows.predict import loaded_predictor, predict_image
from backend.workflows.train_images import check_recipe, model_id_of, recipe_from, run_job, train_archive

LITE = "efficientnet_lite0"


@pytest.fixture
def catalog(settings):
    database = Database(settings.resolved_database_url)
    database.migrate()
    yield Catalog(database)
    database.close()


@pytest.fixture
def dataset(make_zip, settings, catalog):
    with make_zip({"circle": 12, "square": 12}).open("rb") as upload:
        return load_dataset(import_dataset(upload, name="drawn", settings=settings, catalog=catalog).root)


def job_for(dataset, **options):
    payload = {"dataset_id": dataset.info.dataset_id, "models": [LITE], "strategy": "probe", **options}
    return Job(job_id="job-0123456789", kind="train_images", dataset_id=dataset.info.dataset_id, payload=payload)


@pytest.fixture
def picture(dataset):
    return read_picture(dataset.root, dataset.items[0].path)


def test_an_imported_dataset_is_listed_and_opens_again(dataset, settings, catalog):
    assert [info.dataset_id for info in catalog.datasets()] == [dataset.info.dataset_id]
    assert dataset.root == settings.datasets_dir / dataset.info.dataset_id
    assert len(dataset.items) == dataset.info.total_images == 24


def test_a_bad_archive_leaves_neither_a_row_nor_a_file(settings, catalog, make_zip):
    with make_zip({"circle": 3}).open("rb") as upload, pytest.raises(DatasetError):
        import_dataset(upload, name="one class", settings=settings, catalog=catalog)
    assert catalog.datasets() == []
    assert not settings.datasets_dir.exists() or not any(settings.datasets_dir.iterdir())


def test_a_job_publishes_one_model_however_often_it_is_run(dataset, settings, catalog, picture):
    for _ in range(2):
        run_job(job_for(dataset), control=RunControl(), settings=settings)
    results = catalog.results_for_dataset(dataset.info.dataset_id)
    assert [model.model_id for model in catalog.models()] == [results.model_id] == [model_id_of("job-0123456789")]
    model = catalog.resolve_model(dataset.info.dataset_id)
    folder = settings.models_dir / model.model_id

    answer = predict_image(settings, folder, picture, top_k=5, explain=True)
    assert [entry.label for entry in answer.predictions] == sorted(
        (entry.label for entry in answer.predictions), key=lambda label: -_confidence(answer, label)
    )
    assert len(answer.predictions) == 2
    assert Image.open(io.BytesIO(base64.b64decode(answer.heatmap_png))).size == Image.open(io.BytesIO(picture)).size
    assert answer.model.accuracy == results.test.accuracy

    predictor = loaded_predictor(settings, folder)
    probabilities = predictor.probabilities([Image.open(io.BytesIO(picture))])[0]
    assert max(probabilities) == pytest.approx(answer.predictions[0].confidence, abs=1e-5)

    with pytest.raises(InputError, match="triangle"):
        explain_image(settings, folder, picture, class_name="triangle")
    with pytest.raises(ImageError):
        predict_image(settings, folder, b"no picture at all")
    with pytest.raises(InputError, match="pth"):
        export_model(settings, model, format="docx")
    with pytest.raises(NotFoundError):
        predict_image(settings, settings.models_dir / "model-gone", picture)


def _confidence(answer, label):
    return next(entry.confidence for entry in answer.predictions if entry.label == label)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"classes": ["circle", "sqare"]}, "square"),
        ({"models": ["resnet81"]}, "resnet18"),
        ({"augmentations": ["horizontal_flop"]}, "horizontal_flip"),
        ({"overrides": {"finetune.head_rl": 1}}, "finetune.head_lr"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_with_the_nearest_right_word(dataset, settings, options, named):
    recipe = recipe_from(options, dataset.info.dataset_id)
    with pytest.raises(RecipeError, match=f"Did you mean '{named}'"):
        check_recipe(recipe, dataset.info, settings=settings)


def test_a_loose_option_that_does_not_exist_is_refused():
    with pytest.raises(RecipeError, match="num_epochs"):
        recipe_from({"num_epoch": 3}, "ds-test")


def test_an_unknown_timm_network_is_refused_with_the_nearest():
    check_timm_networks(Recipe(dataset_id="ds-test", models=("timm:resnet10t",)))
    with pytest.raises(RecipeError, match="resnet10t"):
        check_timm_networks(Recipe(dataset_id="ds-test", models=("timm:resnet10x",)))


@pytest.mark.parametrize(
    ("network", "setting", "said"),
    [
        ("timm:swin_tiny_patch4_window7_224", {"model.cbam": True}, "Choose a convolutional network"),
        ("timm:mixer_b16_224_cbam", {}, "Choose a convolutional network"),
        ("timm:deit_tiny_patch16_224", {"model.pooling": "max"}, "choose a convolutional network"),
        ("timm:deit_tiny_patch16_224", {"data.resolution": "full"}, "choose a convolutional network"),
    ],
)
def test_a_timm_network_that_cannot_be_what_is_asked_is_refused_before_it_is_built(network, setting, said):
    with pytest.raises(RecipeError, match=said):
        check_timm_networks(Recipe(dataset_id="ds-test", models=(network,), overrides=setting))


@pytest.mark.parametrize(
    "name", ["resnet10t", "convnextv2_atto", "seresnet50", "efficientnetv2_rw_t", "mobilenetv4_conv_small"]
)
def test_a_timm_network_of_feature_maps_may_have_attention_at_full_resolution(name):
    wanted = {"model.cbam": True, "model.pooling": "max", "data.resolution": "full"}
    check_timm_networks(Recipe(dataset_id="ds-test", models=(f"timm:{name}",), overrides=wanted))


def test_training_without_a_service_refuses_an_unknown_timm_network_before_it_begins(make_zip, settings, tmp_path):
    archive = make_zip({"circle": 3, "square": 3})
    with pytest.raises(RecipeError, match="timm has no network"):
        train_archive(archive, {"models": ["timm:../../etc"]}, out=tmp_path / "out", settings=settings)
    assert not (tmp_path / "out" / "models").exists()


def test_training_without_a_service_leaves_results_and_a_model(make_zip, settings, tmp_path):
    options = {"models": [LITE], "strategy": "probe"}
    results, folder = train_archive(
        make_zip({"circle": 9, "square": 9}), options, out=tmp_path / "out", settings=settings
    )
    experiment = json.loads((tmp_path / "out" / "results.json").read_text())["experiment"]
    assert experiment["network"] == LITE
    assert (experiment["best_epoch"], experiment["loss"]) == (None, None)  # a linear head on frozen features
    assert experiment["best_validation"]["accuracy"] == results.best_model.val_accuracy
    assert experiment["parameters"] > 3_000_000
    assert (tmp_path / "out" / "config.yaml").exists()
    assert (tmp_path / "out" / "model_final.pt").read_bytes() == (folder / "model.pth").read_bytes()
    assert folder.name == results.model_id
