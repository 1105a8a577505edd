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
GREY = "#8A8F98"
FAR = 1.5  # times as wide as the others the last bin must be; equal ones differ by their rounding


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
    """How many images fall into each bin; where all are the same, one bar.

    Few images far above all others stand in a last, grey bar, as wide as the rest: to scale, it would squash them.
    """
    edges, counts = spread["histogram"]["edges"], spread["histogram"]["counts"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    widths = [high - low for low, high in pairwise(edges)]
    colours = [BLUE] * len(counts)
    same = len(counts) == 1 and not any(widths)
    if far_above(spread):
        widths[-1] = widths[0]
        middles[-1] = edges[-2] + 1.5 * widths[0]  # half a bar of room before it
        colours[-1] = GREY
    bars = go.Bar(
        x=[written(edges[0], "g")] if same else middles,
        y=counts,
        width=None if same else widths,
        marker={"color": colours},
        customdata=[[written(low, "g"), written(high, "g")] for low, high in pairwise(edges)],
        hovertemplate="%{customdata[0]} – %{customdata[1]}: %{y:,}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_xaxes(title=axis, type="category" if same else "linear")
    figure.update_yaxes(title=t("chart.images"))
    return figure.update_layout(height=HEIGHT, bargap=0.02)


def far_above(spread: SpreadAnswer) -> int:
    """How many images the last bin holds where it alone is wide, as they lie far above the rest; 0 where it is not."""
    edges, counts = spread["histogram"]["edges"], spread["histogram"]["counts"]
    if len(counts) < 2 or edges[-1] - edges[-2] < FAR * (edges[1] - edges[0]):
        return 0
    return counts[-1]


def far_above_note(spread: SpreadAnswer) -> str:
    """That such images stand aside, and where; "" where there are none."""
    count, edges = far_above(spread), spread["histogram"]["edges"]
    if not count:
        return ""
    low, high = (written(edge, ",.0f" if edge >= 100 else ".3g") for edge in edges[-2:])
    return t("insights.far_above", count=count, edge=low, most=high)
