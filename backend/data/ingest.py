"""Members of a source, read, checked, looked at, hashed and written: every picture is decoded once.

Small imports are read right here. Large ones go to processes of their own, a batch at a time, with at most two
batches a process under way: memory holds those, whatever the archive's size. Files are named by their content, so
that equal pictures are one file and no name from outside ever reaches the disk.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from backend.contracts import ImageFacts, Progress, RunControl
from backend.data.facts import SHARPNESS_SIDE, facts_of
from backend.data.images import NEXT_STEP, examine_image
from backend.data.members import Member, MemberSource, Reader
from backend.errors import ArchiveError, ImageError, OutOfMemory, TooLargeError
from backend.execution.child import lower_priority, stay_with_parent

IMAGES_FOLDER = "images"
SHORT_DIGEST = 16
REPORT_EVERY = 50
BATCH_MEMBERS = 64
BATCH_BYTES = 8 * 2**20
BATCHES_A_PROCESS = 2
Batches = Generator[list["Taken"], None, None]
# A process takes a second to start; before that many seconds of work it would not be worth it. Measured on two cores:
# 0.4 ms for a picture of 32 x 32, and 40 MB of JPEG a second.
SECONDS_FOR_PROCESSES = 4.0
SECONDS_A_MEMBER, SECONDS_A_BYTE = 0.0004, 1 / 40e6
# 300 MB at the limit of 100 megapixels as RGB: pictures above this are decoded one at a time.
LARGE_PIXELS = 16_000_000


class Taken(NamedTuple):
    """What became of a member: a file and what it shows, or the reason why not. `place` is the caller's number."""

    place: int
    digest: str = ""
    path: str = ""
    width: int = 0
    height: int = 0
    facts: ImageFacts | None = None
    problem: str = ""


@dataclass(frozen=True)
class Intake:
    """What every picture of an import needs; travels to other processes. `folder` holds `images/`."""

    folder: Path
    max_pixels: int


Task = tuple[int, Member, bytes | None]


def take_all(
    source: MemberSource, members: Sequence[Member], *, into: Intake, processes: int, control: RunControl
) -> list[Taken]:
    """Take every member, in whatever order is quickest; returns what became of each, in the order of `members`.

    Raises:
        JobCancelled: somebody asked to stop.
        OutOfMemory: a process was ended by the system.
    """
    (into.folder / IMAGES_FOLDER).mkdir(exist_ok=True)
    order = _reading_order(source, members)
    many = processes > 1 and _seconds(members) > SECONDS_FOR_PROCESSES
    batches = _in_processes(source, order, into=into, processes=processes) if many else _here(source, order, into)
    found: list[Taken] = []
    progress = _Counting(control, total=len(members))
    with closing(batches):
        for batch in batches:
            control.check()
            found += batch
            progress.report(len(found))
    return sorted(found)


class _Counting:
    """Progress in words, at most every so many pictures: a report crosses a process boundary."""

    def __init__(self, control: RunControl, *, total: int) -> None:
        self._control = control
        self._total = total
        self._next = 0
        self.report(0)

    def report(self, done: int) -> None:
        if done < self._next:
            return
        self._next = done + REPORT_EVERY
        message = f"Reading image {min(done + 1, self._total)} of {self._total}"
        self._control.report(Progress(stage="importing", message=message, progress=done / max(1, self._total)))


def _reading_order(source: MemberSource, members: Sequence[Member]) -> list[tuple[int, Member]]:
    """The members with their places, as they lie in the source: a packed stream is read forwards once."""
    by_name = {member.name: place for place, member in enumerate(source.members)}
    return sorted(enumerate(members), key=lambda pair: by_name.get(pair[1].name, 0))


def _seconds(members: Iterable[Member]) -> float:
    return sum(SECONDS_A_MEMBER + member.size * SECONDS_A_BYTE for member in members)


def _batches(order: Iterable[tuple[int, Member]]) -> Iterator[list[tuple[int, Member]]]:
    batch: list[tuple[int, Member]] = []
    size = 0
    for pair in order:
        batch.append(pair)
        size += pair[1].size
        if len(batch) >= BATCH_MEMBERS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _here(source: MemberSource, order: Iterable[tuple[int, Member]], into: Intake) -> Batches:
    taker = _Taker(into, reader=source)
    for place, member in order:
        yield [taker.take(place, member)]


