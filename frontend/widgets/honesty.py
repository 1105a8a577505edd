"""What an answer is worth, in words: its confidence, how far it is from the training images, its heat map's test."""

from __future__ import annotations

from typing import Any, cast

import streamlit as st

from frontend.answers import HeatmapEvidence, ModelAnswer, PredictionAnswer, ReliabilityBand
from frontend.i18n import t
from frontend.widgets.wording import percent, plain

# Fewer test images in a range say too little: of 9 right ones in 10 the true share may be 60% or 98%.
ENOUGH = 10


def explain_confidence(model: ModelAnswer, answer: PredictionAnswer) -> None:
    """How often the model was right on test images that it answered as surely as this."""
    band = _band(model, answer["predictions"][0]["confidence"])
    if band is None:
        return  # a model from before this was counted
    low, high, count = percent(band["low"], digits=0), percent(band["high"], digits=0), band["images"]
    if count >= ENOUGH:
        words = t("predict.reliable", low=low, high=high, count=count, right=band["right"])
    elif count:
        words = t("predict.reliable_few", low=low, high=high, count=count)
    else:
        words = t("predict.reliable_none", low=low, high=high)
    st.caption(words, help=t("predict.reliable_help"))


def say_familiarity(model: ModelAnswer, answer: PredictionAnswer) -> None:
    """Whether the picture is like what the model has learned from, and how much that is worth."""
    facts = _metrics(model).get("familiarity")
    worth = t("predict.familiarity_help")
    if facts:
        worth = t(
            "predict.familiarity_worth",
            known=facts["known_images"],
            share=percent(facts["false_alarms"]),
            judges=facts["measured_on"],
        )
    if answer["unfamiliar"]:
        score = percent(answer["unfamiliarity"], digits=0)
        st.warning(t("predict.unfamiliar", score=score), icon=":material/warning:")
        st.caption(t("predict.unfamiliar_why"), help=worth)
    else:
        st.caption(t("predict.familiar"), help=worth)


def say_evidence(test: HeatmapEvidence | None) -> None:
    """Whether what the heat map marks is what the answer rests on."""
    if test is None:
        return
    marked, elsewhere, label = _lost(test["score"]), _lost(test["random"]), plain(test["label"])
    if test["verdict"] == "weak":
        words = t("predict.evidence_weak", marked=marked, elsewhere=elsewhere, label=label)
        st.warning(words, icon=":material/help:")
    else:
        words = t("predict.evidence", marked=marked, elsewhere=elsewhere, label=label)
        st.caption(words, help=t("predict.evidence_help"))


def _lost(share: float) -> str:
    """A share of the confidence that is lost; where it grows instead, nothing is."""
    return percent(max(0.0, share), digits=0)


def _metrics(model: ModelAnswer) -> dict[str, Any]:
    """What the training noted; little or nothing of a model from before."""
    return cast("dict[str, Any]", model).get("metrics") or {}


def _band(model: ModelAnswer, confidence: float) -> ReliabilityBand | None:
    bands: list[ReliabilityBand] = _metrics(model).get("reliability") or []
    return next((band for band in reversed(bands) if confidence >= band["low"]), None)
