"""Classes with their scores, the weakest first: of pictures and of tables alike."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend.answers import ClassScore
from frontend.i18n import t
from frontend.widgets import frame
from frontend.widgets.wording import percent


def show(scores: Sequence[ClassScore], *, counted: str) -> None:
    """`counted` is what `support` counts, in words."""
    weakest_first = sorted(scores, key=lambda score: (score["f1"], score["recall"], score["label"]))
    rows = [
        {
            "label": score["label"],
            "f1": 100 * score["f1"],
            "recall": score["recall"],
            "precision": score["precision"],
            "support": score["support"],
        }
        for score in weakest_first
    ]
    number = st.column_config.NumberColumn
    columns = {
        "label": st.column_config.TextColumn(t("column.label")),
        "f1": st.column_config.ProgressColumn(
            t("column.f1"), min_value=0, max_value=100, format=t("format.bar_percent")
        ),
        "recall": number(t("column.recall"), help=t("column.recall_help")),
        "precision": number(t("column.precision"), help=t("column.precision_help")),
        "support": number(counted, help=t("column.support_help")),
    }
    frame.show(rows, columns=columns, words={"recall": percent, "precision": percent}, alt=t("results.classes"))
