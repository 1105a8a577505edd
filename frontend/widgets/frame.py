"""A table that sorts by what its cells are and shows them as the reader writes them.

Streamlit's own number formats follow the browser or English, never the language of the page; what a Styler displays it
takes as it is, and sorts by the value behind it (1.67).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from frontend.i18n import t, written
from frontend.widgets import wording
from frontend.widgets.wording import NOTHING

Words = Callable[[Any], str]  # how a cell reads


def show(
    rows: Sequence[Mapping[str, Any]],
    *,
    alt: str,
    columns: Mapping[str, Any] | None = None,
    words: Mapping[str, Words] | None = None,
) -> None:
    """Draw the rows; `words` says how the cells of a column read, where a plain number or moment is not enough.

    `columns` are headings and bars for `st.dataframe`; an empty cell is a dash.
    """
    frame = pd.DataFrame(list(rows))
    readable = {name: _words(name, frame[name], words or {}) for name in frame.columns}
    styled = frame.style.format({name: say for name, say in readable.items() if say is not None})
    st.dataframe(styled, column_config=columns, hide_index=True, placeholder=NOTHING, alt=alt)


def moment(stamp: str | None) -> datetime | None:
    """A time as a cell that sorts by time and reads as everywhere else."""
    return None if not stamp else wording.moment(stamp).replace(tzinfo=None)  # Streamlit would turn it back into UTC


def _words(name: str, column: Any, words: Mapping[str, Words]) -> Words | None:
    say = words.get(name)
    if say is None and pd.api.types.is_datetime64_any_dtype(column):
        say = _as_moment
    if say is None and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        say = _as_number
    return None if say is None else lambda value: NOTHING if pd.isna(value) else say(value)


def _as_moment(value: datetime) -> str:
    return value.strftime(t("format.moment"))


def _as_number(value: float) -> str:
    return written(value, ",g" if isinstance(value, float) else ",")
