"""Labels that the pictures contradict, as a gallery to leaf through. It shows; it changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import streamlit as st

from frontend.answers import ResultsAnswer, SuspectLabel
from frontend.client import Client
from frontend.i18n import t
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
    st.fragment(_gallery)(api, results, suspects)


def _gallery(api: Client, results: ResultsAnswer, suspects: Sequence[SuspectLabel]) -> None:
    pages = ceil(len(suspects) / IMAGES_A_PAGE)
    number = st.pagination(pages, key=f"suspects-page-{results['job_id']}") if pages > 1 else 1
    page = suspects[(number - 1) * IMAGES_A_PAGE : number * IMAGES_A_PAGE]
    shown = show_row(
        api,
        [f"/api/cv/datasets/{results['dataset_id']}/images/{suspect['image_id']}?size=192" for suspect in page],
        alt=[t("suspects.alt", label=suspect["label"], suggested=suspect["suggested"]) for suspect in page],
        captions=[_caption(suspect) for suspect in page],
        width=WIDTH,
    )
    if shown < len(page):
        st.caption(t("cell.gone", count=len(page) - shown))


def _caption(suspect: SuspectLabel) -> str:
    return t(
        "suspects.caption",
        label=plain(suspect["label"]),
        suggested=plain(suspect["suggested"]),
        confidence=percent(suspect["confidence"], digits=0),
    )
