"""`sightglass train`: what is typed becomes options; what comes back is printed."""

import io
import json
from pathlib import Path

import pytest
import service_fakes
from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.text import Text

import backend.data
from backend.cli import tables
from backend.cli.app import run
from backend.cli.following import Bars, following
from backend.cli.train import default_out, listed
from backend.contracts import CandidateProgress, Progress
from backend.errors import InputError
from backend.workflows import train_images
from backend.workflows.configure import write_config
from backend.workflows.sweep import SweepRow

ROW = {
    "rank": 1,
    "name": "efficientnet_lite0",
    "weights": "imagenet",
    "weights_source": "bundled",
    "strategy": "probe",
    "status": "ok",
    "val_accuracy": 0.9,
    "accuracy": 0.875,
    "macro_f1": 0.87,
    "train_seconds": 3.21,
    "predict_ms_per_image": 12.3,
    "size_mb": 13.0,
}
FAILED = dict.fromkeys(ROW) | {"name": "vit_base", "strategy": "probe", "status": "failed", "reason": "out of [memory]"}


def printed(*things):
    buffer = io.StringIO()
    console = Console(file=buffer, width=140)
    for thing in things:
        console.print(thing)
    return buffer.getvalue()


def test_what_is_typed_reaches_the_workflow_and_nothing_else(monkeypatch, make_zip, tmp_path, capsys):
    seen = {}

    def train_archive(archive, options, *, out, settings, control):
        seen.update(archive=archive, options=options, out=out)
        raise InputError("Enough.")

    monkeypatch.setattr(train_images, "train_archive", train_archive)
    archive = make_zip({"circle": 3, "square": 3})
    typed = ["--models", "resnet18, timm:resnet10t", "--classes", "circle,square", "--epochs", "3", "--seed", "7"]
    typed += ["--time-budget", "90", "--class-balance", "plain", "--rank-by", "accuracy", "--no-ensemble"]
    out = tmp_path / "out"
    assert run(["train", str(archive), "finetune.backbone_lr=1e-4", "probe.folds=3", *typed, "--out", str(out)]) == 2
    assert capsys.readouterr().err == "Enough.\n"
    assert seen["archive"] == archive
    assert seen["out"] == out
    assert seen["options"] == {
        "models": ["resnet18", "timm:resnet10t"],
        "classes": ["circle", "square"],
        "num_epochs": 3,
        "seed": 7,
        "time_budget_s": 90,
        "class_balance": "plain",
        "rank_by": "accuracy",
        "ensemble": False,
        "overrides": {"finetune.backbone_lr": 0.0001, "probe.folds": 3},
    }


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--class-balance", "even"], "'class_balance' does not fit: Input should be 'auto', 'balanced' or 'plain'"),
        (
            ["--rank-by", "f1"],
            "'rank_by' does not fit: Input should be 'auto', 'accuracy', 'macro_f1' or 'mean_average_precision'",
        ),
        (["--time-budget", "0"], "'time_budget_s' does not fit"),
        (["--time-budget", "soon"], "--time-budget"),
        (["--ensemble=yes"], "--ensemble"),
    ],
)
def test_a_value_that_does_not_fit_ends_in_one_sentence_before_the_archive_is_read(
    make_zip, tmp_path, capsys, typed, said
):
    out = tmp_path / "out"
    assert run(["train", str(make_zip({"circle": 3, "square": 3})), *typed, "--out", str(out)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert not out.exists()


@pytest.fixture
def asked(monkeypatch):
    """The options of each run that was asked for, and its folder; the second of a sweep fails."""
    seen = []

    def train_archive(archive, options, *, out, settings, control):
        seen.append((options, out))
        if len(seen) == 2:
            raise InputError("Not this one.")
        return service_fakes.results_record(), out / "models" / "md-1"

    monkeypatch.setattr(train_images, "train_archive", train_archive)
    return seen


def test_a_whole_run_is_typed_as_settings(asked, make_zip, tmp_path):
    typed = "preset=defects model.name=convnext_tiny_cbam loss.alpha=dynamic data.batch_size=6 optimizer.lr=0.001"
    archive = str(make_zip({"circle": 3, "square": 3}))
    assert run(["train", archive, *typed.split(), "--epochs", "7", "--out", str(tmp_path)]) == 0
    [(options, _)] = asked
    made = train_images.recipe_from(options, "ds-1")
    assert (made.preset, made.models, made.num_epochs, made.batch_size) == ("defects", ("convnext_tiny_cbam",), 7, 6)
    assert (made.loss.alpha, made.finetune.backbone_lr) == ("dynamic", 0.001)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["loss.gama=2"], "There is no setting 'loss.gama'. Did you mean 'loss.gamma'?"),
        (["loss.gamma=1,2"], "--multirun"),
        (["--preset", "defect", "loss.gamma=1"], "Did you mean 'defects'?"),
        (["--preset", "best", "preset=fast"], "disagree: say it once"),
        (["--epochs", "3", "training.num_epochs=4"], "say it once"),
        (["loss.gamma=-1"], "'loss.gamma' does not fit"),
        (["--multirun", "loss.gamma=1"], "needs something to go through"),
        (["--multirun", "loss.gamma=-1,-2"], "'loss.gamma' does not fit"),
        (["--multirun", "loss.gamma=1,two"], "the run with loss.gamma=two; none was begun"),
        (["loss.alpha={a:1}"], "'overrides.loss.alpha' does not fit: a number, a word, true or false, or a list of"),
        (["seed=true"], "'seed' does not fit: a number is needed, not true or false"),
        (["--config", "nowhere.yaml"], "'nowhere.yaml' cannot be read"),
    ],
)
def test_a_setting_that_does_not_fit_ends_in_one_sentence(make_zip, tmp_path, capsys, typed, said):
    out = tmp_path / "out"
    assert run(["train", str(make_zip({"circle": 3, "square": 3})), *typed, "--out", str(out)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert not out.exists()


def test_a_configuration_is_taken_and_what_is_typed_stands_above_it(asked, make_zip, tmp_path):
    made = train_images.recipe_from({"preset": "defects", "seed": 9, "overrides": {"loss.gamma": 3}}, "ds-1")
    write_config(made, tmp_path / "config.yaml")
    archive = str(make_zip({"circle": 3, "square": 3}))
    config = ["--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "out")]
    assert run(["train", archive, *config]) == 0
    assert train_images.recipe_from(asked[0][0], "ds-1") == made
    asked.clear()
    assert run(["train", archive, *config, "--seed", "4", "optimizer.lr=0.5"]) == 0
    again = train_images.recipe_from(asked[0][0], "ds-1")
    assert (again.seed, again.finetune.backbone_lr, again.loss.gamma) == (4, 0.5, 3)


def test_a_sweep_imports_once_runs_the_product_and_goes_on_past_a_failure(
    asked, make_zip, tmp_path, capsys, monkeypatch
):
    imports = []
    real = backend.data.open_dataset
    monkeypatch.setattr(
        backend.data, "open_dataset", lambda *given, **more: imports.append(given) or real(*given, **more)
    )
    archive, out = make_zip({"circle": 3, "square": 3}), tmp_path / "out"
    typed = ["--multirun", "loss.gamma=1,2", "model.cbam=true,false", "--seed", "4", "--out", str(out)]
    assert run(["train", str(archive), *typed]) == 1
    assert len(imports) == 1
    assert [folder for _, folder in asked] == [out / name for name in "1234"]
    assert [(options["overrides"]["loss.gamma"], options["overrides"]["model.cbam"]) for options, _ in asked] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    assert all(options["seed"] == 4 for options, _ in asked)
    shown = capsys.readouterr()
    assert "2: Not this one." in shown.out
    assert "Run 4 of 4 (loss.gamma=2 model.cbam=false)" in shown.err
    assert [line.split(",")[3] for line in (out / "summary.csv").read_text().splitlines()] == [
        "status",
        "ok",
        "failed",
        "ok",
        "ok",
    ]


def test_the_table_of_a_sweep_fits_into_eighty_columns():
    row = dict.fromkeys(SweepRow.model_fields) | {"run": "12", "status": "ok", "network": "efficientnet_lite0_cbam"}
    row |= {"loss.gamma": "2", "training.early_stopping_patience": "15", "best_epoch": 12, "macro_f1": 0.5}
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.sweep([row], swept=["loss.gamma", "training.early_stopping_patience"]))
    text = console.file.getvalue()
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert all(part in text for part in ("12", "15", "0.500"))


def test_lists_are_split_at_commas():
    assert listed(" a, b,") == ["a", "b"]
    assert listed(None) is None


def test_each_run_has_a_folder_named_for_its_data():
    assert default_out(Path("somewhere/cats.zip")).parent == Path("runs")
    assert default_out(Path("somewhere/cats.zip")).name.startswith("cats-")


def test_the_leaderboard_shows_scores_and_why_a_row_failed():
    text = printed(tables.leaderboard([ROW, FAILED]))
    assert "bundled" in text
    assert "90.0%" in text
    assert "87.5%" in text
    assert "vit_base: out of [memory]" in text
    assert "None" not in text


def test_the_validation_column_shows_the_score_that_ranked():
    row = ROW | {"val_macro_f1": 0.77}
    assert "77.0%" in printed(tables.leaderboard([row], ranked_by="macro_f1"))
    assert "90.0%" in printed(tables.leaderboard([row]))


def test_the_leaderboard_marks_ties_and_says_what_was_tried_and_why_it_stopped():
    tied = ROW | {"rank": 2, "name": "resnet18", "tie": True, "tried": "features of 3 depths", "train_images": 60}
    stopped = tied | {"rank": 3, "name": "vit_tiny", "tie": False, "reason": "Clearly behind on 60 images."}
    text = printed(tables.leaderboard([ROW, tied, stopped]))
    assert "2=  resnet18" in text
    assert "=: a tie" in text
    assert "resnet18: features of 3 depths, 60 images." in text
    assert "vit_tiny: features of 3 depths, 60 images. Clearly behind on 60 images." in text
    assert "a tie" not in printed(tables.leaderboard([ROW]))


def test_the_answer_in_one_sentence_counts_images():
    sentence = tables.in_words("Lite0", {"accuracy": 0.93, "accuracy_ci95": [0.88, 0.96]}, 100)
    assert sentence == ("Lite0 is right on 93 of 100 images it never saw: 93.0%, with 95% confidence 88.0% to 96.0%.")


@pytest.fixture
def rich_progress():
    return RichProgress(console=Console(file=io.StringIO()))


def test_a_bar_says_what_the_run_is_doing(rich_progress):
    Bars(rich_progress).show(Progress(stage="training", message="Comparing [2] networks", progress=0.25))
    [whole] = rich_progress.tasks
    assert whole.percentage == 25
    assert Text.from_markup(whole.fields["note"]).plain == "Comparing [2] networks"


def test_a_bar_says_how_well_a_network_does(rich_progress):
    network = CandidateProgress(name="lite0", state="running", stage="probing", epoch=1, epochs=2, score=0.9)
    Bars(rich_progress).show(Progress(stage="training", message="", candidate=network))
    assert rich_progress.tasks[1].fields["note"] == "probing, epoch 1 of 2, validation 90.0%"
    assert rich_progress.tasks[1].percentage == 50


def test_a_bar_says_what_is_tried(rich_progress):
    network = CandidateProgress(name="lite0", state="running", stage="fine-tuning", tried="2 last blocks")
    Bars(rich_progress).show(Progress(stage="training", message="", candidate=network))
    assert rich_progress.tasks[1].fields["note"] == "fine-tuning: 2 last blocks"


def test_a_network_that_ended_has_a_full_bar_and_its_reason(rich_progress):
    network = CandidateProgress(name="vit", state="skipped", reason="no time left")
    Bars(rich_progress).show(Progress(stage="training", message="", progress=0.5, candidate=network))
    assert rich_progress.tasks[1].finished
    assert rich_progress.tasks[1].fields["note"] == "no time left"


def test_a_run_that_is_followed_prints_its_bars():
    console = Console(file=io.StringIO(), width=140)
    with following(console, shown=True) as control:
        control.report(Progress(stage="done", message="Best: lite0", progress=1.0))
    assert "Whole run" in console.file.getvalue()
    assert "Best: lite0" in console.file.getvalue()


def test_a_silent_run_prints_nothing():
    console = Console(file=io.StringIO())
    with following(console, shown=False) as control:
        control.report(Progress(stage="training", message="Comparing", progress=0.25))
    assert console.file.getvalue() == ""


def test_a_network_has_one_bar_however_often_it_reports(rich_progress):
    bars = Bars(rich_progress)
    for epoch in range(3):
        network = CandidateProgress(name="lite0", state="running", stage="training", epoch=epoch, epochs=3)
        bars.show(Progress(stage="training", message="", candidate=network))
    assert [task.description.strip() for task in rich_progress.tasks] == ["Whole run", "lite0"]
    assert (rich_progress.tasks[1].completed, rich_progress.tasks[1].total) == (2, 3)


def test_json_is_json(capsys):
    from backend.cli.console import print_json

    print_json({"label": "[bold]käse[/bold]", "text": "x" * 500})
    assert json.loads(capsys.readouterr().out)["label"] == "[bold]käse[/bold]"


def test_a_leaderboard_fits_into_eighty_columns():
    longest = ROW | {"name": "mobilenetv3_large", "strategy": "finetune", "train_seconds": 1234.5}
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.leaderboard([longest]))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert any("mobilenetv3_large" in line and line.endswith("1234.5    12.3") for line in lines)
