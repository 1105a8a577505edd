"""Predictions: pictures in, names with bars out; a bad picture harms no other."""

from __future__ import annotations

import base64

import pytest
from stand_in_honesty import HONEST

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
    worth = next(caption for caption in page.caption if "only choose among its own classes" in caption.value)
    assert "nearest of 480 training images" in worth.help
    assert "about 2.5% of pictures" in worth.help


def test_what_a_confidence_has_meant_is_said_by_the_test_images(page, service, picture):
    drop(page, ("a.png", picture))
    captions = [caption.value for caption in page.caption]
    assert "Of 52 test pictures that it answered with 80%–95%, 47 were right." in captions
    service.unfamiliar = True  # then it answers with 55%
    drop(page, ("b.png", picture + b"\0"))
    words = next(caption.value for caption in page.caption if "test pictures" in caption.value)
    assert words.startswith("Only 6 test pictures were answered with 50%–80%: too few")


def test_of_a_model_that_did_not_count_it_nothing_is_said_of_its_confidence(page, picture, monkeypatch):
    monkeypatch.setitem(HONEST, "reliability", [])
    monkeypatch.setitem(HONEST, "familiarity", None)
    page.run()
    drop(page, ("a.png", picture))
    assert not page.exception
    assert not [caption for caption in page.caption if "test pictures" in caption.value]


def test_a_heat_map_that_passes_its_test_says_by_how_much(page, picture):
    drop(page, ("a.png", picture))
    assert any(
        caption.value.startswith("The heat map holds: blurring what it marks takes 64%") for caption in page.caption
    )
    assert not page.warning


def test_a_heat_map_that_fails_its_test_is_weak_evidence(page, service, picture):
    service.weak = True
    drop(page, ("a.png", picture))
    assert page.warning[0].value.startswith("Weak evidence: blurring what the heat map marks takes 7%")
    assert "in circle" in page.warning[0].value


def test_the_heat_map_of_another_class_has_a_test_of_its_own(page, service, picture):
    drop(page, ("a.png", picture))
    service.weak = True
    page.selectbox(key="why-0-model-0000000000").set_value("square").run()
    assert "in square" in page.warning[0].value


def test_similar_images_stand_with_label_and_similarity_from_the_models_version(page, service, picture):
    drop(page, ("a.png", picture))
    captions = [image.proto.imgs[0].caption for image in page.image if image.proto.imgs]
    assert [caption for caption in captions if caption.startswith("circle")] == [
        "circle 98%",
        "circle 96%",
        "circle 94%",
        "circle 92%",
    ]


def test_similar_images_of_a_deleted_dataset_are_named_and_said_to_be_gone(page, picture, monkeypatch):
    from frontend.widgets import pictures

    monkeypatch.setattr(pictures, "_fetch", lambda api, address: None)
    pictures.thumbnails.clear()
    drop(page, ("a.png", picture))
    assert not page.exception
    gone = next(caption.value for caption in page.caption if "was deleted" in caption.value)
    assert "circle 98%, circle 96%" in gone


def test_thumbnails_are_asked_of_the_version_that_the_model_learned_from(page, picture, monkeypatch):
    from frontend.widgets import pictures

    asked = []
    monkeypatch.setattr(pictures, "_fetch", lambda api, address: asked.append(address))
    pictures.thumbnails.clear()
    drop(page, ("a.png", picture))
    similar = [address for address in asked if "size=96" in address]
    assert len(similar) == 4
    assert all(address.endswith("&version=1") for address in similar)


def test_a_familiar_picture_is_said_too(page, picture):
    drop(page, ("a.png", picture))
    assert not page.warning
    assert "This picture is like the training images." in [caption.value for caption in page.caption]


def test_picture_and_heat_map_stand_side_by_side_with_alt_texts(page, picture):
    drop(page, ("a.png", picture))
    alts = [element.proto.imgs[0].alt for element in page.image if element.proto.imgs]
    assert "The picture a.png" in alts
    assert any(alt.startswith("Heat map over the picture a.png") for alt in alts)
    assert alts.count("A training image similar to the picture, labelled circle") == 4


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