def _in_processes(
    source: MemberSource, order: Iterable[tuple[int, Member]], *, into: Intake, processes: int
) -> Batches:
    """Yield batches as they are done. What only this process can read is read here and sent with the task."""
    reader = source.shared_reader
    context = multiprocessing.get_context("spawn")
    first = (into, reader, context.Lock())
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=first) as pool:
        waiting: set[Future[list[Taken]]] = set()
        try:
            for batch in _batches(order):
                while len(waiting) >= processes * BATCHES_A_PROCESS:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                tasks, failed = _with_bytes(batch, source) if reader is None else ([(*p, None) for p in batch], [])
                waiting.add(pool.submit(_take_batch, tasks))
                if failed:
                    yield failed
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise OutOfMemory(
                "A process that reads images was ended by the system; most often the machine ran out of memory. "
                "Send smaller images, or set SIGHTGLASS_IMPORT_PROCESSES=1."
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _with_bytes(batch: Iterable[tuple[int, Member]], source: MemberSource) -> tuple[list[Task], list[Taken]]:
    tasks: list[Task] = []
    failed: list[Taken] = []
    for place, member in batch:
        try:
            tasks.append((place, member, source.read(member)))
        except ArchiveError as error:
            failed.append(Taken(place, problem=error.detail))
    return tasks, failed


class _Taker:
    """Reads, checks and writes one picture after the other."""

    def __init__(self, intake: Intake, *, reader: Reader, large: AbstractContextManager[Any] | None = None) -> None:
        self._intake = intake
        self._folder = str(intake.folder)
        self._reader = reader
        self._large = large

    def take(self, place: int, member: Member, data: bytes | None = None) -> Taken:
        try:
            content = self._content(member, data)
            found = examine_image(
                content, max_pixels=self._intake.max_pixels, side=SHARPNESS_SIDE, while_decoding=self._turn
            )
            facts = facts_of(found.picture, format_name=found.format, mode=found.mode)
        except (ImageError, TooLargeError, ArchiveError) as error:
            return Taken(place, problem=error.detail.removesuffix(NEXT_STEP))
        digest = hashlib.sha256(content).hexdigest()
        path = f"{IMAGES_FOLDER}/{digest[:SHORT_DIGEST]}{member.suffix}"  # the suffix is one of IMAGE_SUFFIXES
        _write(f"{self._folder}/{path}", content)  # a Path would take as long as the hash
        return Taken(place, digest, path, found.width, found.height, facts)

    def _content(self, member: Member, data: bytes | None) -> bytes:
        content = self._reader.read(member) if data is None else data
        if not content:
            raise ImageError("The file is empty (0 bytes).")
        return content

    def _turn(self, pixels: int) -> AbstractContextManager[Any]:
        """Huge pictures are decoded one at a time, whatever the number of processes: each takes 300 MB and more."""
        return self._large if self._large is not None and pixels > LARGE_PIXELS else nullcontext()


def _write(path: str, data: bytes) -> None:
    """Write a file named by its content, unless it is there. `os` alone: `open` takes as long as the write."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except FileExistsError:
        if Path(path).stat().st_size != len(data):  # somebody writes it now, or began to and was stopped
            Path(path).write_bytes(data)
        return
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


# -- in a process of its own

_taker: list[_Taker] = []


class _Nothing:
    """Stands for the reader where every task brings its bytes."""

    def read(self, member: Member) -> bytes:
        raise ArchiveError(f"'{member.name}' came without its bytes.")


def _begin(intake: Intake, reader: Reader | None, large: AbstractContextManager[Any]) -> None:
    """The first thing in a new process."""
    stay_with_parent()
    if os.name == "posix" and os.nice(0) == 0:
        lower_priority()
    _taker[:] = [_Taker(intake, reader=reader or _Nothing(), large=large)]


def _take_batch(tasks: Sequence[Task]) -> list[Taken]:
    return [_taker[0].take(*task) for task in tasks]
