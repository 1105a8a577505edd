"""Upload: an archive in, its classes and pictures out. Knows nothing of training."""

from __future__ import annotations

import io
from functools import partial
from typing import BinaryIO

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.widgets import charts, drop_zone, findings, problems, samples, versions
from frontend.widgets.archive_picture import show_archive_picture
from frontend.widgets.pictures import show_row
from frontend.widgets.wording import plain, when

# MiB. Streamlit holds an upload in memory; the same number stands in .streamlit/config.toml.
MOST_IN_BROWSER_MB = 500
# Classes whose pictures are shown at once; the rest unfold.
FIRST_CLASSES = 12
PICTURES_A_CLASS = 8


def render(api: Client) -> None:
    """Draw the tab."""
    chosen = state.dataset_id()
    if chosen is not None:
        dataset = api.dataset(chosen)
        headline(dataset)
        with st.expander(t("upload.another"), icon=":material/add:"):
            intake(api)
        details(api, dataset)
    else:
        st.header(t("upload.invitation"), anchor=False)
        intake(api)
        with st.container(border=True):
            show_archive_picture()
    chooser(api)


def intake(api: Client) -> None:
    """The drop zone with its limit, and the samples beside it."""
    drop, sample = st.columns([3, 2], gap="large")
    with drop:
        drop_place(api)
        server_folder(api)
    with sample:
        sample_buttons(api)


def drop_place(api: Client) -> None:
    most = api.options()["limits"]["max_upload_mb"]
    here = min(MOST_IN_BROWSER_MB, most)
    captions = [t("upload.formats")]
    if most > here:
        captions.append(t("upload.larger", limit=most, address=api.base_url))
    drop_zone.show(t("upload.drop", limit=here), most=here, captions=captions, send=partial(send, api))


def server_folder(api: Client) -> None:
    """What lies on the server already is named, where the server allows it; the banner shows how far it is."""
    roots = api.options().get("import_roots") or []
    if not roots:
        return
    with st.expander(t("upload.folder"), icon=":material/folder_open:"), st.form("server-folder", border=False):
        label = t("upload.folder_path", roots=", ".join(f"`{root}`" for root in roots))
        path = st.text_input(label, key="server-path", help=t("upload.folder_help"))
        if st.form_submit_button(t("upload.folder_go"), icon=":material/download:"):
            if not path.strip():
                problems.show_detail(t("upload.folder_empty"))
                return
            try:
                api.import_path(path.strip())
            except ApiError as error:
                problems.show_problem(error)
            else:
                state.rerun()


def sample_buttons(api: Client) -> None:
    """One click to a first dataset; the API's refusal, if any, below."""
    available = samples.available()
    if not available:
        return
    st.markdown(f"**{t('upload.sample')}**")
    for sample in available:
        text = t(f"sample.{sample.name}")
        if st.button(text, key=f"sample-{sample.name}", icon=":material/science:", width="stretch"):
            problems.show_detail(send(api, io.BytesIO(sample.path.read_bytes()), sample.path.name))


def send(api: Client, file: BinaryIO, name: str) -> str:
    """Upload and open the new dataset; returns only where the API refused, with the reason."""
    with st.spinner(t("upload.working", name=plain(name))):
        try:
            dataset = api.upload(file, name)
        except ApiError as error:
            return error.detail
    state.clear_upload()
    state.choose_dataset(dataset["dataset_id"])
    state.rerun()
    return ""


def headline(dataset: DatasetAnswer) -> None:
    """What came in, in one sentence, and the next action."""
    st.header(plain(dataset["name"]), anchor=False)
    st.markdown(t("upload.summary", images=dataset["total_images"], classes=dataset["num_classes"]))
    st.button(
        t("upload.next"),
        key="go-train",
        type="primary",
        icon=":material/arrow_forward:",
        on_click=state.open_tab,
        args=(state.TRAIN,),
    )


def details(api: Client, dataset: DatasetAnswer) -> None:
    warnings = [plain(warning) for warning in dataset["warnings"]]
    if warnings:  # in one box: a dataset of many small classes has many
        st.warning("\n\n".join(warnings), icon=":material/warning:")
    findings.show(api, dataset)
    versions.render(api, dataset, most_mb=MOST_IN_BROWSER_MB)
    st.subheader(t("upload.counts"), anchor=False)
    charts.draw(charts.class_counts(dataset["class_counts"]), key="class-counts", alt=t("upload.counts_alt"))
    show_samples(api, dataset)
    show_skipped(dataset)


def show_samples(api: Client, dataset: DatasetAnswer) -> None:
    """A few pictures a class, in the order of the class names."""
    by_class = sorted(dataset.get("samples", {}).items())
    if not by_class:
        return
    st.subheader(t("upload.samples"), anchor=False)
    for label, addresses in by_class[:FIRST_CLASSES]:
        class_row(api, label, addresses)
    rest = by_class[FIRST_CLASSES:]
    if rest and st.toggle(t("upload.more_classes", count=len(rest)), key="more-classes"):
        for label, addresses in rest:
            class_row(api, label, addresses)


def class_row(api: Client, label: str, addresses: list[str]) -> None:
    st.markdown(f"**{plain(label)}**")
    show_row(api, addresses[:PICTURES_A_CLASS], alt=t("upload.sample_alt", label=label))


def show_skipped(dataset: DatasetAnswer) -> None:
    skipped = dataset["skipped"]
    if not skipped:
        st.caption(t("upload.nothing_skipped"))
        return
    with st.expander(t("upload.skipped", count=len(skipped)), icon=":material/block:"):
        columns = {"file": t("upload.skipped_file"), "reason": t("upload.skipped_reason")}
        st.dataframe([{columns["file"]: s["file"], columns["reason"]: s["reason"]} for s in skipped], hide_index=True)


def chooser(api: Client) -> None:
    """Every dataset of the service, and the way to delete the chosen one."""
    datasets = api.datasets()
    if not datasets:
        return
    st.divider()
    by_id = {dataset["dataset_id"]: dataset for dataset in datasets}
    chosen = state.dataset_id()
    state.mirror("dataset-chooser", chosen if chosen in by_id else None)
    st.selectbox(
        t("upload.existing"),
        list(by_id),
        key="dataset-chooser",
        format_func=lambda identifier: _entry(by_id[identifier]),
        placeholder=t("upload.existing_placeholder"),
        on_change=lambda: state.choose_dataset(state.value_of("dataset-chooser")),
    )
    if chosen in by_id:
        delete_button(api, by_id[chosen])


def delete_button(api: Client, dataset: DatasetAnswer) -> None:
    with st.popover(t("upload.delete"), icon=":material/delete:", type="tertiary"):
        st.markdown(t("upload.delete_sure", name=plain(dataset["name"])))
        if st.button(t("upload.delete_yes"), key="delete-yes"):
            try:
                api.delete_dataset(dataset["dataset_id"])
            except ApiError as error:
                problems.show_problem(error)
            else:
                state.choose_dataset(None)
                state.rerun()


def _entry(dataset: DatasetAnswer) -> str:
    return t(
        "upload.entry",
        name=dataset["name"],
        images=dataset["total_images"],
        classes=dataset["num_classes"],
        when=when(dataset.get("created_at")),
    )
