"""Many pictures at once: a ZIP in, a bar while it is answered, the table's first rows and its downloads. The job stands
in the URL, so that a reload or a link shows the same. Knows nothing of how the model answers.
"""

from __future__ import annotations

import csv
import io
from functools import partial

import streamlit as st

from frontend import state
from frontend.answers import JobAnswer, ModelAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.label_answers import ThresholdQuery
from frontend.watching import UNFINISHED, watchers
from frontend.widgets import costs, problems
from frontend.widgets.wording import percent, plain, seconds

SUFFIXES = ["zip", "tar", "tgz", "gz"]
DRAW_S = 1.0
FIRST_ROWS = 20
FORMATS = {"csv": "text/csv", "json": "application/json"}


def show(api: Client, model: ModelAnswer) -> None:
    """The batch of the URL, or the place to drop one."""
    job_id = state.batch_job()
    if job_id is None:
        _drop_zone(api, model)
        return
    try:
        job = watchers(api).look(job_id).job
    except ApiError as error:
        problems.show_problem(error)
        _another()
        return
    if job["state"] in UNFINISHED:
        st.fragment(_live, run_every=DRAW_S)(api, job_id)
        return
    _ended(api, job)
    _another()


def _drop_zone(api: Client, model: ModelAnswer) -> None:
    st.caption(t("batch.what"))
    most = min(10, len(model["class_names"]))
    file = st.file_uploader(t("batch.drop"), type=SUFFIXES, key=state.upload_key())
    asked: ThresholdQuery | None = None
    if model.get("task") == "multilabel":  # all labels are told, each with a column of its own
        top_k: float = most
        costs.choose(model["model_id"], key="batch-costs")
        asked = costs.query(model["model_id"])
    else:
        top_k = st.number_input(t("predict.top_k"), 1, most, min(3, most), key="batch-top-k", width=160)
    if file is None or not st.button(t("batch.start"), key="batch-start", type="primary", icon=":material/table_rows:"):
        return
    try:
        job = api.start_batch(model["model_id"], file, file.name, top_k=int(top_k), asked=asked)
    except ApiError as error:
        problems.show_problem(error)
        return
    state.clear_upload()
    state.choose_batch(job["job_id"])
    state.rerun()


def _live(api: Client, job_id: str) -> None:
    try:
        look = watchers(api).look(job_id)
    except ApiError as error:
        problems.show_problem(error)  # the next drawing tries again
        return
    job = look.job
    if job["state"] not in UNFINISHED:
        state.redraw()  # the whole page changes: the table is there
    if look.problem is not None:
        problems.show_problem(look.problem)
    st.progress(min(1.0, max(0.0, job["progress"])), text=_sentence(job))
    asked = bool(job.get("cancel_requested"))
    if st.button(t("train.cancel"), key="batch-cancel", icon=":material/cancel:", disabled=asked):
        try:
            watchers(api).tell(api.cancel_job(job_id))
        except ApiError as error:
            problems.show_problem(error)


def _sentence(job: JobAnswer) -> str:
    if job["state"] == "queued":
        place = job.get("queue_position")
        return t("batch.queued_at", place=place) if place else t("batch.queued")
    parts = [f"**{percent(job['progress'], digits=0)}**", plain(job["message"])]
    if job.get("eta_s") is not None:
        parts.append(t("train.eta", time=seconds(max(0.0, job["eta_s"] or 0.0))))
    return " · ".join(parts)


def _ended(api: Client, job: JobAnswer) -> None:
    if job["state"] != "succeeded":
        st.error(plain(job.get("error") or job["message"]), icon=":material/error:")
        return
    st.success(plain(job["message"]), icon=":material/check_circle:")
    with st.container(horizontal=True):
        for name, media_type in FORMATS.items():
            st.download_button(
                t(f"batch.{name}"),
                data=partial(api.table, job["job_id"], name),
                file_name=f"predictions-{job['job_id']}.{name}",
                mime=media_type,
                key=f"batch-{name}",
                help=t(f"batch.{name}_help"),
                icon=":material/download:",
                on_click="ignore",
            )
    try:
        lines = api.table_head(job["job_id"], FIRST_ROWS + 1)
    except ApiError as error:
        problems.show_problem(error)
        return
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    st.caption(t("batch.preview", rows=len(rows)))
    st.dataframe(rows, hide_index=True, alt=t("batch.preview", rows=len(rows)))


def _another() -> None:
    if st.button(t("batch.another"), key="batch-another"):
        state.choose_batch(None)
        state.rerun()
