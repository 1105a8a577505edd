"""What the browser itself must know of the language: the page's `lang`, the cookie that remembers a choice, and the
words of Streamlit's own drop zone, which it has in English alone.
"""

from __future__ import annotations

import json

import streamlit as st

from frontend import reader
from frontend.i18n import t
from frontend.i18n.catalogue import FALLBACK, known

YEAR_S = 365 * 24 * 3600


def tell(language: str) -> None:
    """Say the language to screen readers, and have a choice remembered by this browser for a year."""
    st.html(f"<script>{script(language, known(reader.chosen()))}</script>", unsafe_allow_javascript=True)
    if language != FALLBACK:  # Streamlit's own words are English
        st.html(f"<style>{drop_zone_style()}</style>")


def script(language: str, chosen: str | None) -> str:
    """Only known languages reach it, so nothing that a person wrote into a link is ever run."""
    lines = [f"document.documentElement.lang = {json.dumps(language)};"]
    if chosen is not None:
        cookie = f"{reader.COOKIE}={chosen}; path=/; max-age={YEAR_S}; SameSite=Lax"
        lines.append(f"document.cookie = {json.dumps(cookie)};")
    return "\n".join(lines)


def drop_zone_style() -> str:
    """Streamlit's words out of sight, ours in their place; the limit and the formats stand in the label."""
    zone = '[data-testid="stFileUploaderDropzone"]'
    return "\n".join(
        f"{place} {{ font-size: 0; visibility: hidden; }}"
        f"{place}::after {{ font-size: 0.875rem; visibility: visible; content: {words}; }}"
        for place, words in (
            (f"{zone} button p", _in_css(t("streamlit.upload"))),
            (f'{zone} [data-testid="stFileUploaderDropzoneInstructions"] span', _in_css(t("streamlit.drop"))),
        )
    )


def _in_css(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)
