"""A batch of members taken: read, decoded once, looked at, hashed, and written into one pack.

Pictures of one size are looked at together, since calls cost more than small pictures do. A picture that cannot be used
costs that picture. It runs in any process, and knows neither labels nor how many batches there are.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.data.columns import Headers, Size, column_of, decode_column
from backend.data.fact_arrays import Measures, measure, put_together
from backend.data.facts import NEARLY_SHARPNESS_SIDE, SHARPNESS_SIDE, small_copy
from backend.data.images import NEXT_STEP, examine_image
from backend.data.members import HoldingReader, Reader
from backend.data.pictures import IMAGES_FOLDER, PACK_SUFFIX, packed_path
from backend.data.tasks import Taken, Task, nothing_taken
from backend.errors import ArchiveError, ImageError, TooLargeError

SHORT_DIGEST = 16
# 300 MB at the limit of 100 megapixels as RGB: pictures above this are decoded one at a time.
LARGE_PIXELS = 16_000_000
# Looked at together: of 32 x 32 pixels 512. Facts of one take 15 to 16 microseconds so, 20 in columns of 128, whose
# arrays stay in a core's own cache, and 30 in columns of 32: calls cost more than memory does. Of large pictures they
# do not, and memory counts.
PIXELS_TOGETHER, LARGE_TOGETHER = 2**19, 2**17
SMALL_PIXELS = 64 * 64
# Written at once: with the usual 8 KiB a small picture's share of the pack cost 2 to 5 microseconds instead of 0.6.
PIECE = 2**20


@dataclass(frozen=True)
class Intake:
    """What every picture of an import needs; travels to other processes.

    `known` are the digests of pictures that are stored already: they are looked at, but not written again.
    """

    max_pixels: int
    known: frozenset[str] = frozenset()


Kind = tuple[str, str]  # format and mode, as Pillow calls them
PLAIN_KIND: Kind = ("JPEG", "RGB")


class Taker:
    """Takes one batch after the other."""

    def __init__(self, intake: Intake, *, reader: Reader, large: AbstractContextManager[Any] | None = None) -> None:
        self._intake = intake
        self._reader = reader
        self._large = large

    def take(self, number: int, tasks: Sequence[Task], *, into: Path) -> Taken:
        """Take a batch. Its pack, called by its number, is written into `images/`, which lies in the folder `into`."""
        return _Batch(self._intake, tasks, self._contents(tasks), self._turn).taken(number, into)

    def _contents(self, tasks: Sequence[Task]) -> list[bytes | str]:
        """The bytes of each member, or the reason why there are none."""
        found: list[bytes | str] = []
        if isinstance(self._reader, HoldingReader):
            self._reader.hold([task.member for task in tasks if task.data is None])
        for task in tasks:
            try:
                content = self._reader.read(task.member) if task.data is None else task.data
                found.append(content or "The file is empty (0 bytes).")
            except ArchiveError as error:
                found.append(error.detail)
        return found

    def _turn(self, pixels: int) -> AbstractContextManager[Any]:
        """Huge pictures are decoded one at a time, whatever the number of processes: each takes 300 MB and more."""
        return self._large if self._large is not None and pixels > LARGE_PIXELS else nullcontext()


class _Batch:
    """One batch on its way."""

    def __init__(self, intake: Intake, tasks: Sequence[Task], contents: list[bytes | str], turn: Any) -> None:
        self._intake = intake
        self._tasks = tasks
        self._contents = contents
        self._turn = turn
        self._seen: dict[int, tuple[Size, Kind]] = {}  # in the order of the measures
        self._measures: list[Measures] = []
        self._waiting: dict[Size, list[tuple[int, Size, Kind, Image.Image]]] = defaultdict(list)

    def taken(self, number: int, into: Path) -> Taken:
        self._look_at_plain()
        self._look_at_others()
        problems = [
            (task.place, content.removesuffix(NEXT_STEP))
            for task, content in zip(self._tasks, self._contents, strict=True)
            if isinstance(content, str)
        ]
        if not self._seen:
            return nothing_taken(problems)
        order = np.argsort(np.fromiter(self._seen, dtype=np.int64), kind="stable")
        digests, paths = self._pack(number, into)
        rows = [self._seen[at] for at in sorted(self._seen)]
        return Taken(
            places=np.array([self._tasks[at].place for at in sorted(self._seen)], dtype=np.int64),
            digests=b"".join(digests),
            paths=paths,
            sizes=np.array([size for size, _ in rows], dtype=np.int64),
            kinds=[kind for _, kind in rows],
            measures=put_together(self._measures, order),
            problems=problems,
        )

    # -- looking

    def _look_at_plain(self) -> None:
        by_size: dict[Size, list[int]] = defaultdict(list)
        headers = Headers()
        for at, content in enumerate(self._contents):
            size = headers.plain_size(content) if isinstance(content, bytes) else None
            if size and max(size) <= SHARPNESS_SIDE and size[0] * size[1] <= self._intake.max_pixels:
                by_size[size].append(at)
        for size, places in by_size.items():
            for part in _parts(places, size):
                column, whole = decode_column([bytes(self._contents[at]) for at in part], size)  # type: ignore[arg-type]
                self._note(column, dict.fromkeys(part, (size, PLAIN_KIND)), whole)

    def _look_at_others(self) -> None:
        for at, content in enumerate(self._contents):
            if isinstance(content, str) or at in self._seen:
                continue
            try:
                found = examine_image(
                    content,
                    max_pixels=self._intake.max_pixels,
                    side=NEARLY_SHARPNESS_SIDE,
                    while_decoding=self._turn,
                )
            except (ImageError, TooLargeError) as error:
                self._contents[at] = error.detail
                continue
            picture = small_copy(found.picture)
            waiting = self._waiting[picture.size]
            waiting.append((at, (found.width, found.height), (found.format, found.mode), picture))
            if len(waiting) >= _together(picture.size):
                self._note_waiting(picture.size)
        for size in list(self._waiting):
            self._note_waiting(size)

    def _note_waiting(self, size: Size) -> None:
        waiting = self._waiting.pop(size)
        seen = {at: (shape, kind) for at, shape, kind, _ in waiting}
        self._note(column_of([picture for *_, picture in waiting]), seen, [True] * len(seen))

    def _note(self, column: Image.Image, seen: dict[int, tuple[Size, Kind]], whole: list[bool]) -> None:
        measures = measure(column, len(seen))
        if not all(whole):
            seen = dict(compress(seen.items(), whole))
            measures = put_together([measures], np.flatnonzero(whole))
        self._seen.update(seen)
        self._measures.append(measures)

    # -- keeping

    def _pack(self, number: int, into: Path) -> tuple[list[bytes], list[str]]:
        """Write the sound pictures into one file, each once; returns digest and path of each."""
        pack = f"{IMAGES_FOLDER}/{number:05}{PACK_SUFFIX}"
        digests: list[bytes] = []
        paths: list[str] = []
        by_digest: dict[bytes, str] = {}
        pieces: list[bytes] = []
        end = 0
        for content, task in zip(self._contents, self._tasks, strict=True):
            if isinstance(content, str):
                continue
            digest = hashlib.sha256(content).digest()
            if digest not in by_digest:
                hexed = digest.hex()
                name = f"{hexed[:SHORT_DIGEST]}{task.member.suffix}"  # the suffix is one of IMAGE_SUFFIXES
                if hexed in self._intake.known:
                    by_digest[digest] = f"{IMAGES_FOLDER}/{name}"
                else:
                    by_digest[digest] = packed_path(pack, start=end, size=len(content), name=name)
                    pieces.append(content)
                    end += len(content)
            digests.append(digest)
            paths.append(by_digest[digest])
        if pieces:
            _write(into / pack, pieces)
        return digests, paths


def _parts(places: Sequence[int], size: Size) -> Iterator[Sequence[int]]:
    most = _together(size)
    for start in range(0, len(places), most):
        yield places[start : start + most]


def _together(size: Size) -> int:
    pixels = size[0] * size[1]
    return max(1, (PIXELS_TOGETHER if pixels <= SMALL_PIXELS else LARGE_TOGETHER) // pixels)


def _write(path: Path, pieces: Sequence[bytes]) -> None:
    """Write a new file; flushed to the disk with all others, before the import's folder takes its place."""
    with path.open("xb", buffering=PIECE) as file:
        file.writelines(pieces)
