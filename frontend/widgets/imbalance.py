"""Uneven classes: that they are, what followed, and where a person decides otherwise."""

from __future__ import annotations

import streamlit as st

from frontend.answers import ClassImbalance, ResultsAnswer
from frontend.i18n import t, written


def show(results: ResultsAnswer) -> None:
    """One box, where anything followed or was asked for; even classes need no words.

    Of several labels an image nothing follows by itself: rare ones have thresholds of their own.
    """
    found = results.get("imbalance")
    if found is not None and results.get("task") == "multilabel" and found["automatic"]:
        return
    if found is not None and (found["balanced"] or found["ranked_by"] != "accuracy" or not found["automatic"]):
        st.info(sentence(found), icon=":material/balance:")


def sentence(found: ClassImbalance) -> str:
    ratio = written(round(found["ratio"], 1), ",g")
    # whoever was asked nothing learns why; whoever chose it knows
    how_uneven = t("imbalance.found" if found["automatic"] else "imbalance.ratio", ratio=ratio)
    training = t("imbalance.balanced" if found["balanced"] else "imbalance.plain")
    ranking = t(f"imbalance.{found['ranked_by']}")
    change = t("imbalance.automatic", balance=t("recipe.class_balance"), ranking=t("recipe.rank_by"))
    return f"{how_uneven} {training} {ranking} {change if found['automatic'] else t('imbalance.chosen')}"
