"""Train: what the form sends, and what is shown while a job runs and after it."""

from __future__ import annotations

import pytest

from frontend.widgets import expert_settings

DEFAULTS = {"num_epochs": 2, "batch_size": 16, "test_size": 0.2, "seed": 42}


@pytest.fixture
def dataset(service):
    return service.add_dataset()


@pytest.fixture
def form(open_page, dataset):
    return open_page(tab="train", dataset=dataset["dataset_id"])


def start(page):
    return page.button(key="start").click().run()


def test_start_sends_the_fast_recipe_and_nothing_that_was_not_chosen(form, service, dataset):
    start(form)
    expected = {"dataset_id": dataset["dataset_id"], "strategy": "auto", "preset": "fast", **DEFAULTS}
    assert service.recipes == [expected]


def test_the_started_job_is_in_the_url_and_on_screen(form, service):
    service.step = 0.1
    start(form)
    assert next(iter(service.jobs)) in form.query_params["job"]
    assert form.header[0].value == "Training on shapes"


@pytest.mark.parametrize("preset", ["balanced", "best"])
def test_a_preset_is_sent_by_its_name(form, service, preset):
    form.radio(key="intent").set_value(preset).run()
    start(form)
    assert (service.recipes[0]["strategy"], service.recipes[0]["preset"]) == ("auto", preset)


def test_plain_fine_tune_is_a_strategy_and_no_preset(form, service):
    form.radio(key="intent").set_value("finetune").run()
    start(form)
    assert service.recipes[0]["strategy"] == "finetune"
    assert "preset" not in service.recipes[0]


def test_advanced_choices_are_sent(form, service):
    form.number_input(key="recipe-num_epochs").set_value(7)
    form.number_input(key="recipe-batch_size").set_value(32)
    form.number_input(key="recipe-test_size").set_value(0.3)
    form.number_input(key="recipe-seed").set_value(7)
    form.number_input(key="recipe-budget").set_value(2.5)
    form.multiselect(key="recipe-models").set_value(["resnet18"])
    form.checkbox(key="augmentation-rotation").set_value(True)
    form.run()
    start(form)
    recipe = service.recipes[0]
    sent = {name: recipe[name] for name in DEFAULTS}
    assert sent == {"num_epochs": 7, "batch_size": 32, "test_size": 0.3, "seed": 7}
    assert recipe["time_budget_s"] == 150
    assert recipe["models"] == ["resnet18"]
    assert recipe["augmentations"] == ["horizontal_flip", "rotation"]


def test_some_classes_can_be_chosen(form, service, dataset):
    key = f"recipe-classes-{dataset['dataset_id']}"
    form.multiselect(key=key).set_value(["circle", "square"]).run()
    start(form)
    assert service.recipes[0]["classes"] == ["circle", "square"]


def test_expert_settings_are_sent_as_numbers_and_words(form, service):
    form.text_area(key="recipe-overrides").set_value("finetune.head_lr = 1e-3\n\nprobe.folds=3\n").run()
    start(form)
    assert service.recipes[0]["overrides"] == {"finetune.head_lr": 0.001, "probe.folds": 3}


def test_an_unknown_expert_setting_shows_the_api_s_detail(form, service):
    form.text_area(key="recipe-overrides").set_value("probe.fold=3").run()
    start(form)
    assert form.error[0].value == "There is no setting 'probe.fold'. Did you mean 'probe.folds'?"
    assert service.recipes == []


def test_the_expert_settings_that_there_are_stand_in_a_list(form):
    rows = form.table[0].value.to_dict("records")
    assert rows[1] == {
        "Setting": "`probe.folds`",
        "Default": "5",
        "What it does": "Folds of the cross-validation.",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("-0.5", -0.5),
        ("TRUE", True),
        ("", ""),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("a=b", "a=b"),
    ],
)
def test_a_value_is_read_as_what_it_looks_like(text, value):
    read = expert_settings.read_lines(f"key={text}")["key"]
    assert (read, type(read)) == (value, type(value))


def test_a_refused_recipe_shows_the_api_s_detail(form, service, dataset):
    form.multiselect(key=f"recipe-classes-{dataset['dataset_id']}").set_value(["circle"]).run()
    start(form)
    assert form.error[0].value == "A run needs at least two classes; 1 was chosen."
    assert service.jobs == {}


def test_every_advanced_field_has_its_line_of_help(form):
    fields = [*form.number_input, *form.multiselect, *form.checkbox, *form.text_area]
    assert [field.label for field in fields if not field.help] == []


def test_an_augmentation_without_a_text_of_ours_is_offered_by_its_name(form):
    assert form.checkbox(key="augmentation-solarize_new").label == "Solarize new"


def test_the_networks_say_what_they_start_from(form):
    options = form.multiselect(key="recipe-models").options
    assert "efficientnet_lite0 · 4.7 M · ImageNet (bundled)" in options
    assert "resnet18 · 11.7 M · from scratch" in options


def test_a_running_job_shows_a_row_for_each_network(open_page, service, dataset):
    service.step = 0.2
    job = service.add_job(dataset["dataset_id"])
    page = open_page(tab="train", job=job["job_id"])
    bars = [element.proto.text for element in page.progress]
    assert bars[0].startswith("**40%** · Training efficientnet\\_lite0 · about 24 s left")
    assert "efficientnet\\_lite0** · running · fine-tuning · epoch 4 of 5 · best so far 90.0%" in bars[1]
    assert "resnet18** · waiting" in bars[2]


def test_cancel_reaches_the_service(open_page, service, dataset):
    service.step = 0
    job = service.add_job(dataset["dataset_id"])
    page = open_page(tab="train", job=job["job_id"])
    page.button(key="cancel").click().run()
    page.run()  # the next poll
    assert service.jobs[job["job_id"]]["state"] == "cancelled"
    assert "This run was cancelled." in page.info[0].value


def test_a_finished_job_leads_to_its_results(open_page, service, dataset):
    job = service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="train", job=job["job_id"], dataset=dataset["dataset_id"])
    assert page.success[0].value == "Finished in 42 s."
    page.button(key="go-results").click().run()
    assert "90 of 100" in page.header[0].value


def test_a_failed_job_shows_its_reason(open_page, service, dataset):
    job = service.add_job(dataset["dataset_id"], state="failed", error="The worker ran out of memory.")
    page = open_page(tab="train", job=job["job_id"])
    assert page.error[0].value == "The worker ran out of memory."


def test_a_skipped_network_says_why(open_page, service, dataset):
    job = service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="train", job=job["job_id"])
    assert "The time budget was used up." in [caption.value for caption in page.caption]


def test_a_later_run_of_another_kind_does_not_hide_the_one_to_judge_by(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    service.add_job(
        dataset["dataset_id"], state="succeeded", recipe={"strategy": "finetune"}, ended_at="2026-02-01T10:00:00Z"
    )
    page = open_page(tab="train", dataset=dataset["dataset_id"])
    assert page.caption[1].value.startswith("About 42 s on this machine")


def test_the_estimate_is_judged_by_the_last_run_of_the_kind(open_page, service, dataset):
    service.add_job(dataset["dataset_id"], state="succeeded")
    page = open_page(tab="train", dataset=dataset["dataset_id"])
    assert page.caption[1].value.startswith("About 42 s on this machine")
    page.radio(key="intent").set_value("best").run()
    assert page.caption[1].value.startswith("No run of this kind")
