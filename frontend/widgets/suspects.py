"""Labels that the pictures contradict, as a gallery to leaf through, where each can be corrected."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import streamlit as st

from frontend.answers import DatasetAnswer, ResultsAnswer, SuspectLabel
from frontend.client import ApiError, Client
from frontend.drafts import Choice
from frontend.i18n import t
from frontend.widgets import corrections
from frontend.widgets.picture_choice import Picture, with_file
from frontend.widgets.pictures import show_row
from frontend.widgets.wording import percent, plain

IMAGES_A_PAGE = 12
# Pixels a side: large enough to judge a picture by, five in a row of the page and two on a phone.
WIDTH = 150


def show(api: Client, results: ResultsAnswer) -> None:
    """Draw the gallery; nothing where the run did not look for such labels."""
    suspects = results.get("suspect_labels", [])
    if not suspects and results.get("calibration") is None:  # results from before anybody looked
        return
    st.subheader(t("results.suspects"), anchor=False)
    if not suspects:
        st.caption(t("suspects.none"))
        return
    st.markdown(t("suspects.found", count=len(suspects)))
    st.caption(t("suspects.help"))
    dataset = _dataset(api, results)
    if dataset is None:
        _pictures(api, results, suspects)
        return
    left = _still_to_do(api, dataset, results, suspects)
    if len(left) < len(suspects):
        st.caption(t("suspects.done", count=len(suspects) - len(left)))
    if left:
        _correctable(dataset, api, left, key=f"suspects-{results['job_id']}")
    corrections.bar(api, dataset)


def _dataset(api: Client, results: ResultsAnswer) -> DatasetAnswer | None:
    """The dataset as it stands now; None where it was deleted since."""
    try:
        return api.dataset(results["dataset_id"])
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _still_to_do(
    api: Client, dataset: DatasetAnswer, results: ResultsAnswer, suspects: Sequence[SuspectLabel]
) -> list[SuspectLabel]:
    """The suspects that nobody has corrected since the run."""
    trained_on = results.get("dataset_version", 1)
    if dataset["version"] <= trained_on:
        return list(suspects)
    found = api.difference(dataset["dataset_id"], trained_on, dataset["version"])
    done = {one["image_id"] for one in (*found["excluded"], *found["relabelled"])}
    return [suspect for suspect in suspects if suspect["image_id"] not in done]


def _correctable(dataset: DatasetAnswer, api: Client, suspects: Sequence[SuspectLabel], *, key: str) -> None:
    pages = ceil(len(suspects) / IMAGES_A_PAGE)
    number = st.pagination(pages, key=f"{key}-page-{len(suspects)}") if pages > 1 else 1
    page = suspects[(number - 1) * IMAGES_A_PAGE : number * IMAGES_A_PAGE]
    pictures = [
        Picture(
            one["image_id"],
            one["label"],
            caption=_caption(one),
            suggested=_suggested(one),
            alt=_alt(one),
            labels=tuple(one.get("labels") or ()),
            file=one.get("file", ""),
        )
        for one in page
    ]
    corrections.gallery(api, dataset, pictures, key=key)


def _pictures(api: Client, results: ResultsAnswer, suspects: Sequence[SuspectLabel]) -> None:
    """The gallery without choices: there is nothing left to correct."""
    st.fragment(_gallery)(api, results, suspects)


def _gallery(api: Client, results: ResultsAnswer, suspects: Sequence[SuspectLabel]) -> None:
    pages = ceil(len(suspects) / IMAGES_A_PAGE)
    number = st.pagination(pages, key=f"suspects-page-{results['job_id']}") if pages > 1 else 1
    page = suspects[(number - 1) * IMAGES_A_PAGE : number * IMAGES_A_PAGE]
    shown = show_row(
        api,
        [f"/api/cv/datasets/{results['dataset_id']}/images/{suspect['image_id']}?size=192" for suspect in page],
        alt=[_alt(suspect) for suspect in page],
        captions=[with_file(_caption(suspect), suspect.get("file", "")) for suspect in page],
        width=WIDTH,
    )
    if shown < len(page):
        st.caption(t("cell.gone", count=len(page) - shown))


def _suggested(suspect: SuspectLabel) -> Choice:
    labels = suspect.get("suggested_labels")
    return suspect["suggested"] if labels is None else tuple(labels)


def _alt(suspect: SuspectLabel) -> str:
    if suspect.get("kind"):
        return t(f"suspects.{suspect['kind']}_alt", label=suspect.get("doubted") or "")
    return t("suspects.alt", label=suspect["label"], suggested=suspect["suggested"])


def _caption(suspect: SuspectLabel) -> str:
    if suspect.get("kind"):
        return t(
            f"suspects.{suspect['kind']}",
            label=plain(suspect.get("doubted") or ""),
            labels=plain(suspect["label"]) or t("labels.nothing"),
            confidence=percent(suspect["confidence"], digits=0),
        )
    return t(
        "suspects.caption",
        label=plain(suspect["label"]),
        suggested=plain(suspect["suggested"]),
        confidence=percent(suspect["confidence"], digits=0),
    )
