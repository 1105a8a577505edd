"""A dataset's pictures, a page at a time, all or of one class or with one issue; each can be corrected.

Only the page on the screen is asked for, so a dataset of 50,000 images draws as quickly as one of 50.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import ApiError, Client
from frontend.drafts import Choice
from frontend.i18n import t
from frontend.version_answers import ImageAnswer
from frontend.widgets import corrections, problems
from frontend.widgets.picture_choice import Picture
from frontend.widgets.wording import plain

IMAGES_A_PAGE = 24
EVERY_CLASS = ""


def show(api: Client, dataset: DatasetAnswer) -> None:
    """The whole dataset, with the choice of a class."""
    st.subheader(t("gallery.title"), anchor=False)
    names = sorted(dataset["class_counts"])
    label = st.selectbox(
        t("gallery.class"),
        [EVERY_CLASS, *names],
        key="gallery-class",
        format_func=lambda name: plain(name) if name else t("gallery.every_class"),
    )
    images(api, dataset, Asked(label or None, None, "gallery"))


def images(api: Client, dataset: DatasetAnswer, asked: Asked) -> None:
    """One page of the chosen images, with its number.

    Another page draws the gallery alone, not the tab's charts and its other galleries.
    """
    chosen = dict(state.corrections(dataset["dataset_id"]))
    st.fragment(_page)(api, dataset, asked, drawn_with=chosen)


class Asked(NamedTuple):
    """Which images a gallery shows; `key` tells one gallery of the page from another.

    `groups`: ids of images that belong together. `all_out`: offer to leave out all that are shown.
    """

    label: str | None
    issue: str | None
    key: str
    groups: Sequence[Sequence[str]] = ()
    all_out: bool = True


def _page(api: Client, dataset: DatasetAnswer, asked: Asked, *, drawn_with: Mapping[str, Choice]) -> None:
    if dict(state.corrections(dataset["dataset_id"])) != drawn_with:
        state.rerun()  # the bar that counts and sends the corrections stands outside
    try:
        _draw(api, dataset, asked)
    except ApiError as error:
        problems.show_problem(error)


def _draw(api: Client, dataset: DatasetAnswer, asked: Asked) -> None:
    widget = f"{asked.key}-page-{dataset['version']}-{asked.label or ''}-{asked.issue or ''}"
    number = int(state.value_of(widget, 1))
    page = api.image_page(
        dataset["dataset_id"],
        label=asked.label,
        issue=asked.issue,
        offset=(number - 1) * IMAGES_A_PAGE,
        limit=IMAGES_A_PAGE,
    )
    pages = max(1, ceil(page["total"] / IMAGES_A_PAGE))
    if not page["images"]:
        st.caption(t("gallery.empty"))
        return
    if pages > 1:
        st.pagination(pages, key=widget)
    group_of = {image_id: number for number, group in enumerate(asked.groups, start=1) for image_id in group}
    pictures = [
        Picture(
            one["image_id"],
            one["label"],
            caption=_caption(one, group_of.get(one["image_id"])),
            labels=tuple(one.get("labels") or ()),
            file=one.get("file") or "",
        )
        for one in page["images"]
    ]
    corrections.gallery(api, dataset, pictures, key=f"{asked.key}-{asked.issue or 'all'}", all_out=asked.all_out)


def _caption(image: ImageAnswer, group: int | None) -> str:
    """Its labels, and before them the number of the group of copies that it is of."""
    labels = plain(", ".join(image.get("labels") or [image["label"]])) if image["label"] else t("gallery.unlabelled")
    return labels if group is None else t("gallery.group", number=group, labels=labels)
