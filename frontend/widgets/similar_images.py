"""The training images nearest to a picture, from the version of the dataset that the model learned from."""

from __future__ import annotations

from typing import Any, cast

import streamlit as st

from frontend.answers import ModelAnswer, PredictionAnswer
from frontend.client import Client
from frontend.i18n import t
from frontend.widgets import pictures
from frontend.widgets.wording import percent, plain

SIDE = 96


def show_similar(api: Client, model: ModelAnswer, answer: PredictionAnswer) -> None:
    """A row of thumbnails with label and similarity; where their dataset is gone, the labels and that it is."""
    similar = answer.get("similar") or []
    if not similar:
        return
    st.markdown(t("predict.similar"), help=t("predict.similar_help"))
    version = cast("dict[str, Any]", model).get("dataset_version")  # unknown of an older service
    chosen = f"&version={version}" if version else ""
    folder = f"/api/cv/datasets/{model['dataset_id']}/images"
    words = [
        t("predict.similar_one", label=plain(near["label"]), share=percent(near["similarity"], digits=0))
        for near in similar
    ]
    shown = pictures.show_row(
        api,
        [f"{folder}/{near['image_id']}?size={SIDE}{chosen}" for near in similar],
        alt=[t("predict.similar_alt", label=near["label"]) for near in similar],
        captions=words,
    )
    if not shown:
        st.caption(t("predict.similar_gone", labels=", ".join(words)))
    elif shown < len(similar):
        st.caption(t("predict.similar_some_gone", count=len(similar) - shown))
