"""The confusion matrix: its numbers can be read on every cell, and its cells can be found."""

from __future__ import annotations

import pytest

from frontend.widgets import confusion
from frontend.widgets.confusion import Cell

MATRIX = {"labels": ["a", "b", "c"], "matrix": [[5, 1, 0], [3, 3, 0], [1, 3, 4]]}
# Background and text of the two themes, as Chromium reports them.
PAGES = {"light": ((255, 255, 255), (47, 45, 43)), "dark": ((23, 22, 20), (237, 235, 232))}
WHITE = (255, 255, 255)
READABLE = 4.5  # WCAG 2.1, 1.4.3


def luminance(colour):
    linear = [c / 12.92 if (c := part / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def laid_over(page, alpha):
    return tuple(alpha * ink + (1 - alpha) * below for ink, below in zip(confusion.BLUE, page, strict=True))


@pytest.mark.parametrize("theme", PAGES)
def test_a_count_can_be_read_on_every_shade(theme):
    page, text = PAGES[theme]
    for percent in range(101):
        share = percent / 100
        number = WHITE if share > 0.5 else text
        assert contrast(number, laid_over(page, confusion.opacity(share))) >= READABLE, share


def test_the_figure_shades_as_the_contrast_was_reckoned():
    heat = confusion.figure(MATRIX).data[0]
    for share, colour in heat.colorscale:
        assert float(colour.rstrip(")").split(",")[-1]) == pytest.approx(confusion.opacity(share), abs=1e-4)


def test_counts_are_white_only_on_dark_cells():
    numbers = confusion.figure(MATRIX).layout.annotations
    assert [(n.text, n.font.color) for n in numbers[:4]] == [("5", "white"), ("1", None), ("0", None), ("3", None)]


def test_every_cell_can_be_clicked_and_knows_its_count():
    points = confusion.figure(MATRIX).data[1]
    found = {(y, x): count for y, x, (count, _) in zip(points.y, points.x, points.customdata, strict=True)}
    assert found[("b", "a")] == "3"
    assert points.customdata[3][1] == "50%"
    assert found == {
        (truth, predicted): str(confusion.count_of(MATRIX, Cell(truth, predicted)))
        for truth in "abc"
        for predicted in "abc"
    }


def test_the_chosen_cell_has_a_frame():
    (frame,) = confusion.figure(MATRIX, Cell("c", "b")).layout.shapes
    assert ((frame.x0 + frame.x1) / 2, (frame.y0 + frame.y1) / 2) == (1, 2)
    assert not confusion.figure(MATRIX, Cell("gone", "b")).layout.shapes


def test_the_most_frequent_mistake_is_the_first_of_equals():
    assert confusion.most_mistaken(MATRIX) == Cell("b", "a")
    assert confusion.most_mistaken({"labels": ["a", "b"], "matrix": [[4, 0], [0, 4]]}) is None


def test_many_classes_have_their_numbers_in_the_hover_text_only():
    labels = [str(n) for n in range(confusion.MOST_LABELLED_CELLS + 1)]
    many = confusion.figure({"labels": labels, "matrix": [[1] * len(labels)] * len(labels)})
    assert not many.layout.annotations
    assert "customdata[0]" in many.data[1].hovertemplate
