"""Members of a source, taken batch by batch, here or in other processes: every picture is decoded once.

Small imports are taken right here. Large ones go to processes of their own, a batch at a time, with at most two
batches a process under way: memory holds those, whatever the archive's size. What becomes of a batch is `taking`'s.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from operator import is_
from pathlib import Path
from typing import Any

from backend.contracts import Progress, RunControl
from backend.data.members import Member, MemberSource, Reader
from backend.data.pictures import IMAGES_FOLDER, PACK_SUFFIX, where
from backend.data.taking import Intake, Taker
from backend.data.tasks import Packed, Taken, Task, joined, nothing_taken, packed, unpacked
from backend.errors import ArchiveError, OutOfMemory
from backend.execution.child import lower_priority, stay_with_parent
from backend.execution.native import prepare_native_libraries
from backend.storage.flush import flushing

FORK_SERVER = "forkserver"
REPORT_EVERY = 50
# A batch makes one pack: large enough that the file costs nothing beside its pictures, small enough that progress and
# a wish to stop do not wait, and that one thumbnail from an object storage does not fetch much.
BATCH_MEMBERS = 512
BATCH_BYTES = 4 * 2**20
BATCHES_A_PROCESS = 2
Batches = Generator[Taken, None, None]
Batch = tuple[int, list[Task]]
# A process takes a second to start; before that many seconds of work it would not be worth it. Measured on two cores:
# 0.05 ms for a picture of 32 x 32, and 40 MB of JPEG a second.
SECONDS_FOR_PROCESSES = 1.0
SECONDS_A_MEMBER, SECONDS_A_BYTE = 0.00005, 1 / 40e6


@dataclass(frozen=True)
class Hands:
    """Who takes the members of one source: processes, or without them the caller's own."""

    intake: Intake
    pool: ProcessPoolExecutor | None = None
    processes: int = 1


@contextmanager
def hands(source: MemberSource, intake: Intake, *, processes: int) -> Iterator[Hands]:
    """Yield who will take members of a source. Processes start at once: the caller goes on to see what is a picture.

    Small imports get none.

    Raises:
        OutOfMemory: a process was ended by the system.
    """
    if processes <= 1 or _seconds(source.members) <= SECONDS_FOR_PROCESSES:
        yield Hands(intake)
        return
    context = _context()
    first = (intake, source.shared_reader, context.Lock())
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=first)
    finished = False
    try:
        for _ in range(processes):  # each piece of work starts another one
            pool.submit(_begun)
        yield Hands(intake, pool, processes)
        finished = True
    except BrokenProcessPool as error:
        raise OutOfMemory(
            "A process that reads images was ended by the system; most often the machine ran out of memory. "
            "Send smaller images, or set SIGHTGLASS_IMPORT_PROCESSES=1."
        ) from error
    finally:
        # Having nothing to do they end by themselves; one that is still starting would miss what is taken away here.
        pool.shutdown(wait=not finished, cancel_futures=True)


def take_all(source: MemberSource, members: Sequence[Member], *, into: Path, by: Hands, control: RunControl) -> Taken:
    """Take every member, in whatever order is quickest; returns what became of each, in the order of `members`.

    The places told are those in `members`. Packs lie in `into/images` at the end; each is on its way to
    the disk while the next ones are made.

    Raises:
        JobCancelled: somebody asked to stop.
    """
    (into / IMAGES_FOLDER).mkdir(exist_ok=True)
    order = _batches(_reading_order(source, members))
    if by.pool is None:
        batches = _here(source, order, intake=by.intake, into=into)
    else:
        batches = _in_processes(source, order, pool=by.pool, width=by.processes, into=into)
    found: list[Taken] = []
    done = 0
    progress = _Counting(control, total=len(members))
    with closing(batches), flushing() as flush:
        for batch in batches:
            control.check()
            found.append(batch)
            if batch.paths and (pack := where(batch.paths[0]).file).endswith(PACK_SUFFIX):
                flush(into / pack)
            done += len(batch.places) + len(batch.problems)
            progress.report(done)
    return joined(found)


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
    if len(members) == len(source.members) and all(map(is_, members, source.members)):
        return list(enumerate(members))
    by_name = {member.name: place for place, member in enumerate(source.members)}
    there = [by_name.get(member.name, 0) for member in members]
    order = sorted(range(len(members)), key=there.__getitem__)
    return [(place, members[place]) for place in order]


