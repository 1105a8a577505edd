"""Champion and challenger on the same images: those of the challenger's test that neither has learned from.

Most answers are there already: both trainings kept their answers to their own test images, and an image stays in test
from version to version. Only images that came after the champion are shown to it now. An image that the champion
learned from is left out and counted. It promotes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import (
    ClassHeadToHead,
    Dataset,
    ImageItem,
    Job,
    ModelComparison,
    ModelInfo,
    Progress,
    RunControl,
    TestPrediction,
    TestPredictions,
)
from backend.data.manifest import load_dataset, require_stored
from backend.data.pictures import open_picture
from backend.errors import InputError, SightglassError
from backend.storage.answers import read_answers
from backend.storage.catalog import Catalog
from backend.storage.comparisons import Comparisons
from backend.storage.database import Database
from backend.storage.folders import folders_of

if TYPE_CHECKING:
    from backend.search.rivals import Answered

logger = logging.getLogger(__name__)

JOB_KIND = "compare_models"
BATCH = 32  # pictures decoded at a time, as in an evaluation


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A model, its folder, its answers to its own test images, and the version of the data that it was made from."""

    info: ModelInfo
    folder: Path
    answers: TestPredictions
    dataset: Dataset

    def held_out(self) -> dict[str, TestPrediction]:
        """What it answered to the pictures of its test, by their digests."""
        digests = {item.image_id: item.digest for item in self.dataset.items}
        return {digests[one.image_id]: one for one in self.answers.images if one.image_id in digests}

    def learned_from(self) -> set[str]:
        """Digests of the pictures that its training has seen, those for choosing among networks included."""
        known = set(self.info.class_names)
        every = self.info.task == "multilabel"  # images without any of its labels show what nothing looks like
        return {item.digest for item in self.dataset.items if every or item.label in known} - set(self.held_out())


def compare_rivals(
    challenger: Rival, champion: Rival, *, settings: Settings, control: RunControl | None = None
) -> ModelComparison:
    """Compare two models.

    Raises:
        InputError: they are one and the same model, or one names a class and the other any number of labels.
        NotFoundError: a model's folder is gone.
        JobCancelled: through `control`.
    """
    from backend.search.rivals import by_class, classes_in_words, head_to_head, headline

    if challenger.info.model_id == champion.info.model_id:
        raise InputError(f"'{champion.info.model_id}' cannot be compared with itself; name two models.")
    if challenger.info.task != champion.info.task:
        raise InputError(
            f"'{challenger.info.model_id}' and '{champion.info.model_id}' cannot be compared: one names a class for "
            "each image, the other any number of labels."
        )
    fair = _fair_images(challenger, champion)
    root = challenger.dataset.root
    answered = [*fair.known, *_ask(champion, fair, root=root, settings=settings, control=control or RunControl())]
    overall = head_to_head(answered)
    classes = by_class(answered, champion_knows=champion.info.class_names, challenger_knows=challenger.info.class_names)
    return ModelComparison(
        challenger_id=challenger.info.model_id,
        champion_id=champion.info.model_id,
        challenger_name=challenger.info.name,
        champion_name=champion.info.name,
        dataset_id=challenger.info.dataset_id,
        dataset_version=challenger.info.dataset_version,
        champion_dataset_id=champion.info.dataset_id,
        champion_version=champion.info.dataset_version,
        overall=overall,
        classes=classes,
        test_images=len(challenger.answers.images),
        left_out=fair.left_out,
        answered_anew=len(fair.unseen),
        headline=headline(overall, left_out=fair.left_out),
        by_class=classes_in_words(classes),
        notes=_notes(fair, classes),
    )


@dataclass(frozen=True)
class _Fair:
    """The challenger's test images: answered by both, still to be shown to the champion, and not fair to compare."""

    known: list[Answered]
    unseen: list[tuple[ImageItem, TestPrediction]]
    left_out: int


def _fair_images(challenger: Rival, champion: Rival) -> _Fair:
    items = {item.image_id: item for item in challenger.dataset.items}
    held_out, learned_from = champion.held_out(), champion.learned_from()
    known: list[Answered] = []
    unseen: list[tuple[ImageItem, TestPrediction]] = []
    left_out = 0
    for one in challenger.answers.images:
        item = items.get(one.image_id)
        if item is None or item.digest in learned_from:
            left_out += 1
        elif item.digest in held_out:
            old = held_out[item.digest]
            known.append(_answered(one, predicted=old.predicted, labels=old.predicted_labels))
        else:
            unseen.append((item, one))
    return _Fair(known, unseen, left_out)


def _answered(one: TestPrediction, *, predicted: str, labels: Iterable[str] | None) -> Answered:
    """The challenger's answer to one of its test images beside the champion's."""
    from backend.search.rivals import Answered

    each = None
    if one.labels is not None and labels is not None:
        each = (frozenset(one.labels), frozenset(labels), frozenset(one.predicted_labels or ()))
    return Answered(one.label, champion=predicted, challenger=one.predicted, each=each)


