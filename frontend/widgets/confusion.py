"""The confusion matrix as a figure whose cells can be clicked, readable on a light and on a dark page."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import plotly.graph_objects as go

from frontend.answers import ConfusionMatrix
from frontend.i18n import t, written
from frontend.widgets.charts import names
from frontend.widgets.wording import percent

# The shade of a cell is one blue, laid over the page by the cell's share of its row. In the middle it leaps, so that
# every cell is either pale enough for the page's own text or dark enough for white: 4.5 to 1 and more (WCAG 2.1, AA).
BLUE = (0, 90, 150)
PALE, DARK = (0.05, 0.5), (0.82, 1.0)
# A half itself is still pale, as in `opacity`.
JUST_ABOVE_HALF = 0.500001
# Beyond this many classes the numbers no longer fit into the cells; they stand in the hover text.
MOST_LABELLED_CELLS = 20
# Pixels; below 44 a finger misses.
CLICKED_SIDE = 40


class Cell(NamedTuple):
    """One cell by its row and its column."""

    truth: str
    predicted: str


def figure(matrix: ConfusionMatrix, chosen: Cell | None = None) -> Any:
    """Rows are the truth; the shade is the share of the row, the number the count; the chosen cell has a frame."""
    labels = matrix["labels"]
    shares = [[cell / max(1, sum(row)) for cell in row] for row in matrix["matrix"]]
    drawn = go.Figure([_shades(labels, shares), _targets(matrix, shares)])
    if len(labels) <= MOST_LABELLED_CELLS:
        drawn.update_layout(annotations=_numbers(matrix, shares))
    if chosen is not None and {chosen.truth, chosen.predicted} <= set(labels):
        _frame(drawn, labels.index(chosen.predicted), labels.index(chosen.truth))
    edges = [-0.5, len(labels) - 0.5]
    ticks = names(labels)
    drawn.update_xaxes(title=t("chart.predicted"), showgrid=False, zeroline=False, range=edges, **ticks)
    drawn.update_yaxes(title=t("chart.truth"), showgrid=False, zeroline=False, range=edges[::-1], **ticks)
    drawn.update_layout(
        height=max(300, min(760, 140 + 44 * len(labels))), clickmode="event+select", hovermode="closest"
    )
    return drawn


def opacity(share: float) -> float:
    """How much of the blue lies over the page."""
    low, high = DARK if share > 0.5 else PALE
    return low + (high - low) * (2 * share - (1 if share > 0.5 else 0))


def most_mistaken(matrix: ConfusionMatrix) -> Cell | None:
    """The cell of the most frequent mistake, the first of equals; None where there is no mistake."""
    mistakes = [
        (count, Cell(truth, predicted))
        for truth, row in zip(matrix["labels"], matrix["matrix"], strict=True)
        for predicted, count in zip(matrix["labels"], row, strict=True)
        if truth != predicted and count
    ]
    return max(mistakes, key=lambda mistake: mistake[0])[1] if mistakes else None


def count_of(matrix: ConfusionMatrix, cell: Cell) -> int:
    labels = matrix["labels"]
    return matrix["matrix"][labels.index(cell.truth)][labels.index(cell.predicted)]


def _shades(labels: list[str], shares: list[list[float]]) -> Any:
    stops = [(0.0, PALE[0]), (0.5, PALE[1]), (JUST_ABOVE_HALF, DARK[0]), (1.0, DARK[1])]
    return go.Heatmap(
        z=shares,
        x=labels,
        y=labels,
        zmin=0,
        zmax=1,
        colorscale=[[share, f"rgba{(*BLUE, alpha)}"] for share, alpha in stops],
        xgap=2,
        ygap=2,
        showscale=False,
        hoverinfo="skip",
    )


def _targets(matrix: ConfusionMatrix, shares: list[list[float]]) -> Any:
    """Invisible points over the cells: Streamlit reports clicks on points, but none on a heat map (1.67)."""
    cells = [Cell(truth, predicted) for truth in matrix["labels"] for predicted in matrix["labels"]]
    invisible = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[cell.predicted for cell in cells],
        y=[cell.truth for cell in cells],
        customdata=[
            [written(count, ","), percent(share, digits=0)]
            for count, share in zip(chain(*matrix["matrix"]), chain(*shares), strict=True)
        ],
        mode="markers",
        marker={"symbol": "square", "size": CLICKED_SIDE, "opacity": 0},
        selected=invisible,
        unselected=invisible,
        showlegend=False,
        hovertemplate=t("chart.confusion_hover") + "<extra></extra>",
    )


def _numbers(matrix: ConfusionMatrix, shares: list[list[float]]) -> list[dict[str, Any]]:
    """The counts as annotations, white on dark cells; on pale ones the page's style gives them its text colour."""
    numbers = []
    for truth, counts, row in zip(matrix["labels"], matrix["matrix"], shares, strict=True):
        for predicted, count, share in zip(matrix["labels"], counts, row, strict=True):
            number: dict[str, Any] = {"x": predicted, "y": truth, "text": written(count, ","), "showarrow": False}
            if share > 0.5:
                number["font"] = {"color": "white"}
            numbers.append(number)
    return numbers


def _frame(drawn: Any, column: int, row: int) -> None:
    drawn.add_shape(
        type="rect",
        x0=column - 0.47,
        x1=column + 0.47,
        y0=row - 0.47,
        y1=row + 0.47,
        line={"color": "#E69F00", "width": 3},
    )
