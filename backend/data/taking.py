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
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from backend.contracts import ImageFacts
from backend.data.columns import Size, column_of, decode_column, plain_size
from backend.data.fact_arrays import measure
from backend.data.facts import NEARLY_SHARPNESS_SIDE, SHARPNESS_SIDE, small_copy, told
from backend.data.images import NEXT_STEP, examine_image
from backend.data.members import Member, Reader
from backend.data.pictures import IMAGES_FOLDER, PACK_SUFFIX, packed_path
from backend.errors import ArchiveError, ImageError, TooLargeError

SHORT_DIGEST = 16
# 300 MB at the limit of 100 megapixels as RGB: pictures above this are decoded one at a time.
LARGE_PIXELS = 16_000_000
# Looked at together: of 32 x 32 pixels 128, whose arrays stay in a core's own cache.
PIXELS_TOGETHER = 2**17


class Taken(NamedTuple):
    """What became of a member: a picture and what it shows, or the reason why not. `place` is the caller's number."""

    place: int
    digest: str = ""
    path: str = ""
    width: int = 0
    height: int = 0
    facts: ImageFacts | None = None
    problem: str = ""


@dataclass(frozen=True)
class Intake:
    """What every picture of an import needs; travels to other processes. `folder` holds `images/`.

    `known` are the digests of pictures that are stored already: they are looked at, but not written again.
    """

    folder: Path
    max_pixels: int
    known: frozenset[str] = frozenset()


class Task(NamedTuple):
    """A member to be taken; with its bytes, where only the caller can read them."""

    place: int
    member: Member
    data: bytes | None = None


def packed(tasks: Sequence[Task]) -> tuple[Any, ...]:
    """Tasks as columns, which travel to another process in a third of the time; `unpacked` is the way back."""
    members = [task.member for task in tasks]
    columns = ([one.name for one in members], [one.size for one in members], [one.handle for one in members])
    return ([task.place for task in tasks], *columns, [task.data for task in tasks])


def unpacked(columns: tuple[Any, ...]) -> list[Task]:
    return [
        Task(place, Member(name, size, handle), data) for place, name, size, handle, data in zip(*columns, strict=True)
    ]


class Seen(NamedTuple):
    """A sound picture: what it was as a file, and a small copy to look at, unless it stands in a column already."""

    at: int
    size: Size
    kind: tuple[str, str]


PLAIN_KIND = ("JPEG", "RGB")


class Taker:
    """Takes one batch after the other."""

    def __init__(self, intake: Intake, *, reader: Reader, large: AbstractContextManager[Any] | None = None) -> None:
        self._intake = intake
        self._reader = reader
        self._large = large

    def take(self, number: int, tasks: Sequence[Task]) -> list[Taken]:
        """Take a batch; its pack is called by its number."""
        return _Batch(self._intake, tasks, self._contents(tasks), self._turn).taken(number)

    def _contents(self, tasks: Sequence[Task]) -> list[bytes | str]:
        """The bytes of each member, or the reason why there are none."""
        found: list[bytes | str] = []
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
        self._facts: dict[int, tuple[Size, ImageFacts]] = {}
        self._waiting: dict[Size, list[tuple[Seen, Image.Image]]] = defaultdict(list)

    def taken(self, number: int) -> list[Taken]:
        self._look_at_plain()
        self._look_at_others()
        paths = self._pack(number)
        return [self._taken(at, task.place, paths) for at, task in enumerate(self._tasks)]

    def _taken(self, at: int, place: int, paths: dict[int, tuple[str, str]]) -> Taken:
        content = self._contents[at]
        if isinstance(content, str):
            return Taken(place, problem=content.removesuffix(NEXT_STEP))
        digest, path = paths[at]
        (width, height), facts = self._facts[at]
        return Taken(place, digest, path, width, height, facts)

    # -- looking

    def _look_at_plain(self) -> None:
        by_size: dict[Size, list[int]] = defaultdict(list)
        for at, content in enumerate(self._contents):
            size = plain_size(content) if isinstance(content, bytes) else None
            if size and max(size) <= SHARPNESS_SIDE and size[0] * size[1] <= self._intake.max_pixels:
                by_size[size].append(at)
        for size, places in by_size.items():
            for part in _parts(places, size):
                column, whole = decode_column([bytes(self._contents[at]) for at in part], size)  # type: ignore[arg-type]
                self._note(column, [Seen(at, size, PLAIN_KIND) for at in part], whole)

    def _look_at_others(self) -> None:
        for at, content in enumerate(self._contents):
            if isinstance(content, str) or at in self._facts:
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
            waiting.append((Seen(at, (found.width, found.height), (found.format, found.mode)), picture))
            if len(waiting) >= _together(picture.size):
                self._note_waiting(picture.size)
        for size in list(self._waiting):
            self._note_waiting(size)

    def _note_waiting(self, size: Size) -> None:
        waiting = self._waiting.pop(size)
        seen = [one for one, _ in waiting]
        self._note(column_of([picture for _, picture in waiting]), seen, [True] * len(seen))

    def _note(self, column: Image.Image, seen: Sequence[Seen], whole: Sequence[bool]) -> None:
        facts = told(measure(column, len(seen)), [one.kind for one in seen])
        for one, is_whole, of_one in zip(seen, whole, facts, strict=True):
            if is_whole:
                self._facts[one.at] = (one.size, of_one)

    # -- keeping

    def _pack(self, number: int) -> dict[int, tuple[str, str]]:
        """Write the sound pictures into one file, each once; returns digest and path of each by its place here."""
        pack = f"{IMAGES_FOLDER}/{number:05}{PACK_SUFFIX}"
        found: dict[int, tuple[str, str]] = {}
        by_digest: dict[str, str] = {}
        pieces: list[bytes] = []
        end = 0
        for at, content in enumerate(self._contents):
            if isinstance(content, str):
                continue
            digest = hashlib.sha256(content).hexdigest()
            name = f"{digest[:SHORT_DIGEST]}{self._tasks[at].member.suffix}"  # the suffix is one of IMAGE_SUFFIXES
            if digest in self._intake.known:
                by_digest[digest] = f"{IMAGES_FOLDER}/{name}"
            elif digest not in by_digest:
                by_digest[digest] = packed_path(pack, start=end, size=len(content), name=name)
                pieces.append(content)
                end += len(content)
            found[at] = (digest, by_digest[digest])
        if pieces:
            _write(self._intake.folder / pack, pieces)
        return found


def _parts(places: Sequence[int], size: Size) -> Iterator[Sequence[int]]:
    most = _together(size)
    for start in range(0, len(places), most):
        yield places[start : start + most]


def _together(size: Size) -> int:
    return max(1, PIXELS_TOGETHER // (size[0] * size[1]))


def _write(path: Path, pieces: Sequence[bytes]) -> None:
    """Write a new file; flushed to the disk with all others, before the import's folder takes its place."""
    with path.open("xb") as file:
        file.writelines(pieces)
