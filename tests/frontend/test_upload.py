"""Upload: what goes in is sent once, and what comes back is shown in plain words."""

from __future__ import annotations

from frontend.widgets import browser_page


def drop(page, content, name="boats.zip"):
    zones = [zone for zone in page.file_uploader if "ZIP" in zone.label]
    zones[0].set_value((name, content, "application/zip"))
    return page.run()


def texts(elements):
    return [element.value for element in elements]


def test_a_dropped_zip_becomes_the_chosen_dataset(open_page, service, archive):
    page = drop(open_page(), archive)
    assert not page.error
    assert page.header[0].value == "boats"
    assert "**160** images in **3** classes." in texts(page.markdown)
    assert next(iter(service.datasets)) in page.query_params["dataset"]
    assert service.uploads == 1


def test_the_file_that_was_taken_is_not_sent_again_when_the_page_is_drawn_anew(open_page, service, archive):
    page = drop(open_page(), archive)
    page.run()
    page.run()
    assert service.uploads == 1


def test_a_refused_file_shows_the_api_s_detail_and_is_sent_only_once(open_page, service):
    page = drop(open_page(), b"no zip", name="holiday_photos.zip")
    page.run()
    assert service.uploads == 1
    assert page.error[0].value == r"'holiday\_photos.zip' is not a ZIP archive. Send a .zip with a folder a class."
    assert not page.exception


def test_the_sample_is_one_click(open_page, service):
    page = open_page()
    page.button(key="sample-shapes").click().run()
    assert service.uploads == 1
    assert page.header[0].value == "shapes"


def test_the_limit_is_said_before_the_upload(open_page):
    page = open_page()
    assert page.file_uploader[0].label.endswith("up to 500 MB")
    assert any("2,048 MB" in caption.value for caption in page.caption)


def test_warnings_and_skipped_files_are_listed(open_page, service):
    dataset = service.add_dataset(
        warnings=["`bag` has 4 images; 20 is a sensible least."],
        skipped=[{"file": "notes.txt", "reason": "not an image"}],
    )
    page = open_page(dataset=dataset["dataset_id"])
    assert texts(page.warning) == ["`bag` has 4 images; 20 is a sensible least."]
    assert page.dataframe[0].value.to_dict("records") == [{"File": "notes.txt", "Why": "not an image"}]


def test_every_class_has_its_pictures(open_page, service):
    dataset = service.add_dataset()
    page = open_page(dataset=dataset["dataset_id"])
    alts = [element.proto.imgs[0].alt for element in page.image if element.proto.imgs]
    assert alts.count("Sample images of the class square") == 8


def test_many_classes_unfold_on_demand(open_page, service):
    dataset = service.add_dataset(class_counts={f"class {n:02}": 3 for n in range(20)})
    page = open_page(dataset=dataset["dataset_id"])
    assert "**class 19**" not in texts(page.markdown)
    page.toggle(key="more-classes").set_value(True).run()
    assert "**class 19**" in texts(page.markdown)


def test_an_older_dataset_can_be_chosen(open_page, service):
    first = service.add_dataset("first")
    service.add_dataset("second")
    page = open_page()
    page.selectbox(key="dataset-chooser").set_value(first["dataset_id"]).run()
    assert page.header[0].value == "first"


def test_deleting_asks_and_then_forgets_the_dataset(open_page, service):
    dataset = service.add_dataset()
    page = open_page(dataset=dataset["dataset_id"])
    page.button(key="delete-yes").click().run()
    assert service.datasets == {}
    assert "dataset" not in page.query_params


def test_deleting_a_dataset_in_use_shows_why_not(open_page, service):
    service.step = 0
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"])
    page = open_page(dataset=dataset["dataset_id"])
    page.button(key="delete-yes").click().run()
    assert "Cancel it first." in page.error[0].value
    assert service.datasets


def test_the_next_action_opens_train(open_page, service):
    dataset = service.add_dataset()
    page = open_page(dataset=dataset["dataset_id"])
    page.button(key="go-train").click().run()
    assert page.header[0].value == "Train on shapes"


def import_from_server(page, path):
    page.text_input(key="server-path").input(path)
    next(button for button in page.button if button.label == "Import").click()
    return page.run()


def test_a_folder_of_the_server_is_imported_and_its_progress_shown(open_page, service):
    service.step = 0
    page = import_from_server(open_page(), "pets")
    assert any("**pets** is being imported, 40% done." in text for text in texts(page.markdown))
    assert not page.exception
    assert [job["kind"] for job in service.jobs.values()] == ["import_dataset"]


def test_a_path_that_is_empty_is_asked_for(open_page, service):
    page = open_page()
    next(button for button in page.button if button.label == "Import").click().run()
    assert "Name a folder" in page.error[0].value
    assert not service.jobs


def test_a_file_that_the_browser_itself_refuses_is_told_in_words():
    style = browser_page.too_large_style()
    assert '[aria-invalid="true"]' in style
    assert "over the limit and was not sent" in style


def test_a_path_that_may_not_be_imported_says_why(open_page):
    page = import_from_server(open_page(), "../secret")
    assert "There is no" in page.error[0].value


def test_the_formats_are_named_before_the_upload(open_page):
    page = open_page()
    assert "TAR.GZ" in page.file_uploader[0].label
    assert any("labels.csv" in caption.value for caption in page.caption)
