"""What the browser must know: the page's `lang`, the cookies by which it remembers a language and is known again, and
the words of Streamlit's own drop zone, which it has in English alone.
"""

from __future__ import annotations

import json

import streamlit as st

from frontend import reader, state
from frontend.i18n import t
from frontend.i18n.catalogue import FALLBACK, known

YEAR_S = 365 * 24 * 3600
WEEK_S = 7 * 24 * 3600  # as long as what the name stands for is kept


def tell(language: str) -> None:
    """Say the language to screen readers, and have a choice remembered by this browser for a year."""
    lines = script(language, known(reader.chosen()), browser=state.browser())
    st.html(f"<script>{lines}</script>", unsafe_allow_javascript=True)
    translated = "" if language == FALLBACK else drop_zone_style()  # Streamlit's own words are English
    st.html(f"<style>{too_large_style()}{translated}</style>")


def script(language: str, chosen: str | None, *, browser: str | None = None) -> str:
    """Only known languages and names of our own reach it, so nothing that a person wrote into a link is ever run."""
    lines = [f"document.documentElement.lang = {json.dumps(language)};"]
    if chosen is not None:
        cookie = f"{reader.COOKIE}={chosen}; path=/; max-age={YEAR_S}; SameSite=Lax"
        lines.append(f"document.cookie = {json.dumps(cookie)};")
    if browser is not None:
        cookie = f"{state.BROWSER_COOKIE}={browser}; path=/; max-age={WEEK_S}; SameSite=Lax"
        lines.append(f"document.cookie = {json.dumps(cookie)};")
    return "\n".join(lines)


def too_large_style() -> str:
    """A red box below a drop zone with a file that the browser refused, of which Streamlit shows a red mark alone.

    The page's code is not told of such a file; the mark's own words appear only to who points at it.
    """
    uploader = '[data-testid="stFileUploader"]:has([data-testid="stFileChip"][aria-invalid="true"])'
    red = "color: light-dark(#a51d2d, #ff9a9a); background: light-dark(#fdecec, #4a1f1f);"
    shape = "display: block; margin-top: 0.75rem; padding: 1rem; border-radius: 0.5rem;"
    return f"{uploader}::after {{ content: {_in_css(t('streamlit.too_large'))}; {shape} {red} }}"


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
