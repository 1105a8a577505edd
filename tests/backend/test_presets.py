"""Dotted words for a whole recipe, and the preset's numbers where nobody said any."""

import pytest
from pydantic import ValidationError

from backend.contracts import Recipe
from backend.contracts.presets import FIELD_KEYS, OTHER_NAMES, preset_names
from backend.errors import RecipeError


def recipe(**values: object) -> Recipe:
    made = Recipe.model_validate({"dataset_id": "ds-1", **values})
    made.check_overrides()
    return made


def test_a_whole_run_can_be_said_in_dotted_words() -> None:
    made = recipe(
        overrides={
            "model.name": "convnext_tiny_cbam",
            "loss.type": "focal",
            "loss.alpha": "dynamic",
            "loss.gamma": 2.0,
            "data.batch_size": 6,
            "data.split": "stratified_70_15_15",
            "data.resolution": [256, 1600],
            "training.num_epochs": 100,
            "training.early_stopping_patience": 15,
            "training.warmup_epochs": 3,
            "training.accumulate": 4,
            "optimizer.lr": 0.001,
            "optimizer.weight_decay": 0.05,
            "augment.vertical_flip": True,
            "experiment.seed": 7,
        }
    )

    assert (made.models, made.num_epochs, made.batch_size, made.seed) == (("convnext_tiny_cbam",), 100, 6, 7)
    assert (made.loss.type, made.loss.alpha, made.loss.gamma) == ("focal", "dynamic", 2.0)
    assert made.data.resolution == (256, 1600)
    assert (made.finetune.patience, made.finetune.warmup_epochs, made.finetune.accumulate) == (15, 3, 4)
    assert (made.finetune.backbone_lr, made.finetune.weight_decay) == (0.001, 0.05)
    assert made.augmentation_switches == {"vertical_flip": True}


@pytest.mark.parametrize("values", [{}, {"preset": "defects"}, {"preset": "defects", "strategy": "auto"}])
def test_a_recipe_that_was_stored_reads_back_as_it_was(values: dict[str, object]) -> None:
    made = recipe(**values, overrides={"experiment.seed": 9, "optimizer.lr": 0.01})

    assert Recipe.model_validate_json(made.model_dump_json()) == made


def test_the_preset_learns_by_the_task_s_own_loss_and_focal_loss_takes_one_word() -> None:
    plain, focal = recipe(preset="defects"), recipe(preset="defects", overrides={"loss.type": "focal"})

    assert plain.loss.entry("multilabel").name == "bce"
    assert plain.loss.entry("multiclass").name == "cross_entropy"
    assert focal.loss.type == "focal"


def test_the_preset_says_what_nobody_said_and_no_more() -> None:
    made = recipe(preset="defects", num_epochs=3, overrides={"loss.type": "bce", "optimizer.lr": 0.01})

    assert made.strategy == "finetune"
    assert made.num_epochs == 3
    assert made.loss.type == "bce"
    assert made.finetune.backbone_lr == 0.01
    assert made.data.resolution == "full"
    assert made.model.cbam
    assert made.augmentations == ("horizontal_flip", "vertical_flip")


def test_another_strategy_is_not_overruled_by_the_preset() -> None:
    made = recipe(preset="defects", strategy="probe")

    assert made.strategy == "probe"
    assert made.data.resolution == "network"


@pytest.mark.parametrize("preset", sorted(preset_names()))
def test_every_number_of_a_preset_is_a_setting_within_its_bounds(preset: str) -> None:
    assert recipe(preset=preset).preset == preset


def test_every_other_name_means_a_setting_that_there_is() -> None:
    for key, meant in OTHER_NAMES.items():
        section, _, name = meant.partition(".")
        default = type(getattr(recipe(), section)).model_fields[name].default
        recipe(overrides={key: 1 if default is None else default})
    assert set(FIELD_KEYS.values()) <= set(Recipe.model_fields)


def test_a_field_and_its_dotted_word_must_agree() -> None:
    assert recipe(seed=5, overrides={"experiment.seed": 5}).seed == 5
    with pytest.raises(ValidationError, match="say it once"):
        recipe(seed=5, overrides={"experiment.seed": 6})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training.num_epoch", 3, "training.num_epochs"),
        ("loss.typ", "focal", "loss.type"),
        ("optimiser.lr", 0.1, "optimizer.lr"),
        ("model.cbamm", True, "model.cbam"),
        ("model.gamma", 2, r"Did you mean 'loss\.gamma'\? Allowed: .*model\.name.*, loss\.gamma\.$"),
        ("gamma", 2, r"Did you mean 'loss\.gamma'"),
        ("data.seed", 2, r"Did you mean 'experiment\.seed'"),
        ("finetune.gamma", 2, r"Did you mean 'loss\.gamma'"),
        ("optimizer.learning_rate", 2, r"Did you mean 'optimizer\.lr'"),
        ("training.lr", 2, r"Did you mean 'optimizer\.lr'"),
        ("loss.folds", 2, r"Did you mean '(probe|refine)\.folds'"),
        ("probe.folds_", 2, r"Did you mean 'probe\.folds'"),
        ("model.nmae", "x", r"Did you mean 'model\.name'"),
        ("loss.gamma", True, "true or false"),
        ("loss.gamma", -1, "loss.gamma"),
        ("data.resolution", "ful", "data.resolution"),
        ("augment.vertical_flip", 1, "true or false is needed"),
    ],
)
def test_a_wrong_word_or_value_is_named_with_the_nearest_right_one(key: str, value: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(overrides={key: value})


@pytest.mark.parametrize("written", ["[256, 1600]", "256x1600", "256, 1600", [256, 1600]])
def test_a_size_may_be_written_as_a_form_or_a_command_line_brings_it(written: object) -> None:
    assert recipe(overrides={"data.resolution": written}).data.resolution == (256, 1600)


@pytest.mark.parametrize("asked", [[64, 64], [256, 1600], [0.9, 1, 0.25]])
def test_a_list_is_kept_in_the_numbers_that_were_asked_for(asked: list[float]) -> None:
    key = "loss.alpha" if 1 in asked else "data.resolution"
    kept = Recipe.model_validate_json(recipe(overrides={key: asked}).model_dump_json()).overrides[key]

    assert repr(kept) == repr(tuple(asked))  # 64 == 64.0, and a person reads the two otherwise


def test_weights_may_be_written_as_text() -> None:
    made = recipe(overrides={"loss.type": "focal", "loss.alpha": "0.9, 0.25,1"})

    assert made.loss.alpha == (0.9, 0.25, 1)
    assert recipe(overrides={"loss.alpha": "0.25"}).loss.alpha == 0.25


def test_a_size_that_no_network_could_see_is_refused() -> None:
    for wrong in ("16x16", "256", [256, 1600, 3], "10000x10000"):
        with pytest.raises(RecipeError, match=r"data\.resolution"):
            recipe(overrides={"data.resolution": wrong})
