"""Predictions: pictures in, names with bars out; a bad picture harms no other."""

from __future__ import annotations

import base64

import pytest

from frontend.widgets.answer_card import AMBER, GREEN, GREY, bars, colour


@pytest.fixture
def page(open_page, service):
    dataset = service.add_dataset()
    service.add_job(dataset["dataset_id"], state="succeeded")
    return open_page(tab="predictions", dataset=dataset["dataset_id"])


def drop(page, *files):
    page.file_uploader[0].set_value([(name, content, "image/png") for name, content in files])
    return page.run()


def test_each_picture_gets_its_answer(page, service, picture):
    drop(page, ("a.png", picture), ("b.png", picture[:-1] + b"\x82"))
    assert [element.value for element in page.subheader if "circle" in element.value] == ["circle · 91.0%"] * 2
    assert service.predictions_asked[0] == {"model_id": "model-0000000000", "top_k": 3, "explain": True}


def test_drawing_the_page_again_does_not_ask_again(page, service, picture):
    drop(page, ("a.png", picture))
    page.run()
    assert len(service.predictions_asked) == 1


def test_a_file_that_is_no_picture_shows_the_detail_and_leaves_the_others_alone(page, picture):
    drop(page, ("bad.png", b"nothing"), ("good.png", picture))
    assert page.error[0].value.startswith("The file is not a picture")
    assert len([element for element in page.subheader if "circle" in element.value]) == 1
    assert not page.exception


def test_an_unfamiliar_picture_is_said_in_words(page, service, picture):
    service.unfamiliar = True
    drop(page, ("a.png", picture))
    assert "unlike the training images (unfamiliarity 83%)" in page.warning[0].value


def test_a_familiar_picture_is_said_too(page, picture):
    drop(page, ("a.png", picture))
    assert not page.warning
    assert "This picture is like the training images." in [caption.value for caption in page.caption]


def test_picture_and_heat_map_stand_side_by_side_with_alt_texts(page, picture):
    drop(page, ("a.png", picture))
    alts = [element.proto.imgs[0].alt for element in page.image if element.proto.imgs]
    assert "The picture a.png" in alts
    assert any(alt.startswith("Heat map over the picture a.png") for alt in alts)
    assert alts.count("A training image similar to the picture") == 4


def test_without_the_heat_map_none_is_asked_for(page, service, picture):
    page.toggle(key="explain").set_value(False).run()
    drop(page, ("a.png", picture))
    assert service.predictions_asked[0]["explain"] is False
    assert not page.slider


def test_the_heat_map_of_another_class_comes_from_explain(page, service, picture):
    drop(page, ("a.png", picture))
    page.selectbox(key="why-0-model-0000000000").set_value("square").run()
    assert service.predictions_asked[-1] == {"model_id": "model-0000000000", "class_name": "square"}


def test_pictures_of_the_dataset_can_be_taken(page, service):
    page.segmented_control(key="picture-source").set_value("dataset").run()
    page.button(key="take-examples").click().run()
    assert len(service.predictions_asked) == 3
    assert "From the dataset, labelled square" in [caption.value for caption in page.caption]


def test_pictures_survive_a_change_of_tab(page, picture):
    drop(page, ("a.png", picture))
    page.segmented_control(key="tab-control").set_value("results").run()
    page.segmented_control(key="tab-control").set_value("predictions").run()
    assert "circle · 91.0%" in [element.value for element in page.subheader]


def test_the_camera_is_asked_for_only_once_it_is_chosen(page):
    assert not page.camera_input
    page.segmented_control(key="picture-source").set_value("camera").run()
    assert page.camera_input


def test_without_a_model_the_tab_offers_to_train(open_page, service):
    dataset = service.add_dataset()
    page = open_page(tab="predictions", dataset=dataset["dataset_id"])
    assert page.button[-1].label == "Train one"


@pytest.mark.parametrize(
    ("confidence", "expected"), [(1.0, GREEN), (0.8, GREEN), (0.799, AMBER), (0.5, AMBER), (0.499, GREY), (0.0, GREY)]
)
def test_a_bar_is_green_amber_or_grey(confidence, expected):
    assert colour(confidence) == expected


def test_a_label_cannot_smuggle_html_into_the_page():
    html = bars([{"label": "<script>alert(1)</script>\"'", "confidence": 0.5}])
    assert "<script>" not in html
    assert 'aria-label="&lt;script&gt;' in html


def test_a_broken_heat_map_costs_only_the_heat_map(page, picture, monkeypatch):
    monkeypatch.setattr(base64, "b64encode", lambda _: b"!!!")
    drop(page, ("a.png", picture))
    assert not page.exception
    assert "circle · 91.0%" in [element.value for element in page.subheader]
