"""Many pictures at once: an archive of them in, a table out. One bad file is a row that says so, not a failed job.

Threads decode and prepare while the networks answer; a few batches are in flight, so that memory does not grow with the
archive. Whatever is unsafe about an archive is refused by the code that reads uploads.
"""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Settings
from backend.contracts import BATCH_KIND, Job, Progress, RunControl
from backend.data.archive import ArchiveLimits, open_archive
from backend.data.folder import Folder
from backend.data.images import header_pixels, open_image
from backend.data.members import Member, MemberSource
from backend.errors import ArchiveError, InputError, JobCancelled, NotFoundError, SightglassError
from backend.storage.catalog import Catalog
from backend.storage.database import Database
from backend.storage.files import atomic_directory, remove_tree
from backend.storage.folders import folders_of
from backend.storage.uploads import UploadStore
from backend.workflows.batch_results import CSV_FILE, JSON_FILE, BatchSummary, ResultWriter
from backend.workflows.mishaps import in_plain_words

if TYPE_CHECKING:
    from backend.engine.bundle import Bundle
    from backend.inference.bulk import BulkPredictor, Prepared

JOB_KIND = BATCH_KIND
FORMATS = {"csv": (CSV_FILE, "text/csv; charset=utf-8"), "json": (JSON_FILE, "application/json")}
TOP_K = 3
MOST_DECODERS = 8
# Batches that are decoded ahead of the one that is answered: enough for decoding never to be waited for.
AHEAD = 3
# Pictures above this are decoded one at a time: eight of 100 megapixels would take 2.4 GB.
LARGE_PIXELS = 20_000_000


def check_archive(path: Path, settings: Settings) -> int:
    """Open an archive and look at its directory alone; returns how many files it holds.

    Raises:
        ArchiveError, TooLargeError: it cannot be read, is not safe to read, or holds nothing.
    """
    with open_archive(path, limits=ArchiveLimits.from_settings(settings)) as archive:
        count = len(archive.members) + len(archive.skipped)
    if not count:
        raise ArchiveError("The archive holds no files. Pack the pictures to be answered into it.")
    return count


def run_job(job: Job, *, control: RunControl, settings: Settings) -> str:
    """Answer for the pictures of an upload and keep the tables; returns how it went, in a sentence.

    Raises:
        SightglassError: what a person can mend; the worker writes its detail on the row.
    """
    folders = folders_of(settings)
    uploads = UploadStore(settings.uploads_dir, expire_h=settings.upload_expire_h, folders=folders)
    upload_id = str(job.payload["upload"])
    target = settings.predictions_dir / job.job_id
    try:
        with in_plain_words(settings.data_dir):
            if (target / JSON_FILE).is_file():  # an attempt before this one got so far
                summary = None
            else:
                model = _model_folder(str(job.payload["model_id"]), settings)
                archive = uploads.bytes_here(upload_id, control=control)
                top_k = int(job.payload.get("top_k", TOP_K))
                summary = predict_into(target, model, archive, top_k=top_k, settings=settings, control=control)
            folders.publish(target, control=control)
    except (InputError, NotFoundError, JobCancelled):
        uploads.remove(upload_id)  # the same bytes would fail again
        raise
    uploads.remove(upload_id)
    return summary.in_words() if summary else "Done."


def _model_folder(model_id: str, settings: Settings) -> Path:
    database = Database(settings.resolved_database_url)
    with closing(database):
        Catalog(database).model(model_id)
    return folders_of(settings).fetch(settings.models_dir / model_id)


def predict_into(
    target: Path, model: Path, source: Path, *, top_k: int = TOP_K, settings: Settings, control: RunControl
) -> BatchSummary:
    """Answer for the pictures of an archive or a folder; both tables lie in `target` then, or nothing does.

    Raises:
        NotFoundError: the model is gone.
        ArchiveError, TooLargeError: the archive cannot be read, or is not safe to read.
        JobCancelled: through `control`.
    """
    from backend.engine.arithmetic import set_threads
    from backend.engine.bundle import load_bundle

    set_threads(settings.torch_threads)
    limits = ArchiveLimits.from_settings(settings)
    control.report(Progress(stage="loading", message="Loading the model", progress=0.0))
    bundle = load_bundle(model, settings=settings)
    if target.exists():
        remove_tree(target)
    with (
        nullcontext(Folder(source, limits=limits)) if source.is_dir() else open_archive(source, limits=limits) as found,
        atomic_directory(target) as folder,
        ResultWriter(folder, bundle.info, top_k=top_k) as writer,
    ):
        _predict(found, bundle, writer, settings=settings, control=control)
    return writer.summary


