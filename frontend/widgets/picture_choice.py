"""One picture with what is to be done about it: keep it, leave it out, or give it its right class or labels.

What is chosen goes to `state`; it does not know what becomes of it.
"""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.drafts import Choice
from frontend.i18n import t
from frontend.widgets.pictures import LONG_THUMBNAIL, is_long
from frontend.widgets.wording import plain

LEAVE_OUT = ""
WIDTH = 150
MOST_OF_NAME = 24  # letters in two lines below a picture


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


def show(dataset: DatasetAnswer, picture: Picture, image: bytes | None, *, key: str) -> None:
    """Draw it; `key` tells one gallery of the page from another."""
    if image is None:
        st.caption(t("corrections.gone"))
        return
    alt = picture.alt or t("corrections.alt", label=picture.label)
    name = file_name(picture.file)
    caption = with_file(picture.caption, picture.file)
    width = LONG_THUMBNAIL if is_long(image) else WIDTH  # 150 pixels of a strip are 30 high
    st.image(image, width=width, alt=f"{alt} ({name})" if name else alt, caption=caption or None)
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


def with_file(caption: str, file: str) -> str:
    """A caption with the file's name on a line of its own, where there is one."""
    return "  \n".join(part for part in (caption, plain(file_name(file))) if part)


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
