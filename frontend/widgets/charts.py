"""Plotly figures in one style: colour-blind safe, no chart junk, axes named with units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from frontend.answers import ConfusionMatrix, EpochRecord
from frontend.i18n import t

# Okabe and Ito's palette: eight colours that people with any kind of colour vision tell apart.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A8F98", "#B5A900")
BLUE = PALETTE[0]
# From nothing to the accent; transparent at the low end, so that it sits on a light and on a dark page.
SHADES = [[0.0, "rgba(0, 114, 178, 0.06)"], [1.0, "rgba(0, 114, 178, 1.0)"]]
# Beyond this many classes the numbers no longer fit into the cells; they stand in the hover text.
MOST_LABELLED_CELLS = 20
LONGEST_TICK = 24


def draw(figure: Any, *, key: str, alt: str) -> None:
    """Put a figure on the page in the shared style."""
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        font={"size": 13},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        dragmode=False,
    )
    figure.update_xaxes(automargin=True, fixedrange=True)
    figure.update_yaxes(automargin=True, fixedrange=True)
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)


def class_counts(counts: Mapping[str, int]) -> Any:
    """Horizontal bars, the largest class on top."""
    ordered = sorted(counts.items(), key=lambda item: item[1])
    bars = go.Bar(
        x=[count for _, count in ordered],
        y=[_short(name) for name, _ in ordered],
        customdata=[name for name, _ in ordered],
        orientation="h",
        marker={"color": BLUE},
        text=[f" {count}" for _, count in ordered],
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        hovertemplate="%{customdata}: %{x}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_layout(height=90 + 34 * len(ordered), xaxis_title=t("chart.images"), bargap=0.3)
    figure.update_yaxes(type="category", dtick=1, showgrid=False)
    return figure


def confusion(matrix: ConfusionMatrix) -> Any:
    """Rows are the truth; the shade is the share of the row, the number the count."""
    labels = matrix["labels"]
    shares = [[cell / max(1, sum(row)) for cell in row] for row in matrix["matrix"]]
    few = len(labels) <= MOST_LABELLED_CELLS
    heat = go.Heatmap(
        z=shares,
        x=labels,
        y=labels,
        customdata=matrix["matrix"],
        zmin=0,
        zmax=1,
        colorscale=SHADES,
        xgap=2,
        ygap=2,
        showscale=False,
        hovertemplate=t("chart.confusion_hover") + "<extra></extra>",
    )
    figure = go.Figure(heat)
    if few:
        figure.update_layout(annotations=_cell_numbers(matrix, shares))
    ticks = {"tickvals": labels, "ticktext": [_short(name) for name in labels], "type": "category"}
    figure.update_xaxes(title=t("chart.predicted"), showgrid=False, **ticks)
    figure.update_yaxes(title=t("chart.truth"), showgrid=False, autorange="reversed", **ticks)
    figure.update_layout(height=max(300, min(760, 140 + 44 * len(labels))))
    return figure


def _cell_numbers(matrix: ConfusionMatrix, shares: list[list[float]]) -> list[dict[str, Any]]:
    """The counts as annotations, white where the cell is dark; on pale cells the page's own text colour is kept."""
    numbers = []
    for truth, row in zip(matrix["labels"], range(len(shares)), strict=True):
        for predicted, column in zip(matrix["labels"], range(len(shares)), strict=True):
            number: dict[str, Any] = {
                "x": predicted,
                "y": truth,
                "text": str(matrix["matrix"][row][column]),
                "showarrow": False,
            }
            if shares[row][column] > 0.5:
                number["font"] = {"color": "white"}
            numbers.append(number)
    return numbers


def accuracy_curves(history: Mapping[str, Sequence[EpochRecord]]) -> Any:
    """Validation accuracy by epoch, a line a network."""
    figure = go.Figure()
    for name, epochs in history.items():
        points = [(record["epoch"], record["val_accuracy"]) for record in epochs if record["val_accuracy"] is not None]
        _line(figure, name, points)
    figure.update_yaxes(title=t("chart.val_accuracy"), tickformat=".0%")
    return _by_epoch(figure)


def loss_curves(history: Mapping[str, Sequence[EpochRecord]], name: str) -> Any:
    """Training and validation loss of one network by epoch."""
    figure = go.Figure()
    records = history[name]
    train = [(record["epoch"], record["train_loss"]) for record in records if record["train_loss"] is not None]
    val = [(record["epoch"], record["val_loss"]) for record in records if record["val_loss"] is not None]
    _line(figure, t("chart.train_loss"), train)
    _line(figure, t("chart.val_loss"), val)
    figure.update_yaxes(title=t("chart.loss"), rangemode="tozero")
    return _by_epoch(figure)


def live_scores(seen: Mapping[str, Mapping[int, float]]) -> Any:
    """Best validation accuracy so far, as watched."""
    figure = go.Figure()
    for name, scores in seen.items():
        _line(figure, name, sorted(scores.items()))
    figure.update_yaxes(title=t("chart.val_accuracy"), tickformat=".0%")
    return _by_epoch(figure, height=240)


def learning_curve(points: Sequence[Mapping[str, Any]]) -> Any:
    """Accuracy by number of training images."""
    figure = go.Figure()
    _line(figure, t("chart.accuracy"), [(point["train_images"], point["accuracy"]) for point in points])
    figure.update_xaxes(title=t("chart.train_images"))
    figure.update_yaxes(title=t("chart.accuracy"), tickformat=".0%")
    return figure.update_layout(height=280)


def _line(figure: Any, name: str, points: Sequence[tuple[int, float | None]]) -> None:
    x, y = [point[0] for point in points], [point[1] for point in points]
    colour = PALETTE[len(figure.data) % len(PALETTE)]
    figure.add_trace(go.Scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": colour}))


def _by_epoch(figure: Any, *, height: int = 300) -> Any:
    last = max((max(trace.x, default=1) for trace in figure.data), default=1)
    figure.update_xaxes(title=t("chart.epoch"), tickformat="d", dtick=max(1, round(last / 8)))
    return figure.update_layout(height=height, showlegend=True)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_TICK else name[: LONGEST_TICK - 1] + "…"
