"""Names on an axis: whole in the data, short and harmless on the page."""

from __future__ import annotations

from frontend.widgets import charts

ALIKE = ["European pied flycatcher, male", "European pied flycatcher, female"]


def test_classes_that_begin_alike_are_bars_of_their_own():
    figure = charts.class_counts({ALIKE[0]: 3, ALIKE[1]: 5})
    assert sorted(figure.data[0].y) == sorted(ALIKE)
    shown = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    assert len(set(shown.values())) == 2, "and can be told apart"
    assert all(len(text) == charts.LONGEST_TICK for text in shown.values())


def test_a_name_with_signs_of_html_is_shown_as_it_is():
    figure = charts.class_counts({"<b>5 mm & more": 1, "R&D": 2})
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;5 mm &amp; more", "R&amp;D")
    assert list(figure.data[0].customdata) == ["&lt;b&gt;5 mm &amp; more", "R&amp;D"]
