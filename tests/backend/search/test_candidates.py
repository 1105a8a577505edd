import pytest

from backend.config import Settings
from backend.contracts import Recipe
from backend.errors import RecipeError
from backend.search import candidates
from backend.search.candidates import default_names, list_candidates, plan

FOUR = {"mobilenetv3_large", "resnet18", "efficientnet_b0", "vit_base"}


def recipe(**options):
    return Recipe(dataset_id="ds-test", **options)


def test_without_a_hub_the_four_defaults_stay_and_the_bundled_networks_join(settings):
    names = set(default_names(settings))
    assert names >= FOUR
    assert {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"} <= names


def test_where_all_four_have_weights_only_the_four_are_compared(settings, tmp_path):
    from backend.engine.models import MODELS

    for spec in MODELS:
        if spec.default:
            (tmp_path / f"{spec.timm_name}.pth").write_bytes(b"weights")
    local = Settings(data_dir=settings.data_dir, offline=True, weights_dir=tmp_path)
    assert set(default_names(local)) == FOUR


def test_the_list_says_where_each_networks_weights_come_from(settings):
    listed = {candidate.name: candidate for candidate in list_candidates(settings)}
    assert listed["efficientnet_lite0"].weights == "imagenet"
    assert listed["efficientnet_lite0"].weights_source == "bundled"
    assert listed["resnet18"].weights == "scratch"
    assert listed["resnet18"].weights_source is None


def test_a_plan_runs_the_cheapest_first_and_each_once(settings):
    planned = plan(recipe(models=("vit_base", "resnet18", "vit_base")), settings)
    assert [candidate.name for candidate in planned] == ["resnet18", "vit_base"]


def test_an_unknown_network_is_refused_with_the_nearest_name(settings):
    with pytest.raises(RecipeError, match="resnet18"):
        plan(recipe(models=("resnet81",)), settings)


@pytest.mark.parametrize(
    ("known", "expected"), [({"convnext_tiny"}, "convnext_tiny_cbam"), (set(), "efficientnet_lite0_cbam")]
)
def test_preset_defects_takes_convnext_where_its_weights_are_to_be_had(settings, monkeypatch, known, expected):
    monkeypatch.setattr(candidates, "locate", lambda spec, settings: "folder" if spec.timm_name in known else None)
    [chosen] = plan(Recipe(dataset_id="ds-1", preset="defects"), settings)
    assert chosen.name == expected


def test_preset_defects_without_attention_is_the_same_network_without_it(settings):
    [chosen] = plan(recipe(preset="defects", overrides={"model.cbam": False}), settings)
    assert chosen.name == "efficientnet_lite0"


@pytest.mark.parametrize(
    ("options", "missing", "instead"),
    [
        ({"overrides": {"model.cbam": True}}, "model.cbam=true", "model.cbam=false"),
        ({"overrides": {"model.pooling": "max"}}, "model.pooling=max", "model.pooling=average"),
        ({"overrides": {"data.resolution": (64, 96)}}, r"data.resolution=\[64,96\]", "data.resolution=network"),
        ({"preset": "defects", "overrides": {"model.cbam": True}}, "and data.resolution=full", "model.cbam=false"),
    ],
)
def test_a_transformer_that_is_named_is_refused_what_it_cannot_have(settings, options, missing, instead):
    with pytest.raises(RecipeError, match=f"'vit_tiny' is a transformer.*{missing}.*efficientnet_lite0.*{instead}"):
        plan(recipe(models=("resnet18", "vit_tiny"), **options), settings)


def test_a_transformer_with_attention_in_its_name_is_told_the_name_without(settings):
    with pytest.raises(RecipeError, match=r"'vit_tiny_cbam' is a transformer.*model\.name=vit_tiny model\.cbam=false"):
        plan(recipe(models=("vit_tiny_cbam",)), settings)


def test_where_no_network_is_named_those_that_cannot_have_attention_are_left_out(settings):
    assert "vit_base" in {one.name for one in plan(recipe(), settings)}
    names = {one.name for one in plan(recipe(overrides={"model.cbam": True}), settings)}
    assert "resnet18_cbam" in names
    assert not any(name.startswith("vit") for name in names)


def test_a_name_with_attention_and_a_setting_without_it_do_not_agree(settings):
    with pytest.raises(RecipeError, match="Write 'resnet18'"):
        plan(recipe(models=("resnet18_cbam",), overrides={"model.cbam": False}), settings)


def test_attention_is_put_on_every_network_that_was_named_and_on_none_twice(settings):
    recipe = Recipe(
        dataset_id="ds-1", models=("resnet18", "resnet18_cbam", "convnext_tiny"), overrides={"model.cbam": True}
    )
    assert {one.name for one in plan(recipe, settings)} == {"resnet18_cbam", "convnext_tiny_cbam"}
