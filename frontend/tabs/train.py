"""Train: one choice by intent, Start, and the live view of the run. Knows nothing of how training works."""

from __future__ import annotations

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer, JobAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.watching import UNFINISHED
from frontend.widgets import estimate, intent, job_progress, problems
from frontend.widgets.recipe_form import advanced_fields
from frontend.widgets.wording import plain, seconds


def render(api: Client) -> None:
    """Draw the tab: the job of the URL if there is one, then the form."""
    job = api.job(state.job_id() or "") if state.job_id() else None
    chosen = state.dataset_id() or (job["dataset_id"] if job else None)
    if chosen is None:
        problems.first_do(
            t("train.first_upload"), button=t("train.go_upload"), action=lambda: state.open_tab(state.UPLOAD)
        )
        return
    dataset = api.dataset(chosen)
    if job is not None and job["state"] in UNFINISHED:
        st.header(t("train.running", name=plain(dataset["name"])), anchor=False)
        job_progress.watch(api, job)
        return
    if job is not None:
        outcome(api, job)
    form(api, dataset)


def outcome(api: Client, job: JobAnswer) -> None:
    """How the chosen job ended, and what to do next."""
    if job["state"] == "succeeded":
        st.success(t("train.done", time=seconds(_duration(job))), icon=":material/check_circle:")
        _go_to_results()
    elif job["state"] == "cancelled":
        st.info(t("train.cancelled"), icon=":material/cancel:")
        if has_results(api, job):
            _go_to_results()
    else:
        problems.show_detail(job.get("error") or job["message"] or t("train.failed"))
    if job["candidates"]:
        with st.expander(t("train.rows")):
            job_progress.show_rows(job)


def has_results(api: Client, job: JobAnswer) -> bool:
    """Whether a run that was cancelled had found enough to be used."""
    if not any(candidate["state"] == "succeeded" for candidate in job["candidates"]):
        return False
    try:
        api.job_results(job["job_id"])
    except ApiError:
        return False
    return True


def _go_to_results() -> None:
    st.button(
        t("train.go_results"),
        key="go-results",
        type="primary",
        icon=":material/arrow_forward:",
        on_click=state.open_tab,
        args=(state.RESULTS,),
    )


def form(api: Client, dataset: DatasetAnswer) -> None:
    """The choices and the Start button; the button comes right after the one choice that matters."""
    st.header(t("train.title", name=plain(dataset["name"])), anchor=False)
    options = api.options()
    chosen = intent.choose(options["presets"])
    recipe = {"dataset_id": dataset["dataset_id"], **chosen.recipe}
    start_place = st.container()
    candidates = api.candidates()
    with st.expander(t("train.advanced"), icon=":material/tune:", key="advanced"):
        recipe |= advanced_fields(options, candidates, dataset, intent=chosen)
    networks = len(
        recipe.get("models") or chosen.models or [candidate for candidate in candidates if candidate["default"]]
    )
    with start_place:
        st.caption(estimate.sentence(api, dataset, recipe, networks=networks, chosen=chosen))
        if st.button(t("train.start"), key="start", type="primary", icon=":material/play_arrow:"):
            start(api, recipe)


def start(api: Client, recipe: dict[str, object]) -> None:
    try:
        job = api.start_training(recipe)
    except ApiError as error:
        problems.show_problem(error)
    else:
        state.choose_job(job["job_id"], dataset=str(recipe["dataset_id"]), tab=state.TRAIN)
        state.rerun()


def _duration(job: JobAnswer) -> float | None:
    return estimate.duration(job["started_at"], job["ended_at"])
