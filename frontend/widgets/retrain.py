"""Training again on the newest version in one click, with the choices of the last run."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from frontend import state
from frontend.answers import ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.widgets import problems


def button(api: Client, dataset_id: str, *, key: str, primary: bool = False) -> None:
    """The button; opens the running training where it could be started."""
    kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
    if st.button(t("retrain.button"), key=key, type=kind, icon=":material/replay:", help=t("retrain.help")):
        start(api, dataset_id)


def start(api: Client, dataset_id: str) -> None:
    try:
        job = api.start_training(_recipe(api, dataset_id))
    except ApiError as error:
        problems.show_problem(error)
        return
    state.remember_change(dataset_id, None)
    state.choose_job(job["job_id"], dataset=dataset_id, tab=state.TRAIN)
    state.rerun()


def outdated(api: Client, results: ResultsAnswer) -> None:
    """Where the data has changed since a run: say so, and offer the next run."""
    trained_on = results.get("dataset_version", 1)
    try:
        newest = api.dataset(results["dataset_id"])["version"]
    except ApiError:
        return  # the dataset is gone; the results stay
    if newest > trained_on:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(t("retrain.outdated", trained=trained_on, newest=newest), width="stretch")
            button(api, results["dataset_id"], key="retrain-outdated")


def _recipe(api: Client, dataset_id: str) -> dict[str, Any]:
    """The last run's choices, on the version that is the newest when it is queued."""
    try:
        last = api.results(dataset_id).get("recipe") or {}
    except ApiError as error:
        if error.status != 404:
            raise
        last = {}  # nothing was trained yet: everything by default
    chosen = {name: value for name, value in last.items() if name != "dataset_version" and value is not None}
    return {**chosen, "dataset_id": dataset_id}
