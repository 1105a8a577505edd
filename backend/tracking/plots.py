"""Pictures for a run's record, drawn without a display and without pyplot's global state. Knows no MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backend.contracts import ConfusionMatrix, EpochRecord, LabelConfusion
from backend.contracts.table import ColumnImportance, Residual

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Up to here the counts fit into their cells and the labels on the axes.
READABLE_CLASSES = 30
MOST_COLUMNS, LONGEST_NAME = 20, 40


def draw_confusion_matrix(confusion: ConfusionMatrix, *, of_what: str = "test images") -> Figure:
    """Draw counts; colour is the share of the row, so that a rare class is as visible as a frequent one."""
    from matplotlib.figure import Figure

    size = max(4.0, min(14.0, 0.5 * len(confusion.labels) + 2.5))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    shares = [[cell / max(1, sum(row)) for cell in row] for row in confusion.matrix]
    picture = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(picture, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=f"Confusion matrix ({of_what})")
    if len(confusion.labels) <= READABLE_CLASSES:
        places = range(len(confusion.labels))
        axes.set_xticks(places, [_plain(label) for label in confusion.labels], rotation=45, ha="right")
        axes.set_yticks(places, [_plain(label) for label in confusion.labels])
        for row in places:
            for column in places:
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(confusion.matrix[row][column]), ha="center", va="center", color=colour)
    return figure


def draw_label_confusion(labels: Sequence[LabelConfusion]) -> Figure:
    """Draw one table of two by two for each label of a multi-label model, the first `READABLE_CLASSES` of them."""
    from matplotlib.figure import Figure

    shown = labels[:READABLE_CLASSES]
    columns = min(4, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.6 * lines + 0.4), layout="constrained")
    figure.suptitle("Labels on test images (rows: truth, columns: answer)")
    for axes, one in zip(figure.subplots(lines, columns, squeeze=False).flat, shown, strict=False):
        shares = [[cell / max(1, sum(row)) for cell in row] for row in one.matrix]
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set(title=_plain(one.label))
        axes.set_xticks([0, 1], ["absent", "present"])
        axes.set_yticks([0, 1], ["absent", "present"])
        for row in (0, 1):
            for column in (0, 1):
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(one.matrix[row][column]), ha="center", va="center", color=colour)
    for axes in figure.axes[len(shown) :]:
        axes.set_axis_off()
    return figure


def draw_training_curves(history: Mapping[str, Sequence[EpochRecord]]) -> Figure | None:
    """Draw each candidate's validation accuracy by epoch; None where nothing was trained in epochs."""
    from matplotlib.figure import Figure

    curves = {
        name: [(record.epoch, record.val_accuracy) for record in records if record.val_accuracy is not None]
        for name, records in history.items()
    }
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=_plain(name))
    axes.set(xlabel="epoch", ylabel="accuracy on validation images", title="Training curves", ylim=(0.0, 1.02))
    axes.legend()
    return figure


def draw_importances(importances: Sequence[ColumnImportance]) -> Figure | None:
    """Draw how much the score falls where a column is shuffled, the first twenty; None where nothing is known."""
    from matplotlib.figure import Figure

    if not importances:
        return None
    shown = importances[:MOST_COLUMNS][::-1]
    figure = Figure(figsize=(7, 1.2 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    names = [_plain(one.column[:LONGEST_NAME]) for one in shown]
    axes.barh(range(len(shown)), [one.importance for one in shown], xerr=[one.deviation for one in shown])
    axes.set_yticks(range(len(shown)), names)
    axes.set(xlabel="fall of the score when the column is shuffled", title="Importance of columns (rows held out)")
    return figure


def draw_residuals(residuals: Sequence[Residual], target: str) -> Figure:
    """Draw answers against the truth; what lies on the line is right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    truth, answers = [one.truth for one in residuals], [one.answer for one in residuals]
    ends = [min(*truth, *answers), max(*truth, *answers)]
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.scatter(truth, answers, s=12, alpha=0.6)
    axes.set(xlabel="truth", ylabel="answer", title=f"{_plain(target)} (rows held out)")
    return figure


def _plain(label: str) -> str:
    # Matplotlib reads what stands between two dollar signs as a formula; a folder's name may hold them.
    return label.replace("$", r"\$")
