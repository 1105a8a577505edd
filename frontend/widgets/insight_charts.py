"""The figures of the Insights tab: how large the pictures are, and how a measure spreads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import plotly.graph_objects as go

from frontend.i18n import t, written
from frontend.insight_answers import SizeCount, SpreadAnswer
from frontend.widgets.charts import BLUE

HEIGHT = 260
LARGEST_DOT = 36  # pixels


def sizes(counts: Sequence[SizeCount]) -> Any:
    """Width against height; the area of a dot is how many images have that size."""
    most = max((one["images"] for one in counts), default=1)
    figure = go.Figure(
        go.Scatter(
            x=[one["width"] for one in counts],
            y=[one["height"] for one in counts],
            mode="markers",
            marker={
                "color": BLUE,
                "opacity": 0.6,
                "size": [max(6.0, LARGEST_DOT * sqrt(one["images"] / most)) for one in counts],
            },
            customdata=[one["images"] for one in counts],
            hovertemplate=t("chart.size_hover") + "<extra></extra>",
        )
    )
    figure.update_xaxes(title=t("chart.width"), rangemode="tozero")
    figure.update_yaxes(title=t("chart.height"), rangemode="tozero")
    return figure.update_layout(height=HEIGHT)


def histogram(spread: SpreadAnswer, *, axis: str) -> Any:
    """How many images fall into each bin; where all are the same, one bar."""
    edges, counts = spread["histogram"]["edges"], spread["histogram"]["counts"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    widths = [high - low for low, high in pairwise(edges)]
    same = len(counts) == 1 and not any(widths)
    bars = go.Bar(
        x=[written(edges[0], "g")] if same else middles,
        y=counts,
        width=None if same else widths,
        marker={"color": BLUE},
        customdata=[[written(low, "g"), written(high, "g")] for low, high in pairwise(edges)],
        hovertemplate="%{customdata[0]} – %{customdata[1]}: %{y:,}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_xaxes(title=axis, type="category" if same else "linear")
    figure.update_yaxes(title=t("chart.images"))
    return figure.update_layout(height=HEIGHT, bargap=0.02)
