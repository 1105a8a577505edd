"""Classes with their scores, the weakest first: of pictures and of tables alike."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend.answers import ClassScore
from frontend.i18n import t


def show(scores: Sequence[ClassScore], *, counted: str) -> None:
    """`counted` is what `support` counts, in words."""
    weakest_first = sorted(scores, key=lambda score: (score["f1"], score["recall"], score["label"]))
    rows = [
        {
            "label": score["label"],
            "f1": 100 * score["f1"],
            "recall": 100 * score["recall"],
            "precision": 100 * score["precision"],
            "support": score["support"],
        }
        for score in weakest_first
    ]
    share = st.column_config.NumberColumn
    columns = {
        "label": st.column_config.TextColumn(t("column.label")),
        "f1": st.column_config.ProgressColumn(t("column.f1"), min_value=0, max_value=100, format="%.1f%%"),
        "recall": share(t("column.recall"), format="%.1f%%", help=t("column.recall_help")),
        "precision": share(t("column.precision"), format="%.1f%%", help=t("column.precision_help")),
        "support": st.column_config.NumberColumn(counted, help=t("column.support_help")),
    }
    st.dataframe(rows, column_config=columns, hide_index=True, alt=t("results.classes"))
