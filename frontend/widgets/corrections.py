"""Correcting a dataset: a gallery in which each picture can be left out or given another class, and one button for all.

What is chosen waits in the browser tab until the button is pressed; then all of it becomes one new version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.state import Choice
from frontend.version_answers import CorrectionsBody, DifferenceAnswer
from frontend.widgets import problems, retrain
from frontend.widgets.pictures import thumbnails
from frontend.widgets.wording import plain

LEAVE_OUT = ""
PICTURES_A_ROW = 4
WIDTH = 150
MOST_OF_NAME = 24  # letters in two lines below a picture
MOST_TO_UNDO = 1000  # images that a difference names


class Picture(NamedTuple):
    """One picture that may need a correction; `suggested` is the class that something or somebody proposes.

    Where an image may have several labels, `labels` are those it has, and `suggested` all that it should have. `file`
    is its name in the upload.
    """

    image_id: str
    label: str
    caption: str = ""
    suggested: Choice | None = None
    alt: str = ""
    labels: tuple[str, ...] = ()
    file: str = ""


def gallery(
    api: Client, dataset: DatasetAnswer, pictures: Sequence[Picture], *, key: str, all_out: bool = True
) -> None:
    """Draw the pictures, each with its choice; `key` tells one gallery of the page from another.

    `all_out`: offer to leave out all that are shown.
    """
    identifier = dataset["dataset_id"]
    addresses = tuple(f"/api/cv/datasets/{identifier}/images/{one.image_id}?size=192" for one in pictures)
    images = thumbnails(api, api.base_url, addresses)
    _for_all(identifier, pictures, key=key, all_out=all_out)
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
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="corrections-bar"):
        st.markdown(t("corrections.chosen", excluded=len(out), relabelled=len(chosen) - len(out)), width="stretch")
        st.button(
            t("corrections.forget"), key="corrections-forget", on_click=state.clear_corrections, args=(identifier,)
        )
        apply = st.button(t("corrections.apply"), key="corrections-apply", type="primary", icon=":material/check:")
    if apply:
        relabel: dict[str, str | list[str]] = {
            image_id: label if isinstance(label, str) else list(label)
            for image_id, label in chosen.items()
            if label != LEAVE_OUT
        }
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


def _for_all(identifier: str, pictures: Sequence[Picture], *, key: str, all_out: bool) -> None:
    """Buttons for everything that is shown: take the suggestions, leave all out, leave all as they are."""
    suggested = {one.image_id: one.suggested for one in pictures if one.suggested is not None}
    with st.container(horizontal=True):
        if suggested:
            st.button(t("corrections.accept_all"), key=f"{key}-accept", on_click=_choose, args=(identifier, suggested))
        everything = dict.fromkeys((one.image_id for one in pictures), LEAVE_OUT)
        if all_out:
            words = t("corrections.exclude_all")
            st.button(words, key=f"{key}-exclude", on_click=_choose, args=(identifier, everything))
        nothing = dict.fromkeys(one.image_id for one in pictures)
        st.button(t("corrections.keep_all"), key=f"{key}-keep", on_click=_choose, args=(identifier, nothing))


def _choose(identifier: str, choices: Mapping[str, Choice | None]) -> None:
    for image_id, choice in choices.items():
        state.correct(identifier, image_id, choice)


def _one(dataset: DatasetAnswer, picture: Picture, image: bytes | None, *, key: str) -> None:
    if image is None:
        st.caption(t("corrections.gone"))
        return
    alt = picture.alt or t("corrections.alt", label=picture.label)
    name = file_name(picture.file)
    caption = "  \n".join(part for part in (picture.caption, plain(name)) if part)
    st.image(image, width=WIDTH, alt=f"{alt} ({name})" if name else alt, caption=caption or None)
    identifier = dataset["dataset_id"]
    if dataset["task"] == "multilabel":
        _one_of_several(dataset, picture, key=key)
        return
    others = [name for name in sorted(dataset["class_counts"]) if name not in (picture.label, picture.suggested)]
    first = [picture.suggested] if picture.suggested else []
    choices = [None, LEAVE_OUT, *first, *others]
    widget = f"{key}-{picture.image_id}"
    chosen = state.corrections(identifier).get(picture.image_id)
    state.mirror(widget, chosen if chosen in choices else None)
    st.selectbox(
        t("corrections.choice", label=picture.label),
        choices,
        key=widget,
        format_func=lambda choice: _choice(choice, picture.label),
        on_change=lambda: state.correct(identifier, picture.image_id, state.value_of(widget)),
        placeholder=_choice(None, picture.label),
        label_visibility="collapsed",
    )


def file_name(file: str) -> str:
    """A file's name without its folders, short enough to stand below a picture; its end tells files apart."""
    name = file.rpartition("/")[2]
    return name if len(name) <= MOST_OF_NAME else f"…{name[1 - MOST_OF_NAME :]}"


def _one_of_several(dataset: DatasetAnswer, picture: Picture, *, key: str) -> None:
    """All labels to choose from, those that it has already chosen; and whether it is to be left out."""
    identifier, known = dataset["dataset_id"], sorted(dataset["class_counts"])
    has = [name for name in known if name in picture.labels]
    widget, out = f"{key}-{picture.image_id}", f"{key}-out-{picture.image_id}"
    chosen = state.corrections(identifier).get(picture.image_id)
    state.mirror(widget, has if chosen in (None, LEAVE_OUT) else [name for name in known if name in (chosen or ())])
    state.mirror(out, chosen == LEAVE_OUT)

    def remember() -> None:
        if state.value_of(out):
            state.correct(identifier, picture.image_id, LEAVE_OUT)
            return
        labels = tuple(sorted(state.value_of(widget)))
        state.correct(identifier, picture.image_id, None if labels == tuple(has) else labels)

    st.multiselect(
        t("corrections.labels"),
        known,
        key=widget,
        on_change=remember,
        placeholder=t("labels.nothing"),
        disabled=chosen == LEAVE_OUT,
    )
    if picture.suggested is not None and chosen is None:
        st.button(
            t("corrections.accept"),
            key=f"{widget}-accept",
            on_click=state.correct,
            args=(identifier, picture.image_id, picture.suggested),
        )
    st.checkbox(t("corrections.exclude"), key=out, on_change=remember)


def _choice(choice: Choice | None, label: str) -> str:
    if choice is None:
        return t("corrections.keep", label=label)
    return t("corrections.exclude") if choice == LEAVE_OUT else t("corrections.relabel", label=str(choice))


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
    before: dict[str, str | list[str]] = {
        one["image_id"]: _as_sent(one["before"] or []) for one in difference["relabelled"]
    }
    out = {one["image_id"] for one in difference["restored"]}
    return {
        "restore": [one["image_id"] for one in difference["excluded"]],
        "exclude": sorted(out),
        # an image that came back under another label goes again; its label need not follow
        "relabel": {image_id: label for image_id, label in before.items() if image_id not in out},
    }


def _as_sent(labels: list[str]) -> str | list[str]:
    """One label as a word, which is right for either kind of dataset; several, or none, as a list."""
    return labels[0] if len(labels) == 1 else labels
