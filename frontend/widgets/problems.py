"""An API error on the screen: its detail in a red box, never a traceback."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from frontend import state
from frontend.client import ApiError
from frontend.i18n import t
from frontend.widgets.wording import plain


def show_problem(error: ApiError) -> None:
    show_detail(error.detail)


def show_detail(detail: str) -> None:
    st.error(plain(detail), icon=":material/error:")


def show_tab_problem(error: ApiError, *, start_over: Callable[[], None] | None = None) -> None:
    """The problem that keeps a whole tab from being drawn, with the way out; by default back to Upload."""
    show_problem(error)
    if error.status == 404:
        st.button(t("problem.start_over"), on_click=start_over or _to_upload)
    else:
        st.button(t("problem.try_again"))


def _to_upload() -> None:
    state.choose_dataset(None, tab=state.UPLOAD)


def first_do(message: str, *, button: str, action: Callable[[], None]) -> None:
    """A tab whose turn has not come: what to do first, and the button that does it."""
    with st.container(border=True):
        st.markdown(message)
        st.button(button, on_click=action, type="primary")
