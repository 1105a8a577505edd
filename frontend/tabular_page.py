"""Tables: a CSV in, its columns understood, models compared, answers out. Knows nothing of how any of that is done."""

from __future__ import annotations

from functools import partial
from typing import BinaryIO, cast

import streamlit as st

from frontend import state
from frontend.answers import IMPORT_TABLE_KIND, JobAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.table_answers import TableView
from frontend.tabs.upload import MOST_IN_BROWSER_MB
from frontend.watching import UNFINISHED
from frontend.widgets import (
    drop_zone,
    job_progress,
    problems,
    table_columns,
    table_form,
    table_models,
    table_predict,
    table_results,
)
from frontend.widgets.wording import plain, when


def render(api: Client) -> None:
    """Draw the page: the table of the URL if there is one, its running job or its results, then the form."""
    chosen = state.table_id()
    if chosen is None:
        st.header(t("table.invitation"), anchor=False)
        drop_place(api)
        chooser(api)
        return
    job = api.job(state.job_id() or "") if state.job_id() else None
    if job is not None and job["kind"] == IMPORT_TABLE_KIND and job["state"] != "succeeded":
        being_read(api, job)
        return
    if job is not None and job["kind"] == IMPORT_TABLE_KIND:
        state.choose_table(chosen)  # it has been read: nothing is left to watch
        job = None
    table = api.tables.one(chosen)
    headline(table)
    if job is not None and job["state"] in UNFINISHED:
        job_progress.watch(api, job)
        return
    if job is not None and job["state"] == "failed":
        problems.show_detail(job.get("error") or job["message"])
    results = table_results.find(api, table["dataset_id"])
    if results is not None:
        table_results.show(api, results)
        table_predict.show(api, table, results)
        table_models.show(api, api.tables.registered_models(dataset_id=table["dataset_id"]))
    table_form.show(api, table, again=results is not None)
    table_columns.show(table)
    with st.expander(t("table.another"), icon=":material/add:"):
        drop_place(api)
    chooser(api)


def drop_place(api: Client) -> None:
    """The drop zone with its limit; a refusal stays until another file comes."""
    most = min(MOST_IN_BROWSER_MB, api.options()["limits"].get("max_table_mb", MOST_IN_BROWSER_MB))
    drop_zone.show(t("table.drop", limit=most), most=most, captions=[t("table.formats")], send=partial(send, api))


def send(api: Client, file: BinaryIO, name: str) -> str:
    """Upload and open the new table; returns only where the API refused, with the reason."""
    with st.spinner(t("upload.working", name=plain(name))):
        try:
            table = api.tables.upload(file, name)
        except ApiError as error:
            return error.detail
    state.clear_upload()
    state.choose_table(str(table["dataset_id"]), job=cast(str | None, table.get("job_id")))
    state.rerun()
    return ""


def being_read(api: Client, job: JobAnswer) -> None:
    """A large file whose columns are still being found out, or which turned out to be no table."""
    if job["state"] in UNFINISHED:
        st.header(t("table.reading"), anchor=False)
        job_progress.watch(api, job)
        return
    st.header(t("table.invitation"), anchor=False)
    problems.show_detail(job.get("error") or job["message"])
    drop_place(api)
    chooser(api)


def headline(table: TableView) -> None:
    st.header(plain(table["name"]), anchor=False)
    st.markdown(t("table.summary", rows=table["rows"], columns=len(table["columns"])))
    for warning in table["warnings"]:
        st.warning(plain(warning), icon=":material/warning:")


def chooser(api: Client) -> None:
    """Tables that are there already."""
    others = [table for table in api.tables.all() if table["dataset_id"] != state.table_id()]
    if not others:
        return
    st.subheader(t("table.there"), anchor=False)
    for table in others[:20]:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            size = t("table.summary", rows=table["rows"], columns=len(table["columns"]))
            st.markdown(
                f"**{plain(table['name'])}**  \n:small[{size} {when(table['created_at'])}]",
                width="stretch",
            )
            st.button(
                t("banner.open"),
                key=f"open-{table['dataset_id']}",
                on_click=state.choose_table,
                args=(table["dataset_id"],),
            )
