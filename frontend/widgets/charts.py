"""Plotly figures in one style: colour-blind safe, no chart junk, axes named with units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from frontend.answers import LearningCurvePoint
from frontend.i18n import t, written
from frontend.training_answers import EpochRecord
from frontend.widgets.wording import percent

# Okabe and Ito's palette: eight colours that people with any kind of colour vision tell apart.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A8F98", "#B5A900")
BLUE = PALETTE[0]
BAND = "rgba(0, 114, 178, 0.18)"
LONGEST_TICK = 24
END = 8  # letters of a long name's end: names of a kind differ there
FEWEST_TICKS = 8


def draw(figure: Any, *, key: str, alt: str, on_select: Callable[[], None] | None = None) -> None:
    """Put a figure on the page in the shared style; `on_select` is called when a point of it was clicked."""
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        font={"size": 13},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        dragmode=False,
        separators=t("format.decimal") + t("format.group"),  # of ticks and of what Plotly writes over a point
    )
    figure.update_xaxes(automargin=True, fixedrange=True)
    figure.update_yaxes(automargin=True, fixedrange=True)
    st.plotly_chart(
        figure,
        key=key,
        config={"displayModeBar": False},
        alt=alt,
        on_select=on_select or "ignore",
        selection_mode="points",
    )


def class_counts(counts: Mapping[str, int]) -> Any:
    """Horizontal bars, the largest class on top."""
    ordered = sorted(counts.items(), key=lambda item: item[1])
    bars = go.Bar(
        x=[count for _, count in ordered],
        y=[name for name, _ in ordered],
        customdata=[escape(name, quote=False) for name, _ in ordered],
        orientation="h",
        marker={"color": BLUE},
        text=[f" {written(count, ',')}" for _, count in ordered],
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        hovertemplate="%{customdata}: %{x:,}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_layout(height=90 + 34 * len(ordered), xaxis_title=t("chart.images"), bargap=0.3)
    figure.update_yaxes(**names([name for name, _ in ordered]), showgrid=False)
    most = max(counts.values(), default=0)
    # room for the longest count beside its bar: on a phone a digit takes about 4% of the width
    figure.update_xaxes(range=[0, max(1, most) * (1.04 + 0.04 * len(written(most, ",")))])
    if most < FEWEST_TICKS:
        figure.update_xaxes(dtick=1)  # there is no half image
    return figure


def chosen_by_f1(history: Mapping[str, Sequence[EpochRecord]]) -> bool:
    """Whether the macro-F1 chose the best epoch of every network; it is what the curve must show then."""
    return all(record.get("val_macro_f1") is not None for epochs in history.values() for record in epochs)


def score_curves(history: Mapping[str, Sequence[EpochRecord]], *, by_f1: bool) -> Any:
    """The validation score that chose the best epoch, by epoch, a line a network."""
    figure = go.Figure()
    for name, epochs in history.items():
        scores = [(one["epoch"], one.get("val_macro_f1") if by_f1 else one["val_accuracy"]) for one in epochs]
        _line(figure, name, [(epoch, score) for epoch, score in scores if score is not None])
    figure.update_yaxes(title=t("chart.val_macro_f1" if by_f1 else "chart.val_accuracy"), tickformat=".0%")
    return _by_epoch(figure)


def loss_curves(history: Mapping[str, Sequence[EpochRecord]], name: str, *, title: str) -> Any:
    """Training and validation loss of one network by epoch."""
    figure = go.Figure()
    records = history[name]
    train = [(record["epoch"], record["train_loss"]) for record in records if record["train_loss"] is not None]
    val = [(record["epoch"], record["val_loss"]) for record in records if record["val_loss"] is not None]
    _line(figure, t("chart.train_loss"), train)
    _line(figure, t("chart.val_loss"), val)
    figure.update_yaxes(title=title, rangemode="tozero")
    return _by_epoch(figure)


def live_scores(seen: Mapping[str, Mapping[int, float]]) -> Any:
    """Best validation score so far, as watched."""
    figure = go.Figure()
    for name, scores in seen.items():
        _line(figure, name, sorted(scores.items()))
    figure.update_yaxes(title=t("train.curve"), tickformat=".0%")
    return _by_epoch(figure, height=240)


def learning_curve(points: Sequence[LearningCurvePoint]) -> Any:
    """The score by number of training images, with the band that holds the truth 95 times in 100.

    Accuracy, or where an image may have several labels the mean average precision.
    """
    x = [point["train_images"] for point in points]
    scores, low, high = zip(*(_with_band(point) for point in points), strict=True)
    several = points[0].get("mean_average_precision") is not None
    figure = go.Figure()
    edges = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(**edges, y=high, showlegend=False))
    figure.add_trace(go.Scatter(**edges, y=low, name=t("chart.band"), fill="tonexty", fillcolor=BAND))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=scores,
            name=t("chart.cross_validated"),
            mode="lines+markers",
            line={"color": BLUE},
            customdata=[[percent(share) for share in shares] for shares in zip(scores, low, high, strict=True)],
            hovertemplate=t("chart.learning_hover") + "<extra></extra>",
        )
    )
    figure.update_xaxes(title=t("chart.train_images"), tickvals=x, rangemode="tozero")
    figure.update_yaxes(title=t("labels.mean_average" if several else "chart.accuracy"), tickformat=".0%")
    return figure.update_layout(height=300, showlegend=True)


def _with_band(point: LearningCurvePoint) -> tuple[float, float, float]:
    """The score, and the ends of its interval."""
    average = point.get("mean_average_precision")
    if average is None:
        return (point["accuracy"], *point["accuracy_ci95"])  # type: ignore[return-value]
    noise = point.get("noise") or 0.0
    return average, max(0.0, average - noise), min(1.0, average + noise)


def _line(figure: Any, name: str, points: Sequence[tuple[int, float | None]]) -> None:
    x, y = [point[0] for point in points], [point[1] for point in points]
    colour = PALETTE[len(figure.data) % len(PALETTE)]
    figure.add_trace(go.Scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": colour}))


def _by_epoch(figure: Any, *, height: int = 300) -> Any:
    last = max((max(trace.x, default=1) for trace in figure.data), default=1)
    figure.update_xaxes(title=t("chart.epoch"), tickformat="d", dtick=max(1, round(last / 8)))
    return figure.update_layout(height=height, showlegend=True)


def names(found: Sequence[str]) -> dict[str, Any]:
    """An axis of names: short on the page, whole in the data, for two names that begin alike are two bars."""
    return {"type": "category", "tickvals": list(found), "ticktext": [shorten(name) for name in found]}


def shorten(name: str) -> str:
    """A name that leaves room for the chart beside it, by its beginning and its end; Plotly would read `<b>` in it."""
    short = name if len(name) <= LONGEST_TICK else f"{name[: LONGEST_TICK - END - 1]}…{name[-END:]}"
    return escape(short, quote=False)
