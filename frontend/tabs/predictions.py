"""Predictions: pictures in, names with confidence and the reason out. Knows nothing of how the model answers."""

from __future__ import annotations

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer, ModelAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.widgets import batch, costs, job_progress, problems
from frontend.widgets.answer_card import Picture, show_answer
from frontend.widgets.wording import model_name, percent

SUFFIXES = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"]
FILES, ARCHIVE, CAMERA, FROM_DATASET = "files", "archive", "camera", "dataset"
# Pictures taken from the dataset where a person has none at hand; one a class, at this many pixels.
MOST_EXAMPLES = 4
EXAMPLE_SIDE = 512


def render(api: Client) -> None:
    """Draw the tab."""
    if state.dataset_id() is None:
        problems.first_do(
            t("results.first_upload"), button=t("train.go_upload"), action=lambda: state.open_tab(state.UPLOAD)
        )
        return
    dataset = api.dataset(state.dataset_id() or "")
    model = choose_model(api)
    if model is None:
        job_progress.train_first(api, dataset["dataset_id"])
        return
    several = model.get("task") == "multilabel"
    words = t("predict.title", name=model_name(model), accuracy=percent(model["accuracy"]))
    st.header(t("predict.title_labels", name=model_name(model)) if several else words, anchor=False)
    source = choose_source()
    if source == ARCHIVE:
        batch.show(api, model)
        return
    collect(api, dataset, source)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        top_k = 3 if several else _how_many(model)  # of several labels all are told
        explain = st.toggle(t("predict.explain"), value=True, key="explain", help=t("predict.explain_help"))
    if several:
        costs.choose(model["model_id"], key="predict-costs")
    for picture in state.pictures():
        with st.container(border=True):
            show_answer(api, model, picture, top_k=top_k, explain=explain)


def _how_many(model: ModelAnswer) -> int:
    most = min(10, len(model["class_names"]))
    return int(st.number_input(t("predict.top_k"), 1, most, min(3, most), key="top-k", width=160))


def choose_model(api: Client) -> ModelAnswer | None:
    """The model of the URL's job, else the dataset's promoted or newest one; several can be told apart by a list."""
    in_use = [model for model in api.models() if model.get("state") != "archived"]
    models = [model for model in in_use if model["dataset_id"] == state.dataset_id()]
    if not models:
        return None
    models.sort(key=lambda model: (bool(model.get("promoted")), model["created_at"]), reverse=True)
    of_job = [model for model in models if state.job_id() and model.get("job_id") == state.job_id()]
    preferred = (of_job or models)[0]
    if len(models) == 1:
        return preferred
    by_id = {model["model_id"]: model for model in models}
    chosen = st.selectbox(
        t("predict.model"),
        list(by_id),
        index=list(by_id).index(preferred["model_id"]),
        format_func=lambda model_id: _model_entry(by_id[model_id]),
        key=f"model-{state.dataset_id()}",
    )
    return by_id.get(chosen, preferred)


def choose_source() -> str:
    """Where the pictures come from; a link to a batch opens on it."""
    state.start_with("picture-source", ARCHIVE if state.batch_job() else FILES)
    source = st.segmented_control(
        t("predict.source"),
        [FILES, ARCHIVE, CAMERA, FROM_DATASET],
        format_func=lambda name: t(f"predict.from_{name}"),
        required=True,
        key="picture-source",
        label_visibility="collapsed",
    )
    return str(source)


def collect(api: Client, dataset: DatasetAnswer, source: str) -> None:
    """Take pictures in. The camera is asked for only once it is chosen."""
    if source == FILES:
        files = st.file_uploader(t("predict.drop"), type=SUFFIXES, accept_multiple_files=True, key="pictures-dropped")
        if files:
            state.keep_pictures([Picture(number, file.name, file.getvalue()) for number, file in enumerate(files)])
    elif source == CAMERA:
        shot = st.camera_input(t("predict.camera"), key="camera")
        if shot is not None:
            state.keep_pictures([Picture(0, t("predict.shot"), shot.getvalue())])
    elif st.button(t("predict.take_examples"), key="take-examples", type="primary"):
        state.keep_pictures(examples(api, dataset))
    if source == FROM_DATASET:
        st.caption(t("predict.examples_note"))


def examples(api: Client, dataset: DatasetAnswer) -> list[Picture]:
    """One picture of each of the first few classes; an address that fails is said and left out."""
    taken: list[Picture] = []
    for label, addresses in sorted(dataset.get("samples", {}).items())[:MOST_EXAMPLES]:
        address = addresses[0].partition("?")[0]
        try:
            data = api.image_at(f"{address}?size={EXAMPLE_SIDE}")
        except ApiError as error:
            problems.show_problem(error)
        else:
            taken.append(Picture(len(taken), t("predict.example_name", label=label), data))
    return taken


def _model_entry(model: ModelAnswer) -> str:
    entry = t("predict.model_entry", name=model["name"], accuracy=percent(model["accuracy"]), model=model["model_id"])
    return f"{entry} · {t('predict.promoted')}" if model.get("promoted") else entry
