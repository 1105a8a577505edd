"""After an upload: what the check of the images found, in one line, and the way to the pictures. It shows none."""

from __future__ import annotations

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import Client
from frontend.i18n import t, written
from frontend.widgets.wording import name_of

# Seconds between two looks at whether the check has ended, as on the Insights tab.
LOOK_S = 2.0
# Kinds that the warnings above it tell already.
TOLD = frozenset({"small_classes"})


def show(api: Client, dataset: DatasetAnswer) -> None:
    """Draw it; nothing where nobody looked.

    A line stands there in every other case, in a container of its own: when the check ends, what stands below neither
    moves nor loses the keyboard's focus.
    """
    with st.container():
        _show(api, dataset)


def _show(api: Client, dataset: DatasetAnswer) -> None:
    insights = api.insights(dataset["dataset_id"])
    if insights["quality"] == "pending":
        st.fragment(_wait, run_every=LOOK_S)(api, dataset["dataset_id"])
        return
    found = [note for note in insights["notes"] if note["kind"] not in TOLD]
    if not found:
        if insights["quality"] == "checked":
            st.caption(f":material/check: {t('findings.nothing')}")
        return
    kinds = ", ".join(f"{name_of('issue', note['kind'])} ({written(note['images'], ',')})" for note in found)
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="findings"):
        st.markdown(t("findings.found", kinds=kinds), width="stretch")
        st.button(
            t("findings.look"),
            key="go-insights",
            icon=":material/search:",
            on_click=state.open_tab,
            args=(state.INSIGHTS,),
        )


def _wait(api: Client, dataset_id: str) -> None:
    """Look again until the check has ended, then draw the page anew."""
    st.caption(f":material/hourglass_top: {t('insights.pending')}")
    if api.insights(dataset_id)["quality"] != "pending":
        state.redraw()
