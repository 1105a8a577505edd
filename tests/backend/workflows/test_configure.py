"""What is typed becomes a recipe: Hydra's grammar, presets, a configuration that is read back."""

import subprocess
import sys
from typing import get_args

import pytest
import yaml

from backend.contracts import Preset, Recipe
from backend.contracts.presets import preset_names
from backend.errors import InputError, RecipeError, SightglassError
from backend.workflows.configure import above, composed_preset, options_of, read_config, sweep_of, write_config

WHOLE = (
    "preset=defects model.name=convnext_tiny_cbam loss.type=focal loss.alpha=dynamic loss.gamma=2.0 data.batch_size=6 "
    "data.split=stratified_70_15_15 training.num_epochs=100 training.early_stopping_patience=15 optimizer.lr=0.001 "
    "experiment.seed=42"
)


def recipe(options):
    made = Recipe.model_validate({"dataset_id": "ds-1", **options})
    made.check_overrides()
    return made


def typed(*texts):
    return recipe(options_of(texts))


def test_a_whole_run_is_written_in_one_line():
    made = typed(*WHOLE.split())
    assert (made.preset, made.models, made.num_epochs, made.batch_size) == ("defects", ("convnext_tiny_cbam",), 100, 6)
    assert (made.loss.type, made.loss.alpha, made.loss.gamma) == ("focal", "dynamic", 2.0)
    assert (made.finetune.patience, made.finetune.backbone_lr, made.seed) == (15, 0.001, 42)
    assert made.data.resolution == "full"  # the preset's
    assert made.strategy == "finetune"


@pytest.mark.parametrize("name", get_args(Preset))
def test_hydra_composes_what_the_recipe_makes_of_a_preset_s_name(name):
    assert recipe(composed_preset(name)) == recipe({"preset": name})


def test_every_preset_has_a_file_and_every_file_is_a_preset():
    assert preset_names() == set(get_args(Preset))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss.alpha=[0.9,0.25]", (0.9, 0.25)),
        ("loss.alpha='0.9, 0.25'", (0.9, 0.25)),
        ("loss.alpha=null", None),
        ("loss.alpha=dynamic", "dynamic"),
        ("+loss.alpha=5e-1", 0.5),
        ("++loss.alpha=0.5", 0.5),
    ],
)
def test_values_are_written_as_hydra_reads_them(text, expected):
    assert typed("loss.type=focal", text).loss.alpha == expected


def test_a_name_that_holds_a_colon_or_a_space_arrives_whole():
    assert typed("model.name=timm:resnet10t").models == ("timm:resnet10t",)
    assert typed("classes=[cat,'guinea pig']").classes == ("cat", "guinea pig")
    assert typed("data.group_by=prefix:5").data.group_by == "prefix:5"


def test_a_setting_may_refer_to_another():
    assert typed("preset=defects", "optimizer.lr=${finetune.head_lr}").finetune.backbone_lr == 0.003


def test_a_crossed_out_setting_is_as_if_the_preset_had_not_said_it():
    made = typed("preset=defects", "~loss.type", "~optimizer.lr", "~training.num_epochs")
    assert (made.loss.type, made.finetune.backbone_lr, made.num_epochs) == ("auto", 3e-4, 2)
    assert made.model.cbam  # the rest of the preset stays


def test_null_means_open_where_a_setting_may_be_open():
    assert typed("model.name=null", "time_budget_s=null").models is None
    with pytest.raises(RecipeError, match=r"finetune\.patience"):
        typed("finetune.patience=null")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss.gama=2", r"no setting 'loss.gama'. Did you mean 'loss.gamma'"),
        ("training.num_epoch=3", "Did you mean 'training.num_epochs'"),
        ("num_epoch=3", "Did you mean 'num_epochs'"),
        ("model.gamma=2", "Did you mean 'loss.gamma'"),
        ("lr=0.1", "Did you mean 'optimizer.lr'"),
        ("hydra.run.dir=x", "There is no setting 'hydra.run.dir'"),
        ("dataset_id=ds-1", "There is no setting 'dataset_id'"),
        ("search.refined=3", "There is no setting 'search.refined'"),
        ("preset=defect", "no preset 'defect'. Did you mean 'defects'"),
        ("preset=null", "no preset 'null'"),
        ("loss=focal", "'loss' is a section; write one of its settings: loss.type"),
        ("loss.gamma", "write KEY=VALUE"),
        ("loss.gamma=", "has no value"),
        ("=1", "is no expert setting|There is no setting"),
        ("loss.gamma=[1", "write KEY=VALUE"),
        ("loss.gamma=1,2", "--multirun"),
        ("loss.gamma=${nowhere}", "do not go together"),
        ("loss@gamma=1", "has no place here"),
    ],
)
def test_a_wrong_word_or_value_is_said_plainly(text, said):
    with pytest.raises(SightglassError, match=said) as caught:
        typed(text)
    assert isinstance(caught.value, InputError | RecipeError)


def test_two_words_for_one_thing_must_agree():
    with pytest.raises(ValueError, match="say it once"):
        typed("optimizer.lr=1", "finetune.backbone_lr=2")
    assert typed("optimizer.lr=1", "finetune.backbone_lr=1").finetune.backbone_lr == 1


