"""The page's frame: title, running jobs, and the tabs in the order of the work. Start: `streamlit run frontend/app.py`.

Only the open tab's code runs. What each tab does stands in its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from frontend import reader, state, tabular_page
from frontend.client import ApiError, Client, connect
from frontend.i18n import language, t
from frontend.i18n.catalogue import LANGUAGES
from frontend.tabs import insights, models, predictions, results, train, upload
from frontend.widgets import banner, brand, browser_page
from frontend.widgets.problems import show_tab_problem

# Pixels; longer lines and wider tables are tiring to read.
PAGE_WIDTH = 1080
TABLES_PATH = "tables"


class Tab(NamedTuple):
    """One screen: its name in the URL, its symbol, and what draws it."""

    name: str
    icon: str
    render: Callable[[Client], None]


TABS = [
    Tab(state.UPLOAD, "upload", upload.render),
    Tab(state.INSIGHTS, "insights", insights.render),
    Tab(state.TRAIN, "model_training", train.render),
    Tab(state.RESULTS, "leaderboard", results.render),
    Tab(state.PREDICTIONS, "image_search", predictions.render),
    Tab(state.MODELS, "deployed_code_history", models.render),
]


def service() -> Client:
    """One connection for all browser tabs that read the same language."""
    return _service_in(language())


@st.cache_resource(show_spinner=False, on_release=Client.close)
def _service_in(name: str) -> Client:
    return connect(language=name)


def main() -> None:
    reader.keep_language_of_link()
    state.keep_address()
    st.set_page_config(page_title="Sightglass", page_icon=brand.ICON, layout="wide", initial_sidebar_state="collapsed")
    pages = [
        st.Page(images_page, title=t("page.images"), icon=":material/image:", default=True),
        st.Page(tables_page, title=t("page.tables"), icon=":material/table:", url_path=TABLES_PATH),
    ]
    chosen = st.navigation(pages, position="top")  # the sidebar is closed at first
    with st.sidebar:
        sidebar(service())
        browser_page.tell(language())  # here, for even what nobody sees would push the page down
    with st.container(horizontal_alignment="center"), st.container(width=PAGE_WIDTH):
        brand.title()
        chosen.run()


def images_page() -> None:
    """The tabs, in the order of the work with pictures."""
    api = service()
    chosen = tab_control()
    banner.render(api)
    try:
        chosen.render(api)
    except ApiError as error:
        show_tab_problem(error)


def tables_page() -> None:
    """Everything about tables, on one page."""
    try:
        tabular_page.render(service())
    except ApiError as error:
        show_tab_problem(error, start_over=lambda: state.choose_table(None))


def tab_control() -> Tab:
    """Draw the tabs and return the open one."""
    by_name = {tab.name: tab for tab in TABS}
    words = {name: t(f"tab.{name}") for name in by_name}
    brand.fit_tabs(list(words.values()))
    state.prepare_tab_control(list(by_name))
    st.segmented_control(
        t("frame.tabs"),
        list(by_name),
        format_func=lambda name: f":material/{by_name[name].icon}: {words[name]}",
        key=state.TAB_CONTROL,
        on_change=state.follow_tab_control,
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )
    return by_name[state.tab()]


def sidebar(api: Client) -> None:
    """Where the service is and how it fares."""
    st.subheader(t("sidebar.service"))
    st.markdown(f"`{api.base_url}`")
    try:
        health = api.health()
    except ApiError:
        st.caption(t("sidebar.down"))  # the tab beside it says why, and what to do
    else:
        st.caption(t("sidebar.up", version=health["version"], device=health["device"]))
    language_control()


def language_control() -> None:
    """The languages, each in its own words."""
    state.mirror(reader.CONTROL, language())
    st.radio(
        t("sidebar.language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key=reader.CONTROL,
        on_change=reader.choose,
        horizontal=True,
    )


if __name__ == "__main__":
    main()
