"""What to predict, and Start. The rest under Advanced, each with one line of help."""

from __future__ import annotations

from typing import Any

import streamlit as st

from frontend import state
from frontend.client import ApiError, Client
from frontend.i18n import has, t
from frontend.table_answers import ColumnAnswer, TableView
from frontend.widgets import problems
from frontend.widgets.wording import name_of, seconds

BUDGETS = (20, 60, 300)
FOUND = "found"
TARGETS = ("number", "boolean", "category")
FEW_VALUES = 20


def show(api: Client, table: TableView, *, again: bool) -> None:
    """Draw the form; `again`: there are results already."""
    st.subheader(t("table.train_again") if again else t("table.train"), anchor=False)
    columns = {column["name"]: column for column in table["columns"]}
    targets = [name for name, column in columns.items() if column["kind"] in TARGETS] or list(columns)
    target = st.selectbox(t("table.target"), targets, index=len(targets) - 1, help=t("table.target_help"))
    budget = st.radio(
        t("table.budget"), BUDGETS, index=1, format_func=lambda value: seconds(float(value)), horizontal=True
    )
    place = st.container()
    with st.expander(t("train.advanced"), icon=":material/tune:"):
        recipe = advanced(api, table, columns[target])
    recipe |= {"dataset_id": table["dataset_id"], "target": target, "time_budget_s": budget}
    with place:
        if st.button(t("train.start"), key="start-table", type="primary", icon=":material/play_arrow:"):
            start(api, recipe)


def advanced(api: Client, table: TableView, target: ColumnAnswer) -> dict[str, Any]:
    """Choices that most people leave as they are."""
    task = st.radio(
        t("table.task"),
        (FOUND, "classification", "regression"),
        format_func=lambda value: _task(value, target),
        horizontal=True,
        help=t("table.task_help"),
    )
    kinds = {kind["name"]: kind for kind in api.tables.kinds()}
    models = st.multiselect(
        t("table.models"),
        list(kinds),
        default=list(kinds),
        format_func=lambda name: t(f"table_model.{name}") if has(f"table_model.{name}") else kinds[name]["title"],
        help=t("table.models_help"),
        placeholder=t("table.models_placeholder"),
    )
    others = [column["name"] for column in table["columns"] if column["name"] != target["name"]]
    exclude = st.multiselect(
        t("table.exclude"), others, help=t("table.exclude_help"), placeholder=t("table.exclude_placeholder")
    )
    ensemble = st.toggle(t("table.ensemble"), value=True, help=t("table.ensemble_help"))
    recipe: dict[str, Any] = {"exclude": exclude, "ensemble": ensemble}
    if task != FOUND:
        recipe["task"] = task
    if models and len(models) < len(kinds):
        recipe["models"] = models
    return recipe


def _task(value: str, target: ColumnAnswer) -> str:
    if value != FOUND:
        return name_of("task", value)
    amount = target["kind"] == "number" and target["unique"] > FEW_VALUES
    return t("table.task_found", task=name_of("task", "regression" if amount else "classification"))


def start(api: Client, recipe: dict[str, Any]) -> None:
    try:
        job = api.tables.start_training(recipe)
    except ApiError as error:
        problems.show_problem(error)
    else:
        state.choose_table(str(recipe["dataset_id"]), job=job["job_id"])
        state.rerun()
