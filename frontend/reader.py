"""Who reads: languages and time zone, as a link, the person and the browser tell them. Knows no texts.

The language belongs to the person, not to what they look at: a cookie keeps it over reloads and in new tabs, and a link
carries it only where somebody wrote `?lang=` into it. Beside `state.py` the only file that touches the session.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

COOKIE = "sightglass_language"
CONTROL = "language-control"
_PARAMETER = "lang"
_CHOSEN = "language"


def languages_asked_for() -> list[str | None]:
    """Tags as they come, the weightiest first: a link's, this tab's choice, one from before, the browser's."""
    return [st.query_params.get(_PARAMETER), chosen(), st.context.cookies.get(COOKIE), *_browsers()]


def _browsers() -> list[str]:
    """What the browser asks for, best first: its own language, then those of its requests."""
    asked = st.context.headers.get("Accept-Language") or ""
    return [st.context.locale or "", *(part.partition(";")[0] for part in asked.split(","))]


def chosen() -> str | None:
    """What was chosen in this tab, or came by a link; None where neither."""
    name: str | None = st.session_state.get(_CHOSEN)
    return name


def choose() -> None:
    """Callback: keep what was clicked in the control; a link's language has done its work."""
    st.session_state[_CHOSEN] = st.session_state[CONTROL]
    st.query_params.pop(_PARAMETER, None)


def keep_language_of_link() -> None:
    """A link with a language decides for the whole visit: going to another page empties the URL."""
    if st.query_params.get(_PARAMETER):
        st.session_state[_CHOSEN] = st.query_params[_PARAMETER]


def timezone() -> ZoneInfo | None:
    """The reader's time zone as the browser tells it; None where it does not, or tells an unknown one."""
    try:
        return ZoneInfo(st.context.timezone) if st.context.timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
