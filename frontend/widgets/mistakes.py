"""The confusion matrix and the images in one of its cells, chosen by a click or by two lists. Redraws itself alone."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import streamlit as st

from frontend import state
from frontend.answers import AnswerPage, ConfusionMatrix, ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.widgets import charts, confusion, problems
from frontend.widgets.confusion import Cell
from frontend.widgets.pictures import show_row
from frontend.widgets.wording import percent, plain

IMAGES_A_PAGE = 24


def show(api: Client, results: ResultsAnswer, *, beside: Callable[[ResultsAnswer], None]) -> None:
    """Draw matrix and images; `beside` draws what stands to the right of the matrix."""
    st.fragment(_draw)(api, results, beside)


class Keys(NamedTuple):
    """The names of the widgets, so that each run has its own choice."""

    truth: str
    predicted: str
    matrix: str
    page: str


def _draw(api: Client, results: ResultsAnswer, beside: Callable[[ResultsAnswer], None]) -> None:
    matrix, keys = _matrix(results), _keys(results["job_id"])
    first = confusion.most_mistaken(matrix)
    if first is not None:
        state.start_with(keys.truth, first.truth)
        state.start_with(keys.predicted, first.predicted)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(t("results.confusion"), anchor=False)
        st.caption(t("results.confusion_help"))
        charts.draw(
            confusion.figure(matrix, _chosen(keys)),
            key=keys.matrix,
            alt=t("results.confusion_alt"),
            on_select=lambda: _follow_click(keys),
        )
    with right:
        beside(results)
    _choice(results, keys)
    cell = _chosen(keys)
    if cell is not None:
        _images(api, results, cell, keys.page)


def _matrix(results: ResultsAnswer) -> ConfusionMatrix:
    """The one matrix; where an image may have several labels there is none, and `widgets.labels` draws instead."""
    return results["confusion_matrix"] or {"labels": [], "matrix": []}


def _keys(job_id: str) -> Keys:
    return Keys(*(f"cell-{part}-{job_id}" for part in Keys._fields))


def _chosen(keys: Keys) -> Cell | None:
    truth, predicted = state.value_of(keys.truth), state.value_of(keys.predicted)
    return Cell(truth, predicted) if truth is not None and predicted is not None else None


def _follow_click(keys: Keys) -> None:
    """Callback: a clicked cell goes into both lists; a click that lets go of it changes nothing."""
    points = state.value_of(keys.matrix, {}).get("selection", {}).get("points", [])
    if points:
        state.mirror(keys.truth, points[0]["y"])
        state.mirror(keys.predicted, points[0]["x"])


def _choice(results: ResultsAnswer, keys: Keys) -> None:
    """The two lists: the way without a mouse, and past the number of classes that a matrix can show."""
    matrix = _matrix(results)
    st.subheader(t("cell.title"), anchor=False)
    st.caption(t("cell.help"))
    left, right = st.columns(2)
    with left:
        truth = st.selectbox(
            t("chart.truth"), matrix["labels"], index=None, key=keys.truth, placeholder=t("cell.choose")
        )
    with right:
        st.selectbox(
            t("chart.predicted"),
            matrix["labels"],
            index=None,
            key=keys.predicted,
            placeholder=t("cell.choose"),
            format_func=lambda name: _counted(results, truth, name),
        )


def _counted(results: ResultsAnswer, truth: str | None, predicted: str) -> str:
    """An answer with how often it was given to that truth, so that nobody opens empty cells."""
    if truth is None:
        return predicted
    count = confusion.count_of(_matrix(results), Cell(truth, predicted))
    return t("cell.answer", label=predicted, count=count)


def _images(api: Client, results: ResultsAnswer, cell: Cell, page_key: str) -> None:
    count = confusion.count_of(_matrix(results), cell)
    st.markdown(_sentence(cell, count))
    if count == 0:
        return
    pages = ceil(count / IMAGES_A_PAGE)
    # the key holds the cell, so that another cell begins at its first page
    number = st.pagination(pages, key=f"{page_key}-{cell.truth}-{cell.predicted}") if pages > 1 else 1
    try:
        page = _page(api, results["job_id"], cell, offset=(number - 1) * IMAGES_A_PAGE)
    except ApiError as error:
        problems.show_problem(error)
        return
    answers = page["images"]
    with st.container(key="cell-images"):
        shown = show_row(
            api,
            [answer["url"] for answer in answers],
            alt=t("cell.alt", truth=cell.truth, predicted=cell.predicted),
            captions=[percent(answer["confidence"], digits=0) for answer in answers],
        )
    if shown < len(answers):
        st.caption(t("cell.gone", count=len(answers) - shown))


def _page(api: Client, job_id: str, cell: Cell, *, offset: int) -> AnswerPage:
    return api.test_predictions(job_id, label=cell.truth, predicted=cell.predicted, offset=offset, limit=IMAGES_A_PAGE)


def _sentence(cell: Cell, count: int) -> str:
    truth, predicted = plain(cell.truth), plain(cell.predicted)
    if count == 0:
        return t("cell.none", truth=truth, predicted=predicted)
    if truth == predicted:
        return t("cell.right", truth=truth, count=count)
    return t("cell.wrong", truth=truth, predicted=predicted, count=count)
