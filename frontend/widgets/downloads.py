"""Download buttons of one model. A file is fetched from the API only when its button is pressed."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import streamlit as st

from frontend.answers import ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t, written
from frontend.widgets import problems
from frontend.widgets.wording import percent


class Format(NamedTuple):
    """One way of taking the model home: its name in the API, the file's suffix and its media type."""

    name: str
    suffix: str
    media_type: str


FORMATS = [
    Format("bundle", ".zip", "application/zip"),
    Format("pth", ".pth", "application/octet-stream"),
    Format("onnx", ".onnx", "application/octet-stream"),
    Format("card", ".html", "text/html"),
]
CHECKPOINT = Format("checkpoint", ".pt", "application/octet-stream")  # only of a network that was trained as a whole


def show_downloads(api: Client, results: ResultsAnswer) -> None:
    """A button a format, and the one that promotes this model."""
    model_id = results["model_id"]
    with st.container(horizontal=True):
        experiment = results.get("experiment") or {}
        download_buttons(api, model_id, results["best_model"]["name"], checkpoint=bool(experiment.get("checkpoint")))
        promoted = promote_button(key="promote")
    if promoted:
        promote(api, model_id)
    agreement(api, model_id)


def download_buttons(api: Client, model_id: str, name: str, *, checkpoint: bool) -> None:
    """A button a format; what is not there yet the service makes when it is pressed. `checkpoint`: there is one."""
    for file_format in [*FORMATS, *([CHECKPOINT] if checkpoint else [])]:
        st.download_button(
            t(f"download.{file_format.name}"),
            data=partial(api.download, model_id, file_format.name),
            file_name=f"{name.replace(':', '_')}-{model_id}{file_format.suffix}",
            mime=file_format.media_type,
            key=f"download-{file_format.name}",
            help=t(f"download.{file_format.name}_help"),
            icon=":material/download:",
            on_click="ignore",
        )


def agreement(api: Client, model_id: str) -> None:
    """How well the ONNX file agrees with the model, once it was made. An older service does not say."""
    try:
        made = api.exports(model_id)
    except ApiError:
        return
    report = next((one["report"] for one in made if one["format"] == "onnx" and one.get("report")), None)
    if report is not None:
        st.caption(
            t(
                "download.agreement",
                images=report["images"],
                agreement=percent(report["agreement"]),
                difference=written(report["max_difference"], ".2g"),
            )
        )


def promote_button(*, key: str) -> bool:
    """The button that promotes a model, by the same name wherever it stands; whether it was pressed."""
    return st.button(t("download.promote"), key=key, help=t("download.promote_help"), icon=":material/star:")


def promote(api: Client, model_id: str) -> bool:
    """Make a model the one that answers, and say so; whether the service did."""
    try:
        with st.spinner(t("download.promoting")):  # 16 s where it is the first model that a service loads
            api.promote(model_id)
    except ApiError as error:
        problems.show_problem(error)
        return False
    st.success(t("download.promoted"), icon=":material/check_circle:")
    return True
