"""The figures of drift: what was expected beside what is seen, and how much came on which day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import plotly.graph_objects as go

from frontend.i18n import t, written
from frontend.registry_answers import DriftBin, DriftDay
from frontend.widgets.charts import BLUE, PALETTE, names
from frontend.widgets.wording import day, percent

HEIGHT = 300
MOST_LABELS = 15
ORANGE, GREY = PALETTE[5], PALETTE[6]


def labels(bins: Sequence[DriftBin]) -> Any:
    """Shares of labels; of many, those that are answered or expected most."""
    largest = sorted(bins, key=lambda one: -max(one["seen"], one["expected"] or 0))[:MOST_LABELS]
    return _pairs(largest, t("drift.labels"))


def confidence(bins: Sequence[DriftBin]) -> Any:
    """Shares of the ten ranges of confidence."""
    decimal = t("format.decimal")
    ranges = [cast(DriftBin, {**one, "name": one["name"].replace(".", decimal)}) for one in bins]  # "0.7-0.8"
    return _pairs(ranges, t("drift.confidence"))


def days(found: Sequence[DriftDay]) -> Any:
    """Predictions a day, those unlike the training on top in another colour."""
    x = [day(one["day"]) for one in found]
    known = [one["predictions"] - one["unfamiliar"] for one in found]
    figure = go.Figure()
    figure.add_trace(go.Bar(x=x, y=known, name=t("drift.familiar"), marker={"color": BLUE}))
    figure.add_trace(
        go.Bar(x=x, y=[one["unfamiliar"] for one in found], name=t("drift.unfamiliar"), marker={"color": ORANGE})
    )
    figure.update_layout(barmode="stack", height=HEIGHT, yaxis_title=t("drift.days"))
    figure.update_xaxes(type="category")
    return figure


def _pairs(bins: Sequence[DriftBin], axis: str) -> Any:
    x = [one["name"] for one in bins]
    figure = go.Figure()
    if any(one["expected"] is not None for one in bins):
        expected = [one["expected"] for one in bins]
        figure.add_trace(go.Bar(x=x, y=expected, name=t("drift.expected"), marker={"color": GREY}))
    told = [f"{percent(one['seen'])} ({written(one['count'], ',')})" for one in bins]
    hover = "%{x}: %{customdata}<extra></extra>"
    seen = [one["seen"] for one in bins]
    figure.add_trace(
        go.Bar(x=x, y=seen, name=t("drift.seen"), marker={"color": BLUE}, customdata=told, hovertemplate=hover)
    )
    figure.update_layout(barmode="group", height=HEIGHT, bargap=0.25, showlegend=True)
    figure.update_xaxes(**names(x), title=axis)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure
