"""Fixtures that several rooms share. Tests write below a temporary folder and never touch the network or a store."""

from __future__ import annotations

import gc
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.config import Settings
from backend.execution.native import prepare_native_libraries
from tests.environment import OWN, THREADS
from tests.object_storage_server import ObjectStorageServer
from tests.postgresql_server import PostgresServer, binaries

os.environ.update(THREADS)  # for what a module's tests share, which is made before a test's own environment
prepare_native_libraries()  # before any test loads torch: its threads would spin against each other's processes

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
BROWSER = "tests/browser/"
KEEPS_ROWS = {"new_database_url", "empty_database"}  # fixtures that ask for the database of --database


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="what the service's tests keep their rows in; postgresql starts a server of its own",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes in one piece comes first, so that the last file is a short one: the browser, then services.

    On PostgreSQL only what keeps rows is tested: the rest was, on its way through the other half.
    """
    first = {"browser": 0, "acceptance": 1}
    items.sort(key=lambda item: min((first.get(mark.name, 2) for mark in item.iter_markers()), default=2))
    if config.getoption("--database") == "postgresql":
        rowless = [item for item in items if not KEEPS_ROWS & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=rowless)
        items[:] = [item for item in items if KEEPS_ROWS & set(getattr(item, "fixturenames", ()))]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file to a worker; the browser's files all to one, so that one service and one page server do for them."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What the test files import stays to the end: it is not searched for garbage, neither meanwhile nor at each test.

    Collecting 4,500 tests made 5,000 searches among up to 850,000 objects: 3 s and more of a worker's 25.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # libraries look at the end whether their objects have gone, and complain


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test draws the same numbers whatever ran before it: which file follows which is chance with two workers."""
    np.random.seed(0)  # noqa: NPY002 - the generator that everybody shares is the one in question
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole session."""
    programs = binaries()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed; .ci/run installs it")
        pytest.skip("PostgreSQL is not installed (Debian and Ubuntu: apt-get install postgresql)")
    server = PostgresServer(programs)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def new_database_url(request: pytest.FixtureRequest) -> Iterator[Callable[[], str | None]]:
    """Makes fresh databases: the address of one, or None for SQLite in the data folder, which needs no making."""
    if request.config.getoption("--database") == "sqlite":
        yield lambda: None
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    yield server.create_database


@pytest.fixture
def database_url(new_database_url: Callable[[], str | None], request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of one test's database, migrated; None: SQLite in the data folder."""
    url = new_database_url()
    server: PostgresServer | None = None if url is None else request.getfixturevalue("postgresql")
    yield url
    if server is not None:
        server.drop(url)


@pytest.fixture(scope="session")
def lay_tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Lays a migrated SQLite file in place, as the PostgreSQL server does with its template: 35 ms less for each test."""
    from backend.storage.database import Database

    template = tmp_path_factory.mktemp("tables") / "migrated.db"
    database = Database(f"sqlite:///{template}")
    database.migrate()
    database.close()

    def lay(target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, target)

    return lay


@pytest.fixture(scope="session")
def object_storage() -> Iterator[ObjectStorageServer]:
    """A real S3 server on this machine for the whole session."""
    server = ObjectStorageServer()
    yield server
    server.stop()


@pytest.fixture
def storage_url(object_storage: ObjectStorageServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a fresh folder there, with the environment that a client needs."""
    for name, value in object_storage.environment.items():
        monkeypatch.setenv(name, value)
    return object_storage.new_folder()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not decide what a test sees."""
    for name in list(os.environ):
        if name.startswith(OWN):
            monkeypatch.delenv(name)
    for name, value in THREADS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    """Settings of a fresh installation: offline, no MLflow, everything below a temporary folder."""
    return Settings(data_dir=tmp_path / "data", database_url=database_url, offline=True, mlflow_tracking_uri="off")


def draw_picture(label: str, seed: int, *, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """A circle, a square or a cross at a random place on a random background: easy, but not one pixel's work."""
    random = np.random.default_rng(seed)
    background = tuple(int(v) for v in random.integers(120, 256, 3))
    ink = tuple(int(v) for v in random.integers(0, 100, 3))
    image = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(image)
    radius = int(random.integers(size[1] // 6, size[1] // 4))
    x = int(random.integers(radius, size[0] - radius))
    y = int(random.integers(radius, size[1] - radius))
    box = (x - radius, y - radius, x + radius, y + radius)
    if label == "circle":
        draw.ellipse(box, fill=ink)
    elif label == "square":
        draw.rectangle(box, fill=ink)
    else:
        draw.line((box[0], y, box[2], y), fill=ink, width=3)
        draw.line((x, box[1], x, box[3]), fill=ink, width=3)
    return image


def png_bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    """Write a ZIP of drawn pictures: `make_zip({"circle": 12, "square": 12})`."""

    def make(counts: dict[str, int], *, name: str = "pictures.zip", size: tuple[int, int] = (48, 48)) -> Path:
        target = tmp_path / name
        with zipfile.ZipFile(target, "w") as archive:
            for place, (label, count) in enumerate(counts.items()):
                for index in range(count):
                    picture = draw_picture(label, place * 10_000 + index, size=size)
                    archive.writestr(f"pictures/{label}/{index:03}.png", png_bytes(picture))
        return target

    return make


@pytest.fixture(scope="session")
def fashion_mnist_zip() -> Path:
    path = SHARED_DATA / "fashion_mnist.zip"
    if not path.exists():
        pytest.skip("the real Fashion-MNIST sample lies beside the repository, not in it, and is absent here")
    return path
