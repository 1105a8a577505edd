"""Pictures for a run's record, drawn without a display and without pyplot's global state. Knows no MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backend.contracts import ConfusionMatrix, EpochRecord, LabelConfusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Up to here the counts fit into their cells and the labels on the axes.
READABLE_CLASSES = 30


def draw_confusion_matrix(confusion: ConfusionMatrix) -> Figure:
    """Draw counts; colour is the share of the row, so that a rare class is as visible as a frequent one."""
    from matplotlib.figure import Figure

    size = max(4.0, min(14.0, 0.5 * len(confusion.labels) + 2.5))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    shares = [[cell / max(1, sum(row)) for cell in row] for row in confusion.matrix]
    picture = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(picture, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix (test images)")
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


def _plain(label: str) -> str:
    # Matplotlib reads what stands between two dollar signs as a formula; a folder's name may hold them.
    return label.replace("$", r"\$")
