"""Train: what the form sends, and what is shown while a job runs and after it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from frontend import state
from frontend.widgets import expert_settings, job_progress

ALWAYS = {"test_size": 0.2, "seed": 42}  # numbers that mean something whatever the strategy


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
    expected = {"dataset_id": dataset["dataset_id"], "strategy": "auto", "preset": "fast", **ALWAYS}
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


def intend(form, name):
    form.radio(key="intent").set_value(name).run()


def test_a_preset_says_what_it_stands_for_in_the_service_s_numbers(form):
    captions = form.radio(key="intent").proto.captions
    assert captions[0].endswith("*10 min at most.*")
    assert captions[1].endswith("*30 min at most; one network trained further (6 epochs; with few images more).*")
    assert captions[2].endswith(
        "*2 h at most; 3 networks trained further (12 epochs; with few images more); 8 other settings tried on the best; "
        "several networks may answer together.*"
    )


def test_plain_fine_tune_is_a_strategy_and_no_preset(form, service):
    intend(form, "finetune")
    start(form)
    assert service.recipes[0]["strategy"] == "finetune"
    assert (service.recipes[0]["num_epochs"], service.recipes[0]["batch_size"]) == (2, 16)
    assert "preset" not in service.recipes[0]


def test_advanced_choices_are_sent(form, service):
    intend(form, "finetune")
    form.number_input(key="recipe-num_epochs").set_value(7)
    form.number_input(key="recipe-batch_size").set_value(32)
    form.number_input(key="recipe-test_size").set_value(0.3)
    form.number_input(key="recipe-seed").set_value(7)
    form.number_input(key="recipe-budget").set_value(2.5)
    form.multiselect(key="recipe-models").set_value(["resnet18"])
    form.checkbox(key="augmentation-rotation").set_value(True)
    form.selectbox(key="recipe-class_balance").set_value("plain")
    form.selectbox(key="recipe-rank_by").set_value("macro_f1")
    form.run()
    start(form)
    recipe = service.recipes[0]
    sent = {name: recipe[name] for name in ("num_epochs", "batch_size", *ALWAYS)}
    assert sent == {"num_epochs": 7, "batch_size": 32, "test_size": 0.3, "seed": 7}
    assert recipe["time_budget_s"] == 150
    assert recipe["models"] == ["resnet18"]
    assert recipe["augmentations"] == ["horizontal_flip", "rotation"]
    assert (recipe["class_balance"], recipe["rank_by"]) == ("plain", "macro_f1")
    assert "ensemble" not in recipe


def test_a_preset_with_choices_of_its_own_begins_with_them_and_sends_what_was_changed(form, service):
    intend(form, "defects")
    assert form.multiselect(key="recipe-models-defects").value == ["efficientnet_lite0_cbam"]
    ticked = [box.key for box in form.checkbox if box.value]
    assert ticked == ["augmentation-horizontal_flip-defects", "augmentation-rotation-defects"]
    assert "recipe-test_size" not in {
        field.key for field in form.number_input
    }  # its own split has a share for the test
    start(form)
    assert not {"models", "augmentations", "test_size"} & set(service.recipes[0])
    assert service.recipes[0]["num_epochs"] == 20


def test_the_epochs_of_a_preset_that_trains_whole_networks_can_be_changed(form, service):
    intend(form, "defects")
    form.number_input(key="recipe-num_epochs-defects").set_value(3).run()
    start(form)
    assert (service.recipes[0]["preset"], service.recipes[0]["num_epochs"]) == ("defects", 3)


def test_one_change_to_a_preset_s_own_choices_keeps_the_others(form, service):
    intend(form, "defects")
    form.checkbox(key="augmentation-solarize_new-defects").set_value(True)
    form.multiselect(key="recipe-models-defects").set_value(["resnet18"]).run()
    start(form)
    assert set(service.recipes[0]["augmentations"]) == {"horizontal_flip", "rotation", "solarize_new"}
    assert service.recipes[0]["models"] == ["resnet18"]


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("fast", set()),
        ("balanced", {"batch_size"}),
        ("best", {"batch_size"}),
        ("finetune", {"batch_size", "num_epochs"}),
    ],
)
def test_only_what_means_something_for_the_intent_is_offered(form, name, offered):
    intend(form, name)
    numbers = {field.key.removeprefix("recipe-") for field in form.number_input}
    assert numbers == offered | {"budget", *ALWAYS}
    assert bool(form.checkbox) == bool(offered)  # augmentations change images in a fine-tune only
    sections = {row["Setting"].partition(".")[0] for row in form.table[0].value.to_dict("records")}
    alone = {"fast": {"`probe"}, "finetune": {"`finetune"}}
    assert sections == alone.get(name, {"`probe", "`finetune", "`refine"})


@pytest.mark.parametrize(("name", "own"), [("fast", False), ("best", True), ("finetune", False)])
def test_the_ensemble_switch_begins_where_the_intent_stands_and_is_sent_when_moved(form, service, name, own):
    intend(form, name)
    switch = form.toggle(key=f"recipe-ensemble-{name}")
    assert switch.value is own
    assert any("Answers then take as long as all its networks together" in caption.value for caption in form.caption)
    switch.set_value(not own).run()
    start(form)
    assert service.recipes[0]["ensemble"] is not own


def test_the_budget_field_shows_what_holds_without_it(form):
    assert form.number_input(key="recipe-budget").placeholder == "10"
    intend(form, "finetune")
    assert form.number_input(key="recipe-budget").placeholder == "No limit"


def test_some_classes_can_be_chosen(form, service, dataset):
    key = f"recipe-classes-{dataset['dataset_id']}"
    form.multiselect(key=key).set_value(["circle", "square"]).run()
    start(form)
    assert service.recipes[0]["classes"] == ["circle", "square"]


def test_expert_settings_are_sent_as_numbers_and_words(form, service):
    intend(form, "balanced")
    form.text_area(key="recipe-overrides").set_value("finetune.head_lr = 1e-3\n\nprobe.folds=3\n").run()
    start(form)
    assert service.recipes[0]["overrides"] == {"finetune.head_lr": 0.001, "probe.folds": 3}


def test_an_unknown_expert_setting_shows_the_api_s_detail(form, service):
    form.text_area(key="recipe-overrides").set_value("probe.fold=3").run()
    start(form)
    assert form.error[0].value == "There is no setting 'probe.fold'. Did you mean 'probe.folds'?"
    assert service.recipes == []


def test_the_expert_settings_that_there_are_stand_in_a_list(form):
    intend(form, "balanced")
    rows = form.table[0].value.to_dict("records")
    assert rows[-1] == {
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
    intend(form, "finetune")
    boxes = [box for box in form.selectbox if box.key.startswith("recipe-")]
    fields = [*form.number_input, *form.multiselect, *form.checkbox, *form.text_area, *form.toggle, *boxes]
    assert len(boxes) == 2
    assert [field.label for field in fields if not field.help] == []


def test_an_augmentation_without_a_text_of_ours_is_offered_by_its_name(form):
    intend(form, "balanced")
    assert form.checkbox(key="augmentation-solarize_new").label == "Solarize new"


def test_the_networks_say_what_they_start_from(form):
    options = form.multiselect(key="recipe-models").options
    assert "efficientnet_lite0 · 4.7 M · ImageNet (bundled)" in options
    assert "resnet18 · 11.7 M · from scratch" in options


def test_a_running_job_shows_a_row_for_each_network(open_page, service, dataset):
    service.step = 0.2
    job = service.add_job(dataset["dataset_id"])
    page = open_page(tab="train", job=job["job_id"])
    [whole, at_work] = page.progress
    assert whole.proto.text.startswith("**40%** · Training efficientnet\\_lite0 · about 24 s left")
    assert at_work.proto.value == 80
    assert [element.value for element in page.main.markdown][-3:] == [
        r"**efficientnet\_lite0** · running · fine-tuning · epoch 4 of 5 · best so far 90.0%",
        "**resnet18** · waiting",
        r"**vit\_base** · waiting",
    ]
    assert "learning rate 3e-4, 5 epochs · 9.9 s" in [caption.value for caption in page.caption]


def candidate(name, state, score=None, **fields):
    return {"name": name, "state": state, "stage": "", "epoch": 0, "epochs": 0, "score": score} | fields


def test_the_live_leaderboard_has_the_best_on_top_and_what_was_left_out_below():
    rows = [
        candidate("waits", "queued"),
        candidate("left", "skipped", 0.99, reason="behind"),
        candidate("second", "succeeded", 0.8),
        candidate("at work", "running"),
        candidate("first", "running", 0.9),
        candidate("broke", "failed"),
    ]
    assert [row["name"] for row in job_progress.ranked(rows)] == [
        "first",
        "second",
        "at work",
        "waits",
        "left",
        "broke",
    ]


def test_the_clock_of_a_network_at_work_goes_on_between_its_reports(open_page, service, dataset, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=1000.0)
    monkeypatch.setattr(state, "time", clock)
    service.step = 0
    rows = [
        candidate("at work", "running", stage="computing features", seconds=20.0, tried="a head"),
        candidate("paused", "running", stage="waiting for the others", seconds=30.0),
        candidate("ended", "succeeded", 0.9, seconds=40.0),
    ]
    job = service.add_job(dataset["dataset_id"], state="running", candidates=rows)
    page = open_page(tab="train", job=job["job_id"])
    assert [caption.value for caption in page.main.caption][-3:] == ["40 s", "a head · 20 s", "30 s"]
    clock.now += 1.1
    page.run()
    assert [caption.value for caption in page.main.caption][-3:] == ["40 s", "a head · 21 s", "30 s"]


def test_a_network_that_cannot_fit_says_so_while_others_run(open_page, service, dataset):
    service.step = 0
    reason = "It would take about 12 min; 3 min are left."
    job = service.add_job(
        dataset["dataset_id"],
        state="running",
        candidates=[
            candidate("vit_base", "skipped", reason=reason),
            candidate("resnet18", "skipped", tried="a head"),
            candidate("lite0", "running"),
        ],
    )
    page = open_page(tab="train", job=job["job_id"])
    assert r"**vit\_base** · skipped" in [element.value for element in page.markdown]
    assert "**resnet18** · not kept" in [element.value for element in page.markdown]
    assert reason in [caption.value for caption in page.caption]
    assert r"**lite0** · running" in [element.value for element in page.markdown]
    assert len(page.progress) == 1  # the whole run's; the one at work has no epochs to count


def test_cancel_reaches_the_service(open_page, service, dataset):
    service.step = 0
    job = service.add_job(dataset["dataset_id"])
    page = open_page(tab="train", job=job["job_id"])
    page.button(key="cancel").click().run()
    page.run()  # the next poll
    assert service.jobs[job["job_id"]]["state"] == "cancelled"
    assert "This run was cancelled." in page.info[0].value


def test_a_job_that_waits_says_its_place_and_what_it_waits_for(open_page, service, dataset):
    service.step = 0
    job = service.add_job(dataset["dataset_id"], queue_position=2, message="512 MiB are needed.")
    page = open_page(tab="train", job=job["job_id"])
    assert page.progress[0].proto.text == "Waiting, place 2 in the queue … · 512 MiB are needed."


def test_a_job_that_is_being_cancelled_cannot_be_cancelled_again(open_page, service, dataset):
    service.step = 0
    job = service.add_job(dataset["dataset_id"], state="running", cancel_requested=True, eta_s=90.0)
    page = open_page(tab="train", job=job["job_id"])
    assert page.button(key="cancel").disabled
    assert "Stopping …" in [caption.value for caption in page.caption]
    assert "left" not in page.progress[0].proto.text


@pytest.mark.parametrize(("state_of_first", "offered"), [("succeeded", True), ("skipped", False)])
def test_a_cancelled_run_leads_to_what_it_had_found(open_page, service, dataset, state_of_first, offered):
    rows = [candidate("resnet18", state_of_first, 0.9), candidate("vit_base", "skipped")]
    job = service.add_job(dataset["dataset_id"], state="cancelled", candidates=rows, kept_results=True)
    page = open_page(tab="train", job=job["job_id"])
    assert "This run was cancelled." in page.info[0].value
    assert ("go-results" in [button.key for button in page.button]) == offered


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
