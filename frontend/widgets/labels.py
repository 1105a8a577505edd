"""Results where an image may have several labels: what is found of each, what is missed, and where to draw the line."""

from __future__ import annotations

from math import ceil

import plotly.graph_objects as go
import streamlit as st

from frontend import state
from frontend.answers import AnswerPage, ClassScore, ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t, written
from frontend.label_answers import LabelAtThreshold, LabelConfusion, ThresholdAnswer, ThresholdQuery
from frontend.widgets import charts, confusion, costs, frame, problems
from frontend.widgets.pictures import show_row
from frontend.widgets.wording import percent, whole

IMAGES_A_PAGE = 24
THRESHOLDS = tuple(percent / 100 for percent in range(101))
VERDICTS = ("missed", "false_alarm", "found")


def several(results: ResultsAnswer) -> bool:
    """Whether an image may have several labels."""
    return results.get("task") == "multilabel"


def sentence(results: ResultsAnswer, name: str) -> str:
    """The answer in one sentence: of ten that are there how many are found, of ten that are said how many are there."""
    alarms, misses, finds = totals(results.get("label_confusion", []))
    return t(
        "labels.answer",
        name=name,
        found=round(10 * finds / max(1, finds + misses)),
        right=round(10 * finds / max(1, finds + alarms)),
    )


def measured(results: ResultsAnswer) -> str:
    """What the sentence rests on."""
    test = results["test"]
    alarms, misses, finds = totals(results.get("label_confusion", []))
    return t(
        "labels.measured",
        images=results["split"]["test"],
        found=finds,
        there=finds + misses,
        alarms=alarms,
        macro_f1=percent(test["macro_f1"]),
        precision=percent(test.get("mean_average_precision")),
        accuracy=whole(test["accuracy"]),
    )


def totals(tables: list[LabelConfusion]) -> tuple[int, int, int]:
    """False alarms, misses and finds of all labels together."""
    return (
        sum(one["matrix"][0][1] for one in tables),
        sum(one["matrix"][1][0] for one in tables),
        sum(one["matrix"][1][1] for one in tables),
    )


def show(api: Client, results: ResultsAnswer) -> None:
    """Draw the labels, one of them closely, and what other thresholds would come to."""
    st.subheader(t("labels.title"), anchor=False)
    st.caption(t("labels.help"))
    _table(results)
    st.fragment(_closely)(api, results)
    costs.show(api, results)


def _table(results: ResultsAnswer) -> None:
    tables = {one["label"]: one["matrix"] for one in results.get("label_confusion", [])}
    rows = [_row(score, tables.get(score["label"])) for score in weakest_first(results["per_class"])]
    number = st.column_config.NumberColumn
    columns = {
        "label": st.column_config.TextColumn(t("labels.label")),
        "f1": st.column_config.ProgressColumn(
            t("column.f1"), min_value=0, max_value=100, format=t("format.bar_percent")
        ),
        "recall": number(t("column.recall"), help=t("labels.recall_help")),
        "precision": number(t("column.precision"), help=t("labels.precision_help")),
        "average": number(t("labels.average"), help=t("labels.average_help")),
        "missed": number(t("labels.missed")),
        "alarms": number(t("labels.alarms")),
        "support": number(t("column.support"), help=t("labels.support_help")),
        "threshold": number(t("labels.threshold"), help=t("labels.threshold_help")),
    }
    shares = dict.fromkeys(("recall", "precision", "average"), percent)
    words = {**shares, "threshold": lambda value: written(value, ".2f")}
    frame.show(rows, columns=columns, words=words, alt=t("labels.title"))


def weakest_first(scores: list[ClassScore]) -> list[ClassScore]:
    """By F1, then by what is found."""
    return sorted(scores, key=lambda score: (score["f1"], score["recall"], score["label"]))


def _row(score: ClassScore, matrix: list[list[int]] | None) -> dict[str, object]:
    return {
        "label": score["label"],
        "f1": 100 * score["f1"],
        "recall": score["recall"],
        "precision": score["precision"],
        "average": score.get("average_precision"),
        "missed": None if matrix is None else matrix[1][0],
        "alarms": None if matrix is None else matrix[0][1],
        "support": score["support"],
        "threshold": score.get("threshold"),
    }


def _closely(api: Client, results: ResultsAnswer) -> None:
    """One label: its four counts, its curve with a threshold to move, and its images."""
    names = [score["label"] for score in weakest_first(results["per_class"])]
    key = f"label-{results['job_id']}"
    st.subheader(t("labels.closely"), anchor=False)
    label = st.selectbox(t("labels.label"), names, key=key, help=t("labels.closely_help"))
    matrix = next(one["matrix"] for one in results.get("label_confusion", []) if one["label"] == label)
    left, right = st.columns(2, gap="large")
    with left:
        words = [t("labels.absent"), t("labels.present")]
        charts.draw(
            confusion.figure({"labels": words, "matrix": matrix}),
            key=f"{key}-matrix",
            alt=t("labels.matrix_alt", label=label),
        )
    with right:
        _curve(api, results, label, key=key)
    _images(api, results, label, matrix, key=key)