@dataclass(frozen=True)
class _Decoder:
    """Makes prepared pictures of files; many threads share it."""

    predictor: BulkPredictor
    read: Callable[[Member], bytes]
    max_pixels: int
    one_large: threading.Lock

    def __call__(self, member: Member, data: bytes | None) -> Prepared | str:
        """The picture as the networks see it, or why there is none."""
        try:
            data = self.read(member) if data is None else data
            large = header_pixels(data) > LARGE_PIXELS
            with self.one_large if large else nullcontext():
                return self.predictor.prepare(open_image(io.BytesIO(data), max_pixels=self.max_pixels))
        except SightglassError as error:
            return error.detail


def _predict(
    source: MemberSource, bundle: Bundle, writer: ResultWriter, *, settings: Settings, control: RunControl
) -> None:
    from backend.inference.bulk import BATCH, BulkPredictor

    total = len(source.members) + len(source.skipped)
    predictor = BulkPredictor(bundle, count=len(source.members))
    shared = source.shared_reader
    decoder = _Decoder(predictor, (shared or source).read, settings.max_image_pixels, threading.Lock())
    begun = time.perf_counter()
    with ThreadPoolExecutor(min(MOST_DECODERS, settings.torch_threads), thread_name_prefix="decode") as pool:
        try:
            for batch in _batches(_decoded(source, decoder, pool, window=AHEAD * BATCH), BATCH):
                control.check()
                _answer(batch, predictor, writer)
                writer.summary.seconds = time.perf_counter() - begun
                control.report(_standing(writer.summary, total))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for skipped in source.skipped:
        writer.failed(skipped.file, skipped.reason)
    writer.summary.seconds = round(time.perf_counter() - begun, 3)


def _decoded(
    source: MemberSource, decoder: _Decoder, pool: ThreadPoolExecutor, *, window: int
) -> Iterator[tuple[Member, Prepared | str]]:
    """Files with what became of them, in their order; at most `window` are in memory."""
    waiting: deque[tuple[Member, Future[Prepared | str]]] = deque()
    # what cannot be read by several at once (a TAR) is read here, in the order of the archive
    alone = source.shared_reader is None
    for member in source.members:
        if len(waiting) >= window:
            first, future = waiting.popleft()
            yield first, future.result()
        waiting.append((member, pool.submit(decoder, member, _read_alone(source, member) if alone else None)))
    for member, future in waiting:
        yield member, future.result()


def _read_alone(source: MemberSource, member: Member) -> bytes:
    try:
        return source.read(member)
    except ArchiveError:
        return b""  # an empty file is a row with an error, too


def _batches(
    files: Iterator[tuple[Member, Prepared | str]], size: int
) -> Iterator[list[tuple[Member, Prepared | str]]]:
    while batch := list(islice(files, size)):
        yield batch


def _answer(batch: list[tuple[Member, Prepared | str]], predictor: BulkPredictor, writer: ResultWriter) -> None:
    sound = [prepared for _, prepared in batch if not isinstance(prepared, str)]
    answer = predictor.answer(sound) if sound else None
    place = 0
    for member, prepared in batch:
        if isinstance(prepared, str) or answer is None:
            writer.failed(member.name, str(prepared))
            continue
        writer.answered(member.name, answer.probabilities[place], unfamiliar=bool(answer.unfamiliar[place]))
        place += 1


def _standing(summary: BatchSummary, total: int) -> Progress:
    rate = summary.images / summary.seconds if summary.seconds else 0.0
    return Progress(
        stage="predicting",
        message=f"{summary.images} of {total} pictures, {rate:.0f} images/s",
        progress=summary.images / total,
    )


def result_file(settings: Settings, job: Job, *, format: str) -> tuple[Path, str]:  # noqa: A002
    """Where a finished job's table lies, and its media type.

    Raises:
        InputError: the job makes no table, or there is no such format.
        NotFoundError: it is not there (yet); the detail says why.
    """
    if job.kind != JOB_KIND:
        raise InputError(
            f"Job '{job.job_id}' is a '{job.kind}' and has no table to download; jobs of "
            "POST /api/cv/predict/{id}/batch have one."
        )
    if format not in FORMATS:
        raise InputError(f"There is no format '{format}'. Allowed: {', '.join(FORMATS)}.")
    name, media_type = FORMATS[format]
    folder = settings.predictions_dir / job.job_id
    if job.state == "succeeded":
        path = folders_of(settings).fetch(folder) / name
        if path.is_file():
            return path, media_type
        raise NotFoundError(f"The table of job '{job.job_id}' is gone from the data folder; send the pictures again.")
    why = job.error or job.message
    raise NotFoundError(f"Job '{job.job_id}' has no table: it is {job.state}. {why}")
