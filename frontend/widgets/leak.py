"""What copies between training and test do, or would do, to the score, in a sentence beside it."""

from __future__ import annotations

import streamlit as st

from frontend.answers import ResultsAnswer
from frontend.i18n import t
from frontend.widgets.wording import percent


def show(results: ResultsAnswer) -> None:
    """A box where copies leak into the test, a line where they would have; nothing where there are none."""
    leak = results.get("leak")
    if leak is None:
        return
    own, chance = leak["own"], leak["by_chance"]
    if own is not None:
        st.warning(
            t("leak.own", leaked=own["leaked"], test=own["test_images"])
            + _scores(own["accuracy"], own["accuracy_without"]),
            icon=":material/content_copy:",
        )
        return
    text = t("leak.kept", images=leak["images"])
    if chance is not None:
        text += " " + t("leak.by_chance", leaked=chance["leaked"], test=chance["test_images"])
        text += _scores(chance["accuracy"], chance["accuracy_without"])
    st.caption(text)


def _scores(with_copies: float | None, without: float | None) -> str:
    if with_copies is None or without is None:
        return ""
    return " " + t("leak.scores", with_copies=percent(with_copies), without=percent(without))