def _ask(champion: Rival, fair: _Fair, *, root: Path, settings: Settings, control: RunControl) -> list[Answered]:
    """Show the champion what came after it."""
    if not fair.unseen:
        return []
    from backend.inference.predictor import Predictor

    predictor = Predictor.open(champion.folder, settings=settings)
    found: list[Answered] = []
    for start in range(0, len(fair.unseen), BATCH):
        control.check()
        message = f"{champion.info.name}: {start} of {len(fair.unseen)} images that it has never seen"
        control.report(Progress(stage="comparing", message=message, progress=start / len(fair.unseen)))
        batch = fair.unseen[start : start + BATCH]
        pictures = [open_picture(root, item.path, max_pixels=settings.max_image_pixels) for item, _ in batch]
        for (_, one), row in zip(batch, predictor.probabilities(pictures), strict=True):
            names, thresholds = predictor.class_names, champion.info.thresholds
            if thresholds is None:
                found.append(_answered(one, predicted=names[int(row.argmax())], labels=None))
                continue
            said = [name for name, share, least in zip(names, row, thresholds, strict=True) if share >= least]
            found.append(_answered(one, predicted=", ".join(sorted(said)), labels=said))
    return found


def _notes(fair: _Fair, classes: tuple[ClassHeadToHead, ...]) -> tuple[str, ...]:
    """What a person should know about how fair the comparison is."""
    notes = []
    if fair.left_out:
        images = "1 test image was" if fair.left_out == 1 else f"{fair.left_out} test images were"
        notes.append(f"{images} left out: the champion learned from them, and would look better than it is.")
    if fair.unseen:
        images = "1 image came" if len(fair.unseen) == 1 else f"{len(fair.unseen)} images came"
        notes.append(f"{images} after the champion was trained; it saw them now for the first time.")
    unknown = [one.label for one in classes if not one.known_to_champion]
    if unknown:
        notes.append(f"The champion does not know {', '.join(unknown)}: each such image counts as a mistake of it.")
    missing = [one.label for one in classes if not one.known_to_challenger]
    if missing:
        notes.append(f"The challenger does not know {', '.join(missing)}: each such image counts as a mistake of it.")
    return tuple(notes)


# -- in the service


def champion_of(challenger: ModelInfo, catalog: Catalog) -> ModelInfo | None:
    """Whom a new model has to beat: the promoted model of its dataset, else the newest earlier one; None: nobody.

    Archived models are nobody's champion.
    """
    before = [model for model in catalog.models() if model.dataset_id == challenger.dataset_id]
    places = [place for place, model in enumerate(before) if model.model_id == challenger.model_id]
    promoted = [model for model in before if model.promoted and model.model_id != challenger.model_id]
    earlier = before[places[0] + 1 :] if places else before  # newest first
    in_use = {model.model_id for model in catalog.models(archived=False)}
    return next((model for model in (*promoted, *earlier) if model.model_id in in_use), None)


def open_rival(info: ModelInfo, *, settings: Settings) -> Rival:
    """A model of the service, with its data.

    Raises:
        NotFoundError: its answers to its test images, its dataset or that version of it are gone.
    """
    folders = folders_of(settings)
    folder = folders.fetch(settings.models_dir / info.model_id)
    answers = read_answers(folder)
    root = require_stored(settings.datasets_dir, info.dataset_id, folders=folders)
    return Rival(info=info, folder=folder, answers=answers, dataset=load_dataset(root, version=info.dataset_version))


def run_job(job: Job, *, control: RunControl, settings: Settings) -> None:
    """Compare the two models that the job names and keep the outcome.

    Raises:
        SightglassError: what a person can mend; the worker writes its detail on the row.
    """
    database = Database(settings.resolved_database_url)
    try:
        catalog = Catalog(database)
        pair = [open_rival(catalog.model(job.payload[name]), settings=settings) for name in ("challenger", "champion")]
        Comparisons(database).put(compare_rivals(*pair, settings=settings, control=control))
    finally:
        database.close()


def compare_with_champion(
    challenger: ModelInfo, database: Database, *, settings: Settings, control: RunControl
) -> ModelComparison | None:
    """Compare a model that was just trained with the one it would replace; None where there is none, or it cannot be.

    The training has succeeded before: whatever goes wrong here is logged, and can be asked for again.
    """
    champion = champion_of(challenger, Catalog(database))
    if champion is None:
        return None
    control.report(Progress(stage="comparing", message=f"Comparing with {champion.name} ({champion.model_id})"))
    try:
        pair = [open_rival(info, settings=settings) for info in (challenger, champion)]
        comparison = compare_rivals(*pair, settings=settings, control=control)
        Comparisons(database).put(comparison)
    except SightglassError as error:
        extra = {"challenger": challenger.model_id, "champion": champion.model_id, "detail": error.detail}
        logger.warning("models not compared", extra=extra)
        return None
    return comparison
