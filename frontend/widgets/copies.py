"""Copies among a dataset's images: which belong together, and one button that keeps one of each. It only chooses.

Copies that stand under several labels are left to a person: which of the labels is right, the pictures do not say.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.i18n import t
from frontend.insight_answers import InsightsAnswer
from frontend.widgets.picture_choice import LEAVE_OUT

KINDS = ("exact_duplicates", "near_duplicates")
CONTRADICTING = "conflicting_labels"


def groups(insights: InsightsAnswer, kind: str) -> list[list[str]]:
    """The images of an issue by what belongs together; none for an issue of single images."""
    if kind in KINDS:
        return insights["issues"][kind]
    if kind == CONTRADICTING:
        return [conflict["image_ids"] for conflict in insights.get("conflicts", [])]
    return []


def surplus(found: Sequence[Sequence[str]], contradicting: Sequence[str]) -> list[str]:
    """All images but the first of each group, without the groups in which labels contradict each other."""
    unsure = set(contradicting)
    return [image_id for group in found if unsure.isdisjoint(group) for image_id in group[1:]]


def keep_one(dataset: DatasetAnswer, insights: InsightsAnswer, kind: str) -> None:
    """The button, for all pages at once; and what it leaves to the person."""
    found = groups(insights, kind)
    contradicting = insights["issues"].get(CONTRADICTING, [])
    whole = all(note["listed"] == note["images"] for note in insights["notes"] if note["kind"] == CONTRADICTING)
    out = surplus(found, contradicting) if whole else []  # else a contradiction may be among those not listed
    identifier = dataset["dataset_id"]
    if out:
        st.button(
            t("copies.keep_one", count=len(out)),
            key=f"keep-one-{kind}",
            icon=":material/filter_1:",
            on_click=state.correct_all,
            args=(identifier, dict.fromkeys(out, LEAVE_OUT)),
        )
    if not set(contradicting).isdisjoint(image_id for group in found for image_id in group):
        st.caption(t("copies.contradicting"))
