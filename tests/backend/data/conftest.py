"""Archives and datasets made in memory, small enough to make in every test. Factories are fixtures: tests are no
package, so nothing can be imported from here."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ImageItem
from backend.data.members import Member
from backend.data.scan import import_archive
from backend.data.taking import Intake, Taker
from backend.data.tasks import Task

Members = Mapping[str, bytes] | Iterable[tuple[str | zipfile.ZipInfo, bytes]]


def _picture(seed: int = 0, *, size: tuple[int, int] = (12, 10), form: str = "PNG", mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form)
    return file.getvalue()


def _packed(members: Members, *, method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    pairs = members.items() if isinstance(members, Mapping) else members
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of duplicate names, which some tests want
        for name, data in pairs:
            archive.writestr(name, data)
    file.seek(0)
    return file


def _folders(counts: Mapping[str, int], *, size: tuple[int, int] = (12, 10)) -> dict[str, bytes]:
    seeds = iter(range(100_000))
    return {
        f"set/{label}/{index}.png": _picture(next(seeds), size=size)
        for label, count in counts.items()
        for index in range(count)
    }


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """An image file of noise: every seed gives another digest."""
    return _picture


@pytest.fixture(scope="session")
def packed() -> Callable[..., io.BytesIO]:
    """A ZIP in memory, from names (or ZipInfo) and bytes."""
    return _packed


@pytest.fixture(scope="session")
def folders() -> Callable[..., dict[str, bytes]]:
    """Members of a folder-per-class archive below `set/`; all pictures differ."""
    return _folders


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


@pytest.fixture
def import_members_of(into: Path, settings: Settings) -> Callable[[Members], Dataset]:
    """Pack the members and import them."""
    return lambda members: import_archive(_packed(members), into=into, name="example", settings=settings)


@pytest.fixture(scope="session")
def listed() -> Callable[..., Dataset]:
    """A dataset without files: (label, digest) or (label, digest, width, height) for each item."""

    def make(*rows: tuple[str, str] | tuple[str, str, int, int]) -> Dataset:
        items = tuple(
            ImageItem(
                image_id=f"image-{place}",
                path=f"images/{place}.png",
                label=row[0],
                digest=row[1],
                width=row[2] if len(row) == 4 else 32,
                height=row[3] if len(row) == 4 else 32,
            )
            for place, row in enumerate(rows)
        )
        info = DatasetInfo(
            dataset_id="ds-listed", name="listed", total_images=0, num_classes=0, class_counts={}, digest="0"
        )
        return Dataset(info=info, root=Path("nowhere"), items=()).with_items(items)

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there: real data is not part of the repository")
    return folder


class _Bytes:
    """A reader of members that lie in memory."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def read(self, member: Member) -> bytes:
        return self._contents[member.name]


@pytest.fixture
def reader_of() -> type[_Bytes]:
    return _Bytes


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Any]:
    """Take members in as one batch: `take(contents, known=, number=, max_pixels=)`."""

    def run(
        contents: Mapping[str, bytes],
        *,
        known: frozenset[str] = frozenset(),
        number: int = 7,
        max_pixels: int = 10**6,
    ) -> Any:
        (tmp_path / "images").mkdir(exist_ok=True)
        taker = Taker(Intake(max_pixels, known), reader=_Bytes(contents))
        tasks = [Task(place, Member(name, len(data), None)) for place, (name, data) in enumerate(contents.items())]
        return taker.take(number, tasks, into=tmp_path)

    return run


@pytest.fixture
def contents(picture: Callable[..., bytes]) -> dict[str, bytes]:
    """Sound pictures, one twice, one broken, one empty, one large."""
    return {
        "a.jpg": picture(1, size=(32, 32), form="JPEG"),
        "b.png": picture(2, size=(32, 32)),
        "broken.jpg": picture(3, size=(32, 32), form="JPEG")[:-200],
        "again.jpg": picture(1, size=(32, 32), form="JPEG"),
        "empty.png": b"",
        "large.jpg": picture(4, size=(620, 300), form="JPEG"),
    }
