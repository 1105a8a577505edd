"""The records that cross rooms: frozen, strict, and plain JSON out and in."""

import inspect
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from backend import contracts
from backend.contracts import (
    Dataset,
    DatasetInfo,
    Deadline,
    ImageItem,
    Job,
    Progress,
    Recipe,
    Record,
    RunControl,
    override_keys,
)
from backend.errors import DeadlineExceeded, JobCancelled, RecipeError

RECORDS = [kind for kind in vars(contracts).values() if inspect.isclass(kind) and issubclass(kind, Record)]


def item(number, label):
    return ImageItem(
        image_id=f"img-{number}", path=f"images/{number}.png", label=label, digest=str(number), width=8, height=8
    )


@pytest.fixture
def dataset():
    info = DatasetInfo(
        dataset_id="ds-1", name="pets", total_images=3, num_classes=2, class_counts={"dog": 1, "cat": 2}, digest="d"
    )
    return Dataset(info=info, root=Path("somewhere"), items=(item(1, "dog"), item(2, "cat"), item(3, "cat")))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_record_is_frozen_and_refuses_unknown_fields(kind):
    assert kind.model_config["frozen"] is True
    assert kind.model_config["extra"] == "forbid"


def test_a_record_survives_json(dataset):
    assert DatasetInfo.model_validate_json(dataset.info.model_dump_json()) == dataset.info
    job = Job(job_id="job-1", kind="train_images", payload={"dataset_id": "ds-1"})
    assert Job.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize("bad", ["", "ab", "../etc", "DS-1", "ds 1", "-ds1", "d" * 65, "ds-1\n"])
def test_an_id_cannot_be_a_path_or_a_surprise(bad):
    with pytest.raises(ValidationError):
        Recipe(dataset_id=bad)


def test_class_names_are_sorted_and_targets_follow_them(dataset):
    assert dataset.class_names == ("cat", "dog")
    assert dataset.targets == (1, 0, 0)


def test_a_reduced_dataset_counts_anew_and_keeps_its_id(dataset):
    cats = dataset.with_items(entry for entry in dataset.items if entry.label == "cat")
    assert cats.info.class_counts == {"cat": 2}
    assert (cats.info.total_images, cats.info.num_classes) == (2, 1)
    assert cats.info.dataset_id == "ds-1"
    assert cats.targets == (0, 0)


def test_a_recipe_needs_nothing_but_a_dataset():
    recipe = Recipe(dataset_id="ds-1")
    assert (recipe.num_epochs, recipe.batch_size, recipe.test_size, recipe.seed) == (2, 16, 0.2, 42)
    recipe.check_overrides()


@pytest.mark.parametrize(
    "field",
    [
        {"num_epochs": 0},
        {"batch_size": 0},
        {"test_size": 0.9},
        {"models": []},
        {"classes": ["one"]},
        {"strategy": "magic"},
        {"time_budget_s": 0},
        {"seed": -1},
        {"epochs": 3},
    ],
    ids=str,
)
def test_a_recipe_out_of_range_is_refused(field):
    with pytest.raises(ValidationError):
        Recipe(dataset_id="ds-1", **field)


def test_an_override_reaches_its_section():
    recipe = Recipe(dataset_id="ds-1", overrides={"finetune.patience": 2, "probe.folds": 3})
    recipe.check_overrides()
    assert recipe.finetune.patience == 2
    assert recipe.probe.folds == 3
    assert recipe.finetune.head_lr == 1e-2


def test_an_unknown_override_suggests_the_nearest():
    with pytest.raises(RecipeError, match=r"no setting 'finetune.patince'. Did you mean 'finetune.patience'\?"):
        Recipe(dataset_id="ds-1", overrides={"finetune.patince": 2}).check_overrides()


@pytest.mark.parametrize("value", [-1, "much", 99])
def test_an_override_out_of_range_is_named(value):
    with pytest.raises(RecipeError, match=r"'finetune.head_lr' does not fit"):
        Recipe(dataset_id="ds-1", overrides={"finetune.head_lr": value}).check_overrides()


def test_override_keys_are_dotted_and_unique():
    keys = override_keys()
    assert all(key.count(".") == 1 for key in keys)
    assert len(keys) == len(set(keys)) >= 8


def test_a_deadline_without_a_budget_never_ends():
    assert Deadline(None).remaining() == float("inf")
    assert not Deadline(None).expired()


def test_a_deadline_ends_and_never_goes_below_zero():
    assert not Deadline(100).expired()
    deadline = Deadline(0.01)
    time.sleep(0.02)
    assert deadline.expired()
    assert deadline.remaining() == 0.0


def test_a_control_without_listeners_lets_work_go_on():
    control = RunControl()
    control.report(Progress(stage="preparing", message="Reading"))
    control.check_deadline()


def test_a_control_hands_reports_on():
    seen = []
    report = Progress(stage="preparing", message="Reading", progress=0.5)
    RunControl(report=seen.append).report(report)
    assert seen == [report]


def test_cancelling_after_something_was_found_ends_the_time_for_new_work_and_lets_the_rest_go_on():
    wishes = [False]
    deadline = Deadline(100)
    control = RunControl(cancelled=lambda: wishes[0], deadline=deadline)
    control.keep_what_is_done()
    control.check_deadline()
    wishes[0] = True
    control.check()  # what puts things in order is not stopped
    assert control.ended_early
    assert deadline.expired()
    with pytest.raises(DeadlineExceeded, match="cancelled"):
        control.check_deadline()


def test_a_cancelled_control_stops_work_before_the_deadline_does():
    control = RunControl(cancelled=lambda: True, deadline=Deadline(0))
    with pytest.raises(JobCancelled):
        control.check_deadline()


def test_a_used_up_budget_stops_only_who_asks():
    control = RunControl(deadline=Deadline(0))
    control.check()
    with pytest.raises(DeadlineExceeded):
        control.check_deadline()
