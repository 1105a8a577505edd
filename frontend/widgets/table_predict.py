"""Ask a model of a table: one row by a form, many by a file."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import streamlit as st

from frontend.client import ApiError, Client
from frontend.i18n import read, t, written
from frontend.table_answers import ColumnAnswer, RowAnswer, TableResultsAnswer, TableView
from frontend.widgets import problems
from frontend.widgets.table_results import number
from frontend.widgets.wording import percent, plain

MOST_FIELDS = 40
COLUMNS = 3
LISTED_WORDS = 5


def show(api: Client, table: TableView, results: TableResultsAnswer) -> None:
    st.subheader(t("table.ask"), anchor=False)
    by_form, by_file = st.tabs([t("table.ask_one"), t("table.ask_file")])
    with by_form:
        one_row(api, table, results)
    with by_file:
        a_file(api, results)


def one_row(api: Client, table: TableView, results: TableResultsAnswer) -> None:
    """A field a column, filled with what is common; the answer below."""
    used = [column for column in table["columns"] if column["name"] in results["used_columns"]]
    if len(used) > MOST_FIELDS:
        st.caption(t("table.too_wide", count=len(used)))
        return
    with st.form("one-row", border=False):
        places = st.columns(COLUMNS)
        row = {}
        for place, column in enumerate(used):
            with places[place % COLUMNS]:
                row[column["name"]] = field(column)
        asked = st.form_submit_button(t("table.ask_go"), type="primary", icon=":material/arrow_forward:")
    if asked:
        try:
            answer = api.tables.predict_rows(results["model_id"], [row])["predictions"][0]
        except ApiError as error:
            problems.show_problem(error)
        else:
            show_answer(answer, results)


def field(column: ColumnAnswer) -> Any:
    """Empty means not known."""
    key = f"row-{column['name']}"
    few = column["kind"] in {"category", "boolean"} and column["unique"] <= LISTED_WORDS
    if few:
        return st.selectbox(column["name"], column["examples"], key=key)
    common = column["mean"] if column["kind"] == "number" else None
    first = written(common, "g") if common is not None else (column["examples"] or [""])[0]
    typed = st.text_input(column["name"], value=first, key=key)
    return read(typed) if column["kind"] == "number" else typed


def show_answer(answer: RowAnswer, results: TableResultsAnswer) -> None:
    target = plain(results["target"])
    if results["task"] == "classification":
        label = plain(str(answer["prediction"]))
        st.markdown(f"### {target}: {label} · {percent(answer['confidence'])}")
        for name, share in sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])[:8]:
            st.progress(share, text=f"{plain(name)} · {percent(share)}")
    else:
        st.markdown(f"### {target}: {number(float(answer['prediction']))}")
        if "low" in answer:
            st.caption(t("table.between", low=number(answer["low"]), high=number(answer["high"])))
    unusual = answer.get("unusual") or []
    if unusual:
        st.warning(t("table.unusual", columns=plain(", ".join(unusual))), icon=":material/help:")


def a_file(api: Client, results: TableResultsAnswer) -> None:
    """A file in, a file out."""
    st.caption(t("table.ask_file_help", columns=plain(", ".join(results["used_columns"][:MOST_FIELDS]))))
    file = st.file_uploader(t("table.ask_drop"), key="rows-file")
    if file is None:
        return
    try:
        answers = api.tables.predict_file(results["model_id"], cast(BinaryIO, file), file.name)
    except ApiError as error:
        problems.show_problem(error)
        return
    st.success(t("table.answered", count=max(0, answers.count(b"\n") - 1)), icon=":material/check_circle:")
    name = t("table.answers_file", target=results["target"])
    st.download_button(t("table.answers"), answers, file_name=name, mime="text/csv", icon=":material/download:")
