"""How far the model's confidence can be trusted: one plain sentence, and the numbers behind it."""

from __future__ import annotations

import streamlit as st

from frontend.answers import Calibration, ResultsAnswer
from frontend.i18n import t, written
from frontend.widgets.wording import percent

HARDLY = 0.05  # a temperature this near 1 moves a confidence of 80% by about a point


def show(results: ResultsAnswer) -> None:
    """Draw the sentence and the table; without a calibration only the test images' own numbers."""
    st.subheader(t("results.confidence"), anchor=False, help=t("confidence.help"))
    calibration = results.get("calibration")
    if calibration is not None:
        st.markdown(sentence(calibration))
    with st.container(key="confidence"):  # the key lets the style align the numbers
        st.table(rows(results), border="horizontal", hide_index=True, alt=t("results.confidence"), width="content")


def sentence(calibration: Calibration) -> str:
    """What was found about the winner's confidence, and what was done."""
    temperature, images = calibration["temperature"], calibration["images"]
    if abs(temperature - 1.0) <= HARDLY:
        return t("confidence.kept", images=images, gap=percent(calibration["ece_after"]))
    return t(
        "confidence.lowered" if temperature > 1.0 else "confidence.raised",
        images=images,
        change=_change(calibration),
    )


def _change(calibration: Calibration) -> str:
    """The gap where it shrank; else the log-loss, which a correction always lowers."""
    before, after = calibration["ece_before"], calibration["ece_after"]
    if after < before:
        return t("confidence.gap", before=percent(before), after=percent(after))
    losses = calibration["log_loss_before"], calibration["log_loss_after"]
    return t("confidence.loss", before=written(losses[0], ".3f"), after=written(losses[1], ".3f"))


def rows(results: ResultsAnswer) -> list[dict[str, str]]:
    """Before and after on the images it was found on, and what held on the test images."""
    calibration, test = results.get("calibration"), results["test"]
    found: list[dict[str, str]] = []
    if calibration is not None:
        images = written(calibration["images"], ",")
        found = [
            _row(t("confidence.before"), calibration["ece_before"], calibration["log_loss_before"], images),
            _row(t("confidence.after"), calibration["ece_after"], calibration["log_loss_after"], images),
        ]
    test_images = written(results["split"]["test"], ",")
    return [*found, _row(t("confidence.test"), test["expected_calibration_error"], test["log_loss"], test_images)]


def _row(name: str, ece: float, log_loss: float, images: str) -> dict[str, str]:
    return {
        t("column.measured"): name,
        t("column.ece"): percent(ece),
        t("column.log_loss"): written(log_loss, ".3f"),
        t("column.support"): images,
    }
