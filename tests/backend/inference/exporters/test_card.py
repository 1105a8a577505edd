from __future__ import annotations

import html.parser

import pytest

from backend.contracts import (
    ClassScore,
    ConfusionMatrix,
    DatasetInfo,
    LabelConfusion,
    TestPrediction,
    TestPredictions,
    TestScores,
)
from backend.inference.exporters.card import card_of
from backend.inference.exporters.card_words import macro_f1_interval, weak_classes
from backend.inference.exporters.request import Subject, Surroundings
from backend.storage.answers import write_answers

HOSTILE = "<script>alert(1)</script>\"' onload=x &lt; {{7*7}} \u202e"
CLASSES = ("bag", "boot", HOSTILE)
MATRIX = ((2, 8, 0), (1, 9, 0), (0, 0, 10))


def scores(names=CLASSES) -> dict:
    recalls = {name: MATRIX[place][place] / 10 for place, name in enumerate(names)}
    per_class = [
        ClassScore(label=name, precision=0.6, recall=recalls[name], f1=recalls[name], support=10) for name in names
    ]
    return {
        "test": TestScores(
            accuracy=0.7, accuracy_ci95=(0.52, 0.83), macro_f1=0.7, log_loss=0.5, expected_calibration_error=0.05
        ).model_dump(mode="json"),
        "per_class": [one.model_dump(mode="json") for one in per_class],
        "confusion_matrix": ConfusionMatrix(labels=names, matrix=MATRIX).model_dump(mode="json"),
    }


class Reader(html.parser.HTMLParser):
    """What a browser would see: elements, attributes, text; and whether every element is closed."""

    VOID = frozenset({"meta", "rect"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture
def card(info, tmp_path) -> str:
    described = info(class_names=CLASSES, metrics=scores(), name=HOSTILE, accuracy=0.7)
    return card_of(Subject(folder=tmp_path, info=described, around=Surroundings()))


def test_names_from_outside_are_shown_and_never_obeyed(card) -> None:
    page = Reader(card)
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object", "a"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert any("<script>alert(1)</script>" in words for words in page.words)


def test_nothing_is_fetched_from_elsewhere(card) -> None:
    page = Reader(card)
    for _, attributes in page.elements:
        assert not {"src", "href", "srcset", "data"} & attributes.keys()
    assert "url(" not in card
    assert "@import" not in card
    assert "default-src 'none'" in card


def test_it_can_be_read_by_everybody(card) -> None:
    page = Reader(card)
    assert dict(page.elements)["html"]["lang"] == "en"
    assert "prefers-color-scheme: dark" in card
    assert "@media print" in card
    assert any(attributes.get("name") == "viewport" for _, attributes in page.elements)
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert drawings
    assert all(one["role"] == "img" and "Confusion matrix" in one["aria-label"] for one in drawings)


def test_weak_classes_are_named_in_words_with_what_they_are_taken_for(card) -> None:
    words = " ".join(Reader(card).words)
    assert "'bag': it finds 2 of 10" in words
    assert "most often taken for 'boot' (8)" in words
    assert "'boot': it finds" not in words.split("Known weak classes")[1].split("The weakest first")[0].replace(
        "'bag'", ""
    )


def test_scores_stand_with_their_intervals(card) -> None:
    words = " ".join(Reader(card).words)
    for expected in ("70.0%", "52.0% to 83.0%", "Calibration error", "5.0%"):
        assert expected in words


def test_the_dataset_is_named_and_counted(info, tmp_path) -> None:
    data = DatasetInfo(
        dataset_id="ds-1",
        name=HOSTILE,
        total_images=30,
        num_classes=2,
        class_counts={"bag": 10, "boot": 20},
        digest="0",
    )
    page = Reader(card_of(Subject(folder=tmp_path, info=info(), around=Surroundings(dataset=lambda: data))))
    words = " ".join(page.words)
    assert "<script>alert(1)</script>" in words
    assert "Pictures in the dataset" in words
    assert "script" not in {tag for tag, _ in page.elements}


def test_a_card_is_written_of_a_model_that_nothing_is_known_of(info, tmp_path) -> None:
    page = Reader(card_of(Subject(folder=tmp_path, info=info(metrics={"test": {"old": 1}}), around=Surroundings())))
    assert page.open == []
    assert any("unlike its training images" in words for words in page.words)


def test_a_card_of_several_labels_counts_each_label(info, tmp_path) -> None:
    score = ClassScore(
        label="crack", precision=0.5, recall=0.5, f1=0.5, support=4, threshold=0.31, average_precision=0.66
    )
    metrics = {
        "per_class": [score.model_dump(mode="json")],
        "label_confusion": [LabelConfusion(label="crack", matrix=((11, 2), (2, 2))).model_dump(mode="json")],
    }
    described = info(task="multilabel", thresholds=(0.31,), class_names=("crack",), metrics=metrics)
    words = " ".join(Reader(card_of(Subject(folder=tmp_path, info=described, around=Surroundings()))).words)
    for expected in ("gets all labels right", "False alarms", "0.31", "66.0%", "any number of labels"):
        assert expected in words


def test_the_interval_of_macro_f1_is_drawn_from_the_answers(tmp_path) -> None:
    images = tuple(
        TestPrediction(
            image_id=f"img-{n:03}",
            label=("a", "b")[n % 2],
            predicted=("a", "b")[(n % 2) ^ (n % 10 == 0)],
            confidence=0.9,
        )
        for n in range(100)
    )
    write_answers(tmp_path, TestPredictions(class_names=("a", "b"), images=images))
    low, high = macro_f1_interval(tmp_path)
    assert 0.75 < low < 0.9 < high < 1.0
    assert macro_f1_interval(tmp_path) == (low, high)  # the same card each time
    assert macro_f1_interval(tmp_path / "nothing") is None


def test_no_class_is_called_weak_for_standing_a_little_below_others() -> None:
    rows = [
        ClassScore(label=name, precision=f1, recall=f1, f1=f1, support=50) for name, f1 in (("a", 0.95), ("b", 0.9))
    ]
    assert weak_classes(rows, None) == []
