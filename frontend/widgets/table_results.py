"""What a training on a table found: the answer in one sentence first, then everything that it rests on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from frontend import state
from frontend.client import ApiError, Client
from frontend.i18n import t, written
from frontend.table_answers import Dependence, TableResultsAnswer, TableRowAnswer
from frontend.widgets import charts, confusion, scores_table
from frontend.widgets.wording import NOTHING, name_of, percent, plain, seconds

SHOWN_COLUMNS = 15


def find(api: Client, table_id: str) -> TableResultsAnswer | None:
    """The results of the job of the URL, else the table's newest; None where there are none."""
    try:
        return api.tables.job_results(state.job_id() or "") if state.job_id() else api.tables.results(table_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def show(api: Client, results: TableResultsAnswer) -> None:
    headline(results)
    st.download_button(
        t("table.download"),
        data=partial(api.tables.download, results["model_id"]),
        file_name=f"{results['target']}-{results['model_id']}.zip",
        mime="application/zip",
        key="download-table",
        help=t("table.download_help"),
        icon=":material/download:",
        on_click="ignore",
    )
    if results["notes"]:
        st.info("\n\n".join(plain(note) for note in results["notes"]), icon=":material/info:")
    leaderboard(results)
    mistakes(results)
    grounds(results)
    left_out(results)


def headline(results: TableResultsAnswer) -> None:
    """How good it is, in words, against what can be had without looking."""
    test = results["test"]
    low, high = test["score_ci95"]
    if results["task"] == "classification":
        sentence = t(
            "table.answer",
            target=plain(results["target"]),
            right=round(100 * (test["accuracy"] or 0.0)),
            model=name_of("table_model", results["best_model"]),
        )
        figures = t(
            "table.measured",
            rows=test["rows"],
            metric=name_of("metric", results["metric"]),
            score=percent(test["score"]),
            low=percent(low),
            high=percent(high),
            baseline=percent(test["baseline"]),
        )
    else:
        sentence = t(
            "table.answer_amount",
            target=plain(results["target"]),
            error=number(test["mae"]),
            model=name_of("table_model", results["best_model"]),
        )
        figures = t(
            "table.measured_amount", rows=test["rows"], r2=number(test["score"]), low=number(low), high=number(high)
        )
    st.subheader(sentence, anchor=False)
    st.caption(figures)


def leaderboard(results: TableResultsAnswer) -> None:
    st.subheader(t("results.leaderboard"), anchor=False)
    st.caption(t("table.leaderboard_help", metric=name_of("metric", results["metric"])))
    as_score = percent if results["task"] == "classification" else number
    rows = [_row(row, as_score, best=row["name"] == results["best_model"]) for row in results["leaderboard"]]
    with st.container(key="leaderboard"):
        st.table(rows, border="horizontal", hide_index=True, alt=t("results.leaderboard"))


def _row(row: TableRowAnswer, as_score: Callable[[float | None], str], *, best: bool) -> dict[str, Any]:
    name = name_of("table_model", row["name"])
    story = plain(row["reason"] or row["tried"] or "")
    note = t("leaderboard.best") if best else t("leaderboard.tie") if row["tie"] else ""
    interval = row["score_ci95"]
    return {
        t("column.rank"): NOTHING if row["rank"] is None else str(row["rank"]),
        t("table.column_model"): f"{f'**{name}**' if best else name}  \n:small[:gray[{story}]]" if story else name,
        t("table.column_score"): as_score(row["score"]),
        t("table.column_interval"): NOTHING
        if interval is None
        else f"{as_score(interval[0])} – {as_score(interval[1])}",
        t("column.note"): note if row["status"] == "ok" else name_of("status", row["status"]),
        t("column.train_seconds"): seconds(row["train_seconds"]),
    }


def mistakes(results: TableResultsAnswer) -> None:
    """Where it is wrong: the confusion matrix and the classes, or truth against answer."""
    matrix = results["confusion_matrix"]
    if matrix is not None:
        left, right = st.columns(2, gap="large")
        with left:
            st.subheader(t("results.confusion"), anchor=False)
            charts.draw(confusion.figure(matrix), key="table-confusion", alt=t("results.confusion"))
        with right:
            st.subheader(t("results.classes"), anchor=False)
            scores_table.show(results["per_class"], counted=t("table.column_rows"))
    elif results["residuals"]:
        st.subheader(t("table.residuals"), anchor=False)
        st.caption(t("table.residuals_help"))
        charts.draw(_truth_and_answer(results), key="table-residuals", alt=t("table.residuals"))


def _truth_and_answer(results: TableResultsAnswer) -> Any:
    truth = [pair["truth"] for pair in results["residuals"]]
    answer = [pair["answer"] for pair in results["residuals"]]
    ends = [min(truth + answer), max(truth + answer)]
    figure = go.Figure(
        [
            go.Scatter(x=ends, y=ends, mode="lines", line={"color": "#8A8F98", "dash": "dot"}, hoverinfo="skip"),
            go.Scatter(x=truth, y=answer, mode="markers", marker={"color": charts.BLUE, "opacity": 0.6}),
        ]
    )
    figure.update_xaxes(title=t("chart.truth"))
    figure.update_yaxes(title=t("chart.predicted"))
    return figure.update_layout(height=380, showlegend=False)


def grounds(results: TableResultsAnswer) -> None:
    """What the answers rest on: importances, and what they do when a column changes."""
    found = [one for one in results["importances"] if one["importance"] > 0][:SHOWN_COLUMNS]
    if found:
        st.subheader(t("table.importance"), anchor=False)
        st.caption(t("table.importance_help", metric=name_of("metric", results["metric"])))
        found.reverse()
        bars = go.Bar(
            x=[one["importance"] for one in found],
            y=[one["column"] for one in found],
            error_x={"array": [one["deviation"] for one in found]},
            orientation="h",
            marker={"color": charts.BLUE},
        )
        figure = go.Figure(bars).update_layout(height=110 + 30 * len(found))
        figure.update_yaxes(**charts.names([one["column"] for one in found]), showgrid=False)
        figure.update_xaxes(title=t("table.importance_axis", metric=name_of("metric", results["metric"])))
        charts.draw(figure, key="table-importance", alt=t("table.importance"))
    curves = {one["column"]: one for one in results["partial_dependence"]}
    if curves:
        st.subheader(t("table.dependence"), anchor=False)
        st.caption(t("table.dependence_help"))
        chosen = st.selectbox(t("table.dependence_of"), list(curves))
        charts.draw(_dependence(curves[chosen], results), key="table-dependence", alt=t("table.dependence"))


def _dependence(one: Dependence, results: TableResultsAnswer) -> Any:
    figure = go.Figure()
    for place, (name, answers) in enumerate(one["answers"].items()):
        colour = charts.PALETTE[place % len(charts.PALETTE)]
        if one["kind"] == "number":
            line = {"mode": "lines+markers", "line": {"color": colour}}
            figure.add_trace(go.Scatter(x=one["values"], y=answers, name=name, **line))
        else:
            figure.add_trace(go.Bar(x=one["values"], y=answers, name=name, marker={"color": colour}))
    figure.update_xaxes(title=one["column"], type="linear" if one["kind"] == "number" else "category")
    classes = results["task"] == "classification"
    figure.update_yaxes(title=t("table.mean_answer"), tickformat=".0%" if classes else None)
    return figure.update_layout(height=320, showlegend=True)


def left_out(results: TableResultsAnswer) -> None:
    if results["left_out"]:
        with st.expander(t("table.left_out", count=len(results["left_out"])), icon=":material/visibility_off:"):
            for one in results["left_out"]:
                st.markdown(f"**{plain(one['column'])}** · {plain(one['reason'])}")


def number(value: float | None) -> str:
    """Three digits that count."""
    return NOTHING if value is None else written(value, ",.3f" if abs(value) < 10 else ",.1f")
