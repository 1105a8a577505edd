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
from backend.workflows.batch_results import JSON_FILE, TOP_K, BatchQuestion, BatchSummary, ResultWriter
from backend.workflows.mishaps import in_plain_words

if TYPE_CHECKING:
    from backend.inference.predictor import Predictor, Prepared
    from backend.inference.serving import Answer

    File = tuple[Member, Prepared | str]  # what became of it: a picture as the networks see it, or why there is none

JOB_KIND = BATCH_KIND
MOST_DECODERS = 8
MOST_FORWARDS = 8
MOST_AT_ONCE = 32  # pictures a forward pass
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
                asked = BatchQuestion(job.payload.get("top_k", TOP_K), job.payload.get("thresholds"))
                summary = predict_into(target, model, archive, asked=asked, settings=settings, control=control)
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
    target: Path,
    model: Path,
    source: Path,
    *,
    asked: BatchQuestion = BatchQuestion(),
    settings: Settings,
    control: RunControl,
) -> BatchSummary:
    """Answer for the pictures of an archive or a folder; both tables lie in `target` then, or nothing does.

    Raises:
        NotFoundError: the model is gone.
        ArchiveError, TooLargeError: the archive cannot be read, or is not safe to read.
        JobCancelled: through `control`.
    """
    control.report(Progress(stage="loading", message="Loading the model", progress=0.0))
    from backend.engine.arithmetic import set_threads  # torch: seconds where nothing has loaded it yet
    from backend.inference.predictor import Predictor

    set_threads(settings.torch_threads)
    limits = ArchiveLimits.from_settings(settings)
    predictor = Predictor.open(model, settings=settings)
    if target.exists():
        remove_tree(target)
    with (
        nullcontext(Folder(source, limits=limits)) if source.is_dir() else open_archive(source, limits=limits) as found,
        atomic_directory(target) as folder,
        ResultWriter(folder, predictor.info, asked=asked) as writer,
    ):
        _predict(found, predictor, writer, settings=settings, control=control)
    return writer.summary


@dataclass(frozen=True)
class _Decoder:
    """Makes prepared pictures of files; many threads share it."""

    predictor: Predictor
    read: Callable[[Member], bytes]
    max_pixels: int
    one_large: threading.Lock

    def __call__(self, member: Member, data: bytes | None) -> Prepared | str:
        """The picture as the networks see it, or why there is none."""
        try:
            data = self.read(member) if data is None else data
            large = header_pixels(data) > LARGE_PIXELS
            with self.one_large if large else nullcontext():
                return self.predictor.prepared(open_image(io.BytesIO(data), max_pixels=self.max_pixels))
        except SightglassError as error:
            return error.detail


def _predict(
    source: MemberSource, predictor: Predictor, writer: ResultWriter, *, settings: Settings, control: RunControl
) -> None:
    total = len(source.members) + len(source.skipped)
    shared = source.shared_reader
    decoder = _Decoder(predictor, (shared or source).read, settings.max_image_pixels, threading.Lock())
    begun = time.perf_counter()
    with (
        ThreadPoolExecutor(min(MOST_DECODERS, settings.torch_threads), thread_name_prefix="decode") as decoding,
        ThreadPoolExecutor(MOST_FORWARDS, thread_name_prefix="answer") as answering,
    ):
        try:
            files = _decoded(source, decoder, decoding, window=AHEAD * MOST_AT_ONCE)
            for batch, answer in _answered(files, predictor, answering):
                control.check()
                _write(batch, answer, predictor, writer)
                writer.summary.seconds = time.perf_counter() - begun
                control.report(_standing(writer.summary, total))
        except BaseException:
            decoding.shutdown(wait=False, cancel_futures=True)
            answering.shutdown(wait=False, cancel_futures=True)
            raise
    for skipped in source.skipped:
        writer.failed(skipped.file, skipped.reason)
    writer.summary.seconds = round(time.perf_counter() - begun, 3)


def _decoded(source: MemberSource, decoder: _Decoder, pool: ThreadPoolExecutor, *, window: int) -> Iterator[File]:
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


def _answered(
    files: Iterator[File], predictor: Predictor, pool: ThreadPoolExecutor
) -> Iterator[tuple[list[File], Answer | None]]:
    """Batches in their order, with the answers to what could be read; as many at once as the backend likes."""
    waiting: deque[tuple[list[File], Future[Answer] | None]] = deque()
    # asked each time: a faster backend may take over on the way, which likes other batches
    while batch := list(islice(files, min(MOST_AT_ONCE, max(1, predictor.batch_size)))):
        while len(waiting) >= min(MOST_FORWARDS, max(1, predictor.lanes)):
            first, future = waiting.popleft()
            yield first, None if future is None else future.result()
        sound = [prepared for _, prepared in batch if not isinstance(prepared, str)]
        waiting.append((batch, pool.submit(predictor.answer, sound) if sound else None))
    for last, future in waiting:
        yield last, None if future is None else future.result()


def _write(batch: list[File], answer: Answer | None, predictor: Predictor, writer: ResultWriter) -> None:
    unfamiliar = _unfamiliar(answer, predictor)
    place = 0
    for member, prepared in batch:
        if isinstance(prepared, str) or answer is None:
            writer.failed(member.name, str(prepared))
            continue
        writer.answered(member.name, answer.probabilities[place], unfamiliar=unfamiliar[place])
        place += 1


def _unfamiliar(answer: Answer | None, predictor: Predictor) -> list[bool]:
    """Which pictures are unlike the training images; none where there is no yardstick."""
    reference = predictor.bundle.reference
    if answer is None:
        return []
    if reference is None:
        return [False] * len(answer.features)
    from backend.inference.familiarity import assess_many

    return [bool(one) for one in assess_many(reference, answer.features).unfamiliar]


def _standing(summary: BatchSummary, total: int) -> Progress:
    rate = summary.images / summary.seconds if summary.seconds else 0.0
    return Progress(
        stage="predicting",
        message=f"{summary.images} of {total} pictures, {rate:.0f} images/s",
        progress=summary.images / total,
    )
