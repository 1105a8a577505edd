"""The quality check: a job right after an upload and after each new version. The worker's handler, and its queueing.

It reads stored facts and opens no picture; only of a dataset that is older than the facts are they made up for first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from backend.config import Settings
from backend.contracts import Dataset, ImageItem, Insights, Job, Progress, RunControl
from backend.data.facts import SHARPNESS_SIDE, facts_of
from backend.data.images import examine_image
from backend.data.insights import write_insights
from backend.data.manifest import load_dataset, require_stored, save_dataset, version_folder
from backend.data.pictures import read_picture
from backend.data.quality import find_issues
from backend.errors import ImageError, NotFoundError, TooLargeError
from backend.jobs.queue import JobQueue
from backend.storage.folders import folders_of

logger = logging.getLogger(__name__)

JOB_KIND = "check_quality"
BATCH = 256  # pictures decoded between two looks at whether to stop
THREADS = 2  # Pillow decodes outside the interpreter's lock; a training may run beside this


def queue_check(queue: JobQueue, *, dataset_id: str, version: int) -> Job:
    """Queue the check of one version of a dataset."""
    return queue.enqueue(JOB_KIND, {"dataset_id": dataset_id, "dataset_version": version}, dataset_id=dataset_id)


def run_job(job: Job, *, control: RunControl, settings: Settings) -> None:
    """Check what the job names and store the answer with the insights.

    Raises:
        DatasetError: the dataset's files are damaged.
        JobCancelled: through `control`.
    """
    dataset_id, version = job.payload["dataset_id"], job.payload.get("dataset_version")
    try:
        folders = folders_of(settings)
        folder = require_stored(settings.datasets_dir, dataset_id, folders=folders, images=False, control=control)
        dataset = load_dataset(folder, version=version)
        if any(item.facts is None for item in dataset.items):  # only then is a picture opened
            folders.fetch(folder, control=control)
        check_quality(dataset, settings=settings, control=control)
        folders.publish(folder, control=control)
    except NotFoundError:  # deleted while it waited: nobody is left to tell
        logger.info("dataset is gone, nothing to check", extra={"dataset_id": dataset_id})


def check_quality(dataset: Dataset, *, settings: Settings, control: RunControl | None = None) -> Insights:
    """Find what may be wrong, and store insights with issues beside the version.

    Raises:
        JobCancelled: through `control`.
        NotFoundError: somebody deleted the dataset meanwhile.
    """
    control = control or RunControl()
    started = time.perf_counter()
    dataset = with_facts(dataset, settings=settings, control=control)
    control.report(Progress(stage="checking", message="Comparing the images", progress=0.8))
    control.check()
    quality = find_issues(dataset)
    quality = quality.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})
    control.check()
    require_stored(dataset.root.parent, dataset.root.name)  # written now, it would come back as an empty folder
    insights = write_insights(dataset, quality=quality)
    found = sum(note.images for note in quality.notes)
    control.report(Progress(stage="done", message=f"{found} things to look at", progress=1.0))
    logger.info(
        "dataset checked",
        extra={"dataset_id": dataset.info.dataset_id, "version": dataset.info.version, "issues": found},
    )
    return insights


def with_facts(dataset: Dataset, *, settings: Settings, control: RunControl) -> Dataset:
    """The dataset with facts of every image, stored where some were missing; nothing else about it changes."""
    missing = [item for item in dataset.items if item.facts is None]
    if not missing:
        return dataset
    told: dict[str, ImageItem] = {}
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for batch in _batches(missing):
            control.check()
            share = 0.8 * len(told) / len(missing)
            message = f"Looking at image {len(told) + 1} of {len(missing)}"
            control.report(Progress(stage="looking", message=message, progress=share))
            told.update(pool.map(lambda item: (item.image_id, _with_facts(item, dataset, settings)), batch))
    whole = dataset.model_copy(update={"items": tuple(told.get(item.image_id, item) for item in dataset.items)})
    require_stored(dataset.root.parent, dataset.root.name)
    save_dataset(whole, version_folder(dataset.root, dataset.info.version))
    return whole


def _batches(items: list[ImageItem]) -> Iterator[list[ImageItem]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _with_facts(item: ImageItem, dataset: Dataset, settings: Settings) -> ImageItem:
    try:
        found = examine_image(
            read_picture(dataset.root, item.path), max_pixels=settings.max_image_pixels, side=SHARPNESS_SIDE
        )
    except (ImageError, TooLargeError, OSError):  # taken away or damaged since the import: training will say so
        return item
    facts = facts_of(found.picture, format_name=found.format, mode=found.mode)
    return item.model_copy(update={"facts": facts})