def _curve(api: Client, results: ResultsAnswer, label: str, *, key: str) -> None:
    own = next(score for score in results["per_class"] if score["label"] == label).get("threshold") or 0.5
    slider = f"{key}-threshold-{label}"
    state.start_with(slider, round(own, 2))
    chosen = st.select_slider(
        t("labels.move"),
        THRESHOLDS,
        key=slider,
        format_func=lambda value: written(value, ".2f"),  # a plain slider writes its numbers in English
        help=t("labels.move_help"),
    )
    try:
        found = at(api, results["model_id"], {"threshold": [f"{label}={chosen}"]})
    except ApiError as error:
        problems.show_problem(error)
        return
    there = next(one for one in found["labels"] if one["label"] == label)
    st.markdown(
        t(
            "labels.at",
            found=there["found"],
            support=there["support"],
            alarms=there["false_alarms"],
            f1=percent(there["f1"]),
        )
    )
    charts.draw(curve_figure(there), key=f"{key}-curve", alt=t("labels.curve_alt", label=label))


def at(api: Client, model_id: str, asked: ThresholdQuery) -> ThresholdAnswer:
    """What the model's answers come to at some thresholds; asked once for each choice."""
    return _at(api, api.base_url, model_id, asked)


@st.cache_data(ttl=600, max_entries=256, show_spinner=False)
def _at(_api: Client, base_url: str, model_id: str, asked: ThresholdQuery) -> ThresholdAnswer:  # noqa: ARG001 - the key
    return _api.thresholds(model_id, asked)


def curve_figure(label: LabelAtThreshold) -> go.Figure:
    """Precision over recall, and where the chosen threshold stands."""
    points = label["curve"]
    drawn = go.Figure(
        go.Scatter(
            x=[point[2] for point in points],
            y=[point[1] for point in points],
            customdata=[
                [written(point[0], ".2f"), *(percent(share, digits=0) for share in point[2:0:-1])] for point in points
            ],
            mode="lines",
            line={"color": charts.BLUE, "shape": "hv"},
            hovertemplate=t("chart.label_curve_hover") + "<extra></extra>",
            showlegend=False,
        )
    )
    drawn.add_trace(
        go.Scatter(
            x=[label["recall"]],
            y=[label["precision"]],
            mode="markers",
            marker={"size": 12, "color": "#E69F00", "symbol": "diamond"},
            name=t("labels.here"),
            hoverinfo="skip",
        )
    )
    drawn.update_xaxes(title=t("column.recall"), range=[0, 1.02], tickformat=".0%")
    drawn.update_yaxes(title=t("column.precision"), range=[0, 1.04], tickformat=".0%")
    return drawn.update_layout(height=280, showlegend=True)


def _images(api: Client, results: ResultsAnswer, label: str, matrix: list[list[int]], *, key: str) -> None:
    """The test images where the label was missed, said wrongly or found."""
    counts = {"missed": matrix[1][0], "false_alarm": matrix[0][1], "found": matrix[1][1]}
    first = next((one for one in VERDICTS if counts[one]), "found")
    chosen = st.segmented_control(
        t("labels.images"),
        VERDICTS,
        default=first,
        format_func=lambda one: t(f"labels.verdict.{one}", count=counts[one]),
        key=f"{key}-verdict-{label}",
    )
    if chosen is None or not counts[chosen]:
        st.caption(t("labels.none"))
        return
    pages = ceil(counts[chosen] / IMAGES_A_PAGE)
    number = st.pagination(pages, key=f"{key}-page-{label}-{chosen}") if pages > 1 else 1
    try:
        page: AnswerPage = api.label_predictions(
            results["job_id"], label=label, verdict=chosen, offset=(number - 1) * IMAGES_A_PAGE, limit=IMAGES_A_PAGE
        )
    except ApiError as error:
        problems.show_problem(error)
        return
    place = [score["label"] for score in results["per_class"]].index(label)
    answers = page["images"]
    with st.container(key="cell-images"):
        shown = show_row(
            api,
            [answer["url"] for answer in answers],
            alt=t("labels.image_alt", label=label),
            captions=[percent((answer.get("confidences") or [0.0])[place], digits=0) for answer in answers],
        )
    if shown < len(answers):
        st.caption(t("cell.gone", count=len(answers) - shown))
