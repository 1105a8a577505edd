"""The mark and the title line."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend.i18n import t

# Streamlit keeps six rem free above the page; its own bar needs four. On a phone all four tabs fit into one row.
# Numbers in tables stand right, digit below digit. A count in a pale cell of the confusion matrix has the page's text
# colour, whichever theme is on; Plotly would make it grey. Those that are white stay white.
# A thumbnail's button for the full screen is there while the mouse is over the picture: it shows no more than the
# thumbnail, and whoever goes by the keyboard would pass thirty of them. Large pictures keep theirs always.
# What is chosen and not yet sent stays in sight: a choice under the fortieth picture would else seem to do nothing.
STYLE = """<style>
.stMainBlockContainer { padding-top: 4rem; padding-bottom: 3rem; }
.stPlotlyChart .annotation-text:not([style*="fill: rgb(255, 255, 255)"]) { fill: currentColor !important; }
.st-key-leaderboard :is(th, td):is(:nth-child(1), :nth-child(3), :nth-child(4), :nth-child(5), :nth-child(n + 9)),
.st-key-confidence :is(th, td):nth-child(n + 2) {
  text-align: right !important; font-variant-numeric: tabular-nums;
}
div:has(> .st-key-corrections-bar) { position: sticky; top: 4rem; bottom: 1rem; z-index: 5; }
.st-key-corrections-bar {
  background: color-mix(in srgb, Canvas 90%, transparent); backdrop-filter: blur(8px);
  box-shadow: 0 0.1rem 0.8rem rgb(0 0 0 / 15%);
}
.st-key-leaderboard td:nth-child(n + 9) * { white-space: nowrap; }
.st-key-leaderboard td:nth-child(2) { min-width: 17rem; }
@media (hover: hover) {
  [data-testid="stFullScreenFrame"]:has(
    img:is([style*="width: 76px"], [style*="width: 150px"], [style*="width: 192px"])
  ) :not(:hover) > [data-testid="stElementToolbar"] { visibility: hidden; }
}
@media (max-width: 480px) {
  .st-key-leaderboard table { min-width: 64rem; }
  .st-key-leaderboard td:nth-child(2) { min-width: 13rem; }
  .st-key-tab-control button { padding-left: 0.3rem; padding-right: 0.3rem; }
  .st-key-tab-control :is(span, div):has(> [data-testid="stIconMaterial"]:only-child),
  .st-key-tab-control [data-testid="stIconMaterial"] { display: none; }
}
</style>"""
# Where the words of the tabs are too long for a phone's row, three stand in each instead of one alone in the last.
STYLE_OF_LONG_TABS = """<style>
@media (max-width: 480px) { .st-key-tab-control button { flex: 1 1 30% !important; } }
</style>"""
LETTERS_IN_A_ROW = 46  # at 390 pixels
ACCENT = "#0f766e"
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32">'
    f'<circle cx="14" cy="14" r="11" fill="none" stroke="{ACCENT}" stroke-width="3.4"/>'
    f'<path d="M22.5 22.5 29 29" stroke="{ACCENT}" stroke-width="4" stroke-linecap="round"/>'
    '<rect x="8.5" y="14" width="3" height="6" rx="1" fill="#E69F00"/>'
    f'<rect x="12.6" y="10.5" width="3" height="9.5" rx="1" fill="{ACCENT}"/>'
    '<rect x="16.7" y="7.5" width="3" height="12.5" rx="1" fill="#0072B2"/></svg>'
)


def fit_tabs(words: Sequence[str]) -> None:
    """Style the row of tabs for the length of their words."""
    if sum(map(len, words)) > LETTERS_IN_A_ROW:
        st.html(STYLE_OF_LONG_TABS)


def title() -> None:
    """The mark, the name and what the product does, in one line."""
    st.html(STYLE)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        st.image(ICON, width=36, alt="")
        with st.container(gap=None):
            st.title("Sightglass", anchor=False)
            st.caption(t("frame.promise"))
