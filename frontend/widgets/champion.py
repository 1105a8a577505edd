"""A new model beside the one that it would replace: the answer in words, the classes as a table, and the choice.

It promotes nothing by itself; the button is the one of any model.
"""

from __future__ import annotations

import streamlit as st

from frontend.answers import ModelAnswer, ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.version_answers import ComparisonAnswer
from frontend.widgets import frame, problems
from frontend.widgets.downloads import promote, promote_button
from frontend.widgets.wording import plain


def show(api: Client, results: ResultsAnswer) -> None:
    """Draw the comparison; nothing where the dataset has no other model."""
    in_use = [model for model in api.models() if model.get("state") != "archived"]
    models = [model for model in in_use if model["dataset_id"] == results["dataset_id"]]
    if len(models) < 2 or results["model_id"] not in {model["model_id"] for model in models}:
        return
    promoted = next((model for model in models if model.get("promoted")), None)
    try:
        comparison = api.comparison(results["model_id"])
    except ApiError as error:
        if error.status != 404:
            raise
        _offer(api, results, models)
        return
    st.subheader(t("champion.title"), anchor=False)
    with st.container(border=True):
        st.markdown(f"**{plain(comparison['headline'])}**")
        st.markdown(plain(comparison["by_class"]))
        newer, older = comparison["dataset_version"], comparison["champion_version"]
        st.caption(t("champion.who", challenger=newer, champion=older))
        for note in comparison["notes"]:
            st.caption(plain(note))
        answers = st.empty()  # said anew when the button below has changed it
        answers.caption(_who_answers(results, promoted))
        other = promoted is None or promoted["model_id"] != results["model_id"]
        if other and promote_button(key="champion-promote") and promote(api, results["model_id"]):
            answers.caption(t("champion.this_promoted"))
    with st.expander(t("champion.classes"), icon=":material/table_rows:"):
        _table(comparison)


def _offer(api: Client, results: ResultsAnswer, models: list[ModelAnswer]) -> None:
    """The button that has two models compared; the very first model of a dataset has none before it."""
    oldest = models[-1]["model_id"] == results["model_id"]
    if oldest and not any(model.get("promoted") for model in models[:-1]):
        return
    if st.button(t("champion.compare"), key="champion-compare", icon=":material/compare_arrows:"):
        try:
            job = api.start_comparison(results["model_id"])
        except ApiError as error:
            problems.show_problem(error)
        else:
            st.info(t("champion.queued", job=job["job_id"]), icon=":material/hourglass:")


def _who_answers(results: ResultsAnswer, promoted: ModelAnswer | None) -> str:
    if promoted is None:
        return t("champion.nobody_promoted")
    if promoted["model_id"] == results["model_id"]:
        return t("champion.this_promoted")
    return t("champion.other_promoted", model=promoted["model_id"])


def _table(comparison: ComparisonAnswer) -> None:
    rows = [
        {
            t("champion.class"): one["label"],
            t("champion.images"): one["images"],
            t("champion.before"): one["champion_right"],
            t("champion.now"): one["challenger_right"],
            t("champion.verdict"): t(f"champion.verdict.{one['verdict']}"),
        }
        for one in comparison["classes"]
    ]
    frame.show(rows, alt=t("champion.classes"))
    st.caption(t("champion.test"))
