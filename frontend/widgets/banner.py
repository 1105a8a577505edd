"""Running jobs from everywhere, offered on every tab. Drawn in a fragment of its own, so that nothing else moves."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from frontend import state
from frontend.answers import IMPORT_KIND, TRAIN_KIND, JobAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.watching import UNFINISHED, watchers
from frontend.widgets import problems
from frontend.widgets.wording import percent, plain

DRAW_S = 3.0


def render(api: Client) -> None:
    """A line for each unfinished job but the one that the Train tab shows anyway."""
    try:
        waiting = [job for job in api.jobs() if _to_show(job)]
        names = {dataset["dataset_id"]: dataset["name"] for dataset in api.datasets()} if waiting else {}
    except ApiError:
        return  # the tab below meets the same error and shows it
    if waiting:
        st.fragment(_lines, run_every=DRAW_S)(api, {job["job_id"]: _name(job, names) for job in waiting})


def _to_show(job: JobAnswer) -> bool:
    """Trainings and imports; what goes on by itself after an upload needs nobody."""
    return job["state"] in UNFINISHED and job["kind"] in (IMPORT_KIND, TRAIN_KIND) and not _on_screen(job)


def _on_screen(job: JobAnswer) -> bool:
    return state.tab() == state.TRAIN and job["job_id"] == state.job_id()


def _name(job: JobAnswer, names: Mapping[str, str]) -> str:
    """What the run is on, for people: the dataset's name."""
    asked_for = (job.get("recipe") or {}).get("name")
    return names.get(job["dataset_id"] or "", str(asked_for or job["job_id"]))


def _lines(api: Client, names: Mapping[str, str]) -> None:
    for job_id, name in names.items():
        try:
            job = watchers(api).look(job_id).job
            _import_line(api, job, name) if job["kind"] == IMPORT_KIND else _line(job, name)
        except ApiError as error:
            problems.show_problem(error)


def _line(job: JobAnswer, name: str) -> None:
    """One job in one line; a job that has ended keeps its line until the page is drawn anew, so nothing jumps."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        text = t(f"banner.{job['state']}", name=plain(name), progress=percent(job["progress"], digits=0))
        st.markdown(text, width="stretch")
        target = state.TRAIN if job["state"] in UNFINISHED else state.RESULTS
        if st.button(t("banner.open"), key=f"open-{job['job_id']}"):
            state.choose_job(job["job_id"], dataset=job["dataset_id"], tab=target)
            state.rerun()


def _import_line(api: Client, job: JobAnswer, name: str) -> None:
    """An import in one line: how far it is, and the way to stop it; then to its dataset."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        progress, reason = percent(job["progress"], digits=0), plain(job.get("error") or "")
        text = t(f"banner.import_{job['state']}", name=plain(name), progress=progress, reason=reason)
        st.markdown(text, width="stretch")
        if job["state"] in UNFINISHED:
            if st.button(t("banner.cancel"), key=f"cancel-{job['job_id']}"):
                api.cancel_job(job["job_id"])
        elif job["state"] == "succeeded" and st.button(t("banner.open"), key=f"open-{job['job_id']}"):
            state.choose_dataset(job["dataset_id"], tab=state.UPLOAD)
            state.rerun()
