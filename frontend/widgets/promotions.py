"""Who has answered for a dataset, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend.i18n import t
from frontend.registry_answers import PromotionAnswer
from frontend.widgets import frame
from frontend.widgets.wording import NOTHING, name_of, when


def show(history: Sequence[PromotionAnswer]) -> None:
    """Draw the promotions of a dataset, newest first."""
    if not history:
        st.caption(t("promotions.none"))
        return
    rows = [
        {
            t("promotions.when"): frame.moment(one["created_at"]),
            t("promotions.what"): name_of("promotions.kind", one["kind"]),
            t("promotions.model"): one["model_id"],
            t("promotions.instead_of"): one["replaced_id"] or NOTHING,
            t("promotions.who"): one["actor"] or NOTHING,
            t("promotions.undone"): when(one["undone_at"]),
        }
        for one in history
    ]
    frame.show(rows, alt=t("models.history"))