def _seconds(members: Iterable[Member]) -> float:
    return sum(SECONDS_A_MEMBER + member.size * SECONDS_A_BYTE for member in members)


def _batches(order: Iterable[tuple[int, Member]]) -> Iterator[Batch]:
    """Batches with their numbers: the same of the same source, whoever takes them."""
    batch: list[Task] = []
    number = size = 0
    for place, member in order:
        batch.append(Task(place, member))
        size += member.size
        if len(batch) >= BATCH_MEMBERS or size >= BATCH_BYTES:
            yield number, batch
            batch, size, number = [], 0, number + 1
    if batch:
        yield number, batch


def _here(source: MemberSource, order: Iterable[Batch], *, intake: Intake, into: Path) -> Batches:
    taker = Taker(intake, reader=source)
    with _one_thread():
        for number, batch in order:
            yield taker.take(number, batch, into=into)


def _in_processes(
    source: MemberSource, order: Iterable[Batch], *, pool: ProcessPoolExecutor, width: int, into: Path
) -> Batches:
    """Yield batches as they are done. What only this process can read is read here and sent with the task."""
    here_only = source.shared_reader is None
    waiting: set[Future[Taken]] = set()
    finished = False
    try:
        for number, batch in order:
            while len(waiting) >= width * BATCHES_A_PROCESS:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            tasks, failed = _with_bytes(batch, source) if here_only else (batch, [])
            waiting.add(pool.submit(_take_batch, number, packed(tasks), into))
            if failed:
                yield nothing_taken(failed)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        finished = True
    finally:
        if not finished:  # nothing is written once this has returned: the folder may be removed
            pool.shutdown(cancel_futures=True)


def get_ready(size: int, *, processes: int) -> None:
    """Begin to load what processes need, where an import of `size` bytes will use them: while the archive is listed."""
    if processes > 1 and size * SECONDS_A_BYTE > SECONDS_FOR_PROCESSES and FORK_SERVER in _methods():
        _context()
        forkserver.ensure_running()


def _context() -> BaseContext:
    """How processes are made: forked off one that has loaded what they need and has no threads.

    Each by itself would load for a second, as long as it takes to decode 20,000 small pictures. The one stays, so that
    the next import has it at once. Windows has no such way.
    """
    if FORK_SERVER not in _methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(FORK_SERVER)
    context.set_forkserver_preload([__name__])
    return context


def _methods() -> list[str]:
    return multiprocessing.get_all_start_methods()


def _with_bytes(batch: Iterable[Task], source: MemberSource) -> tuple[list[Task], list[tuple[int, str]]]:
    tasks: list[Task] = []
    failed: list[tuple[int, str]] = []
    for task in batch:
        try:
            tasks.append(task._replace(data=source.read(task.member)))
        except ArchiveError as error:
            failed.append((task.place, error.detail))
    return tasks, failed


def _one_thread() -> AbstractContextManager[object]:
    """Arrays on one thread: products of 250 x 250 took 4 times the processor's time on two that wait for each other."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)  # type: ignore[no-any-return]


# -- in a process of its own

_taker: list[Taker] = []


class _Nothing:
    """Stands for the reader where every task brings its bytes."""

    def read(self, member: Member) -> bytes:
        raise ArchiveError(f"'{member.name}' came without its bytes.")


def _begin(intake: Intake, reader: Reader | None, large: AbstractContextManager[Any]) -> None:
    """The first thing in a new process."""
    stay_with_parent()
    if os.name == "posix" and os.nice(0) == 0:
        lower_priority()
    _one_thread()
    prepare_native_libraries()  # keeps freed memory: else each array of a batch is faulted in anew
    gc.freeze()  # what was loaded stays: the collector need not walk through it again and again
    _taker[:] = [Taker(intake, reader=reader or _Nothing(), large=large)]


def _begun() -> None:
    """What a process can be asked to do before there is work."""


def _take_batch(number: int, columns: Packed, into: Path) -> Taken:
    """Takes and gives columns: a record for each picture would take as long to send as to look at."""
    return _taker[0].take(number, unpacked(columns), into=into)
