"""The finished runs of one dataset, where there is more than one."""

from __future__ import annotations

import streamlit as st

from frontend import state
from frontend.answers import ResultsAnswer
from frontend.client import Client
from frontend.i18n import t
from frontend.widgets.wording import when


def render(api: Client, results: ResultsAnswer) -> None:
    """Offer the other runs; the choice goes into the URL."""
    done = [
        job
        for job in api.jobs()
        if (job["state"], job["kind"], job["dataset_id"]) == ("succeeded", "train_images", results["dataset_id"])
    ]
    if len(done) < 2:
        return
    ended = {job["job_id"]: when(job["ended_at"]) for job in done}
    state.mirror("run-picker", results["job_id"] if results["job_id"] in ended else None)
    st.selectbox(
        t("results.run"),
        list(ended),
        key="run-picker",
        format_func=lambda job_id: t("results.run_entry", job=job_id, when=ended[job_id]),
        on_change=lambda: state.choose_job(
            state.value_of("run-picker"), dataset=results["dataset_id"], tab=state.RESULTS
        ),
    )
