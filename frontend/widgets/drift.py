"""Does what comes in still look like what a model was tested on? The verdict in words first, then the charts."""

from __future__ import annotations

import streamlit as st

from frontend.client import Client
from frontend.i18n import t
from frontend.registry_answers import CardAnswer, DriftAnswer
from frontend.widgets import charts, drift_charts
from frontend.widgets.wording import day, plain

ICONS = {
    "steady": ":material/check_circle:",
    "shifting": ":material/trending_up:",
    "drifted": ":material/warning:",
    "too_few": ":material/hourglass_empty:",
    "no_yardstick": ":material/help:",
}


def show(api: Client, model: CardAnswer) -> None:
    """Draw the drift of one model over the last days."""
    found = api.drift(model["model_id"])
    st.subheader(t("drift.title"), anchor=False)
    st.caption(_counted(found))
    box = {"drifted": st.error, "shifting": st.warning, "steady": st.success}.get(found["verdict"], st.info)
    box(plain(found["headline"]), icon=ICONS[found["verdict"]])
    if not found["predictions"]:
        return
    words = [found["labels"]["words"], found["confidence"]["words"], found["unfamiliar"]["words"]]
    st.markdown("\n".join(f"- {plain(line)}" for line in words))
    left, right = st.columns(2, gap="large", vertical_alignment="bottom")
    with left:
        charts.draw(drift_charts.labels(found["labels"]["bins"]), key="drift-labels", alt=t("drift.labels"))
    with right:
        bins = found["confidence"]["bins"]
        charts.draw(drift_charts.confidence(bins), key="drift-confidence", alt=t("drift.confidence"))
    if len(found["days"]) > 1:
        charts.draw(drift_charts.days(found["days"]), key="drift-days", alt=t("drift.days"))
    st.caption(t("drift.help"))


def _counted(found: DriftAnswer) -> str:
    counted = t("drift.counted", count=found["predictions"], since=day(found["since"]))
    tested = found["test_images"]
    return counted if tested is None else f"{counted} {t('drift.yardstick', count=tested)}"