@pytest.mark.parametrize(
    "texts",
    [(), WHOLE.split(), ["preset=best", "augment.rotation=true", "finetune.layer_decay=0.123456789", "models=[a,b]"]],
)
def test_a_configuration_reads_back_as_the_recipe_that_it_was(texts, tmp_path):
    made = typed(*texts)
    write_config(made, tmp_path / "config.yaml")
    assert recipe(read_config(tmp_path / "config.yaml")) == made
    assert recipe(read_config(tmp_path)) == made  # the run's folder will do
    assert "dataset_id" not in yaml.safe_load((tmp_path / "config.yaml").read_text())


def test_a_configuration_is_in_the_words_of_the_command_line(tmp_path):
    write_config(typed(*WHOLE.split()), tmp_path / "config.yaml")
    said = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert said["optimizer"] == {"lr": 0.001, "weight_decay": 0.02}
    assert said["experiment"] == {"seed": 42}
    assert said["training"]["early_stopping_patience"] == 15


@pytest.mark.parametrize(
    ("written", "kept"), [("[64,64]", [64, 64]), ("[256,1600]", [256, 1600]), ("256x1600", "256x1600")]
)
def test_a_size_stands_in_the_configuration_as_it_was_asked_for(written, kept, tmp_path):
    made = typed(f"data.resolution={written}")
    write_config(made, tmp_path / "config.yaml")
    said = yaml.safe_load((tmp_path / "config.yaml").read_text())["data"]["resolution"]
    assert repr(said) == repr(kept)  # 64.0 == 64, and is not what was asked
    assert recipe(read_config(tmp_path)).data.resolution == made.data.resolution


def test_what_is_typed_stands_above_a_configuration(tmp_path):
    write_config(typed(*WHOLE.split()), tmp_path / "config.yaml")
    made = recipe(above(read_config(tmp_path), options_of(["optimizer.lr=0.5", "num_epochs=3"]), {"seed": 7}))
    assert (made.finetune.backbone_lr, made.num_epochs, made.seed) == (0.5, 3, 7)
    assert (made.loss.alpha, made.batch_size) == ("dynamic", 6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss: {gama: 2}", "In '.*': There is no setting 'loss.gama'. Did you mean 'loss.gamma'"),
        ("loss: [1, 2", "cannot be read"),
        ("just words", "no setting 'just words'"),
        ("[1, 2]", "holds no settings"),
        ("seed: 1\nexperiment: {seed: 2}", "say it once"),
        ("search: {refined: 3}", "search.refined"),
        ("loss: {gamma: '${nowhere}'}", "cannot be read"),
    ],
)
def test_a_configuration_that_is_none_is_refused(text, said, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SightglassError, match=said):
        recipe(read_config(tmp_path / "mine.yaml"))


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.yaml' cannot be read: No such file"):
        read_config(tmp_path / "nowhere.yaml")


def test_a_sweep_is_the_product_of_what_is_swept():
    planned = sweep_of(["loss.type=focal", "loss.gamma=1,2.5", "model.cbam=true,false"])
    assert [(made.loss.gamma, made.model.cbam) for _, options in planned if (made := recipe(options))] == [
        (1, True),
        (1, False),
        (2.5, True),
        (2.5, False),
    ]
    assert planned[0][0] == {"loss.gamma": "1", "model.cbam": "true"}
    assert all(recipe(options).loss.type == "focal" for _, options in planned)


def test_ranges_presets_and_lists_can_be_swept():
    assert [options["seed"] for _, options in sweep_of(["seed=range(1,4)"])] == [1, 2, 3]
    assert [options["preset"] for _, options in sweep_of(["preset=fast,best"])] == ["fast", "best"]
    assert [options["preset"] for _, options in sweep_of(["preset=glob(b*)"])] == ["balanced", "best"]
    assert [recipe(options).models for _, options in sweep_of(["model.name=resnet18,[resnet18,vit_tiny]"])] == [
        ("resnet18",),
        ("resnet18", "vit_tiny"),
    ]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["loss.gamma=1"], "needs something to go through"),
        (["seed=range(0,2000)"], "2,000 runs"),
        (["loss.gama=1,2"], "Did you mean 'loss.gamma'"),
        (["seed=interval(0,1)"], "no end of values"),
        (["model.name=glob(*)"], "glob is for presets"),
    ],
)
def test_a_sweep_that_is_none_is_refused(texts, said):
    with pytest.raises(SightglassError, match=said):
        sweep_of(texts)


def test_reading_presets_loads_no_hydra_and_configuring_no_torch():
    program = (
        "import sys, backend.main, backend.search.presets\n"
        "from backend.contracts import Recipe\n"
        "Recipe(dataset_id='ds-1', preset='defects')\n"
        "assert not {'hydra', 'omegaconf', 'torch'} & set(sys.modules), 'the service'\n"
        "from backend.workflows.configure import options_of\n"
        "options_of(['preset=defects', 'loss.gamma=2'])\n"
        "assert 'hydra' in sys.modules and 'torch' not in sys.modules, 'the command line'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
