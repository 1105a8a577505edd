"""Correcting a dataset: a gallery in which each picture can be left out or given another class, and one button for all.

What is chosen waits in the browser tab until the button is pressed; then all of it becomes one new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.version_answers import CorrectionsBody, DifferenceAnswer
from frontend.widgets import problems, retrain
from frontend.widgets.pictures import thumbnails

LEAVE_OUT = ""
PICTURES_A_ROW = 4
WIDTH = 150
MOST_TO_UNDO = 1000  # images that a difference names


class Picture(NamedTuple):
    """One picture that may need a correction; `suggested` is the class that something or somebody proposes."""

    image_id: str
    label: str
    caption: str = ""
    suggested: str | None = None
    alt: str = ""


def gallery(api: Client, dataset: DatasetAnswer, pictures: Sequence[Picture], *, key: str) -> None:
    """Draw the pictures, each with its choice; `key` tells one gallery of the page from another."""
    identifier = dataset["dataset_id"]
    addresses = tuple(f"/api/cv/datasets/{identifier}/images/{one.image_id}?size=192" for one in pictures)
    images = thumbnails(api, api.base_url, addresses)
    _for_all(identifier, pictures, key=key)
    for start in range(0, len(pictures), PICTURES_A_ROW):
        columns = st.columns(PICTURES_A_ROW)
        for column, picture, image in zip(columns, pictures[start:], images[start:], strict=False):
            with column:
                _one(dataset, picture, image, key=key)


def bar(api: Client, dataset: DatasetAnswer) -> None:
    """What is chosen so far, and the button that makes a version of it; after that, what can be done next."""
    identifier = dataset["dataset_id"]
    chosen = state.corrections(identifier)
    made = state.version_made(identifier)
    if made is not None and made == dataset["version"] and not chosen:
        _made(api, dataset)
    if not chosen:
        return
    out = [image_id for image_id, label in chosen.items() if label == LEAVE_OUT]
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(t("corrections.chosen", excluded=len(out), relabelled=len(chosen) - len(out)), width="stretch")
        st.button(
            t("corrections.forget"), key="corrections-forget", on_click=state.clear_corrections, args=(identifier,)
        )
        apply = st.button(t("corrections.apply"), key="corrections-apply", type="primary", icon=":material/check:")
    if apply:
        relabel = {image_id: label for image_id, label in chosen.items() if label != LEAVE_OUT}
        send(api, dataset, {"exclude": out, "relabel": relabel})


def send(api: Client, dataset: DatasetAnswer, body: CorrectionsBody) -> None:
    """Make a version; draws anew where that worked, and shows the refusal where not."""
    identifier = dataset["dataset_id"]
    try:
        new = api.change_dataset(identifier, {**body, "base_version": dataset["version"]})
    except ApiError as error:
        problems.show_problem(error)
        return
    state.clear_corrections(identifier)
    state.remember_change(identifier, new["version"])
    state.rerun()


def _for_all(identifier: str, pictures: Sequence[Picture], *, key: str) -> None:
    """Buttons for everything that is shown: take the suggestions, leave all out, leave all as they are."""
    suggested = {one.image_id: one.suggested for one in pictures if one.suggested is not None}
    with st.container(horizontal=True):
        if suggested:
            st.button(t("corrections.accept_all"), key=f"{key}-accept", on_click=_choose, args=(identifier, suggested))
        everything = dict.fromkeys((one.image_id for one in pictures), LEAVE_OUT)
        st.button(t("corrections.exclude_all"), key=f"{key}-exclude", on_click=_choose, args=(identifier, everything))
        nothing = dict.fromkeys(one.image_id for one in pictures)
        st.button(t("corrections.keep_all"), key=f"{key}-keep", on_click=_choose, args=(identifier, nothing))


def _choose(identifier: str, choices: dict[str, str | None]) -> None:
    for image_id, choice in choices.items():
        state.correct(identifier, image_id, choice)


def _one(dataset: DatasetAnswer, picture: Picture, image: bytes | None, *, key: str) -> None:
    if image is None:
        st.caption(t("corrections.gone"))
        return
    alt = picture.alt or t("corrections.alt", label=picture.label)
    st.image(image, width=WIDTH, alt=alt, caption=picture.caption or None)
    identifier = dataset["dataset_id"]
    others = [name for name in sorted(dataset["class_counts"]) if name not in (picture.label, picture.suggested)]
    first = [picture.suggested] if picture.suggested else []
    multiclass = dataset["task"] == "multiclass"
    choices = [None, LEAVE_OUT, *(first + others if multiclass else [])]
    widget = f"{key}-{picture.image_id}"
    chosen = state.corrections(identifier).get(picture.image_id)
    state.mirror(widget, chosen if chosen in choices else None)
    st.selectbox(
        t("corrections.choice", label=picture.label),
        choices,
        key=widget,
        format_func=lambda choice: _choice(choice, picture.label),
        on_change=lambda: state.correct(identifier, picture.image_id, state.value_of(widget)),
        label_visibility="collapsed",
    )


def _choice(choice: str | None, label: str) -> str:
    if choice is None:
        return t("corrections.keep", label=label)
    return t("corrections.exclude") if choice == LEAVE_OUT else t("corrections.relabel", label=choice)


def _made(api: Client, dataset: DatasetAnswer) -> None:
    """The version that was just made: train on it, or take it back."""
    history = dataset.get("versions", [])
    last = history[-1] if history else None
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            t(
                "corrections.made",
                version=dataset["version"],
                images=dataset["total_images"],
                classes=dataset["num_classes"],
            ),
            width="stretch",
        )
        if last is not None and last["base_version"] is not None and last["kind"] == "corrections":
            undo = st.button(t("corrections.undo"), key="corrections-undo", icon=":material/undo:")
        else:
            undo = False
        retrain.button(api, dataset["dataset_id"], key="retrain-made", primary=True)
    if undo and last is not None:
        _take_back(api, dataset, earlier=last["base_version"] or 1)


def _take_back(api: Client, dataset: DatasetAnswer, *, earlier: int) -> None:
    try:
        difference = api.difference(dataset["dataset_id"], earlier, dataset["version"])
    except ApiError as error:
        problems.show_problem(error)
        return
    if max(difference["counts"].values()) > MOST_TO_UNDO:
        problems.show_detail(t("corrections.too_many", most=MOST_TO_UNDO))
        return
    send(api, dataset, opposite(difference))


def opposite(difference: DifferenceAnswer) -> CorrectionsBody:
    """What undoes a difference that was made by corrections."""
    before = {one["image_id"]: (one["before"] or [""])[0] for one in difference["relabelled"]}
    out = {one["image_id"] for one in difference["restored"]}
    return {
        "restore": [one["image_id"] for one in difference["excluded"]],
        "exclude": sorted(out),
        # an image that came back under another label goes again; its label need not follow
        "relabel": {image_id: label for image_id, label in before.items() if image_id not in out},
    }
