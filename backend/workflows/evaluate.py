"""Evaluation: a saved model and labelled pictures in, scores and tables out. It trains nothing and keeps nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.config import Settings
from backend.contracts import Dataset, ImageItem, ModelInfo, Progress, RunControl
from backend.engine.model_folder import INFO_FILE, WEIGHTS_FILE
from backend.errors import DatasetError, NotFoundError
from backend.registry import nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backend.data.targets import Targets
    from backend.engine.metrics import Evaluation
    from backend.inference.predictor import Predictor

BATCH = 32  # pictures decoded at a time; more costs memory and gains nothing on a CPU


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation:
    """What a model is worth on some pictures. `total_images` is how many there were."""

    model: ModelInfo
    total_images: int
    evaluation: Evaluation

    def as_json(self) -> dict[str, Any]:
        """Plain JSON with the field names of the API's results."""
        return {
            "model": {"model_id": self.model.model_id, "name": self.model.name, "timm_name": self.model.timm_name},
            "total_images": self.total_images,
            **self.evaluation.as_json(),
        }

    def draw(self, target: Path) -> None:
        """Write the confusion matrix, of several labels one for each of them, as a PNG."""
        from backend.tracking.plots import draw_confusion_matrix, draw_label_confusion

        title = f"{self.model.name} on {self.total_images} images"
        if self.evaluation.confusion_matrix is None:
            figure = draw_label_confusion(self.evaluation.label_confusion)
            figure.suptitle(title)
        else:
            figure = draw_confusion_matrix(self.evaluation.confusion_matrix)
            figure.axes[0].set_title(title)
        figure.savefig(target, dpi=120)


def find_model(folder: Path) -> Path:
    """Return the folder of a bundle: this one, or the only one that lies below it, as a training run leaves it.

    Raises:
        NotFoundError: no model there, or more than one to choose from.
    """
    if (folder / INFO_FILE).is_file():
        return folder
    if folder.suffix == ".pth" and folder.is_file():
        return find_model(folder.parent)
    found = sorted(path.parent for path in folder.glob(f"models/*/{INFO_FILE}")) or sorted(
        path.parent for path in folder.glob(f"*/{INFO_FILE}")
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(
            f"There is no model in '{folder}': a model's folder holds {INFO_FILE} and {WEIGHTS_FILE}. "
            "'sightglass train' prints where it leaves one."
        )
    choices = ", ".join(str(path) for path in found[:5])
    raise NotFoundError(f"'{folder}' holds {len(found)} models; name one of them: {choices}.")


def evaluate_folder(
    model_folder: Path, data: Path, *, settings: Settings, control: RunControl | None = None
) -> ModelEvaluation:
    """Score a saved model on a ZIP or a folder of labelled pictures.

    Raises:
        NotFoundError: there is no model in the folder.
        DatasetError: the pictures carry a label that the model does not know.
        ArchiveError, ImageError: the data cannot be read.
    """
    found = find_model(model_folder)
    from backend.data import open_dataset
    from backend.engine.metrics import evaluate
    from backend.inference.predictor import Predictor

    predictor = Predictor.open(found, settings=settings)
    names = predictor.class_names
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(data, into=Path(folder), settings=settings)
        require_same_task(dataset, predictor.bundle.info)
        require_known_labels(dataset, names)
        probabilities = _probabilities(predictor, dataset, settings=settings, control=control or RunControl())
        targets = _targets(dataset, names)
    return ModelEvaluation(
        model=predictor.bundle.info,
        total_images=len(dataset.items),
        evaluation=evaluate(probabilities, targets, names, thresholds=predictor.bundle.info.thresholds),
    )


def require_known_labels(dataset: Dataset, names: tuple[str, ...]) -> None:
    """Raise on a label that the model was not trained on.

    Raises:
        DatasetError: names the label, the nearest class and all classes.
    """
    for label in dataset.class_names:
        if label not in names:
            hint = nearest(label, names)
            raise DatasetError(
                f"The pictures hold the class '{label}', which this model does not know.{hint} "
                f"It knows: {', '.join(names)}."
            )


def require_same_task(dataset: Dataset, model: ModelInfo) -> None:
    """Raise where the pictures are labelled in another way than the model answers.

    Raises:
        DatasetError: one class an image for the one, any number of labels for the other.
    """
    if dataset.info.task != model.task:
        words = {"multiclass": "one class for each image", "multilabel": "any number of labels for each image"}
        raise DatasetError(
            f"The pictures carry {words[dataset.info.task]}, and '{model.name}' gives {words[model.task]}. Evaluate it "
            "on pictures that are labelled as its training images were."
        )


def _targets(dataset: Dataset, names: tuple[str, ...]) -> Targets:
    import numpy as np

    from backend.data.targets import label_matrix

    if dataset.info.task == "multilabel":
        return label_matrix(dataset.items, names)
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[item.label] for item in dataset.items], dtype=np.int64)


def _probabilities(
    predictor: Predictor, dataset: Dataset, *, settings: Settings, control: RunControl
) -> npt.NDArray[np.float64]:
    import numpy as np

    from backend.data.pictures import open_picture

    rows = []
    done = 0
    for items in _batches(dataset.items):
        control.check()
        pictures = [open_picture(dataset.root, item.path, max_pixels=settings.max_image_pixels) for item in items]
        rows.append(predictor.probabilities(pictures))
        done += len(items)
        share = done / len(dataset.items)
        control.report(Progress(stage="evaluating", message=f"{done} of {len(dataset.items)} images", progress=share))
    return np.concatenate(rows)


def _batches(items: tuple[ImageItem, ...]) -> Iterator[tuple[ImageItem, ...]]:
    remaining = iter(items)
    while batch := tuple(islice(remaining, BATCH)):
        yield batch
