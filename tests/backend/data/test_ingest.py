"""Taking every picture once: here or in other processes, from whatever source, with the same outcome."""

from __future__ import annotations

import io
import multiprocessing
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.contracts import RunControl
from backend.data import ingest, scan
from backend.data.archive import open_archive
from backend.data.folder import Folder
from backend.data.ingest import Hands, take_all
from backend.data.pictures import open_picture, read_picture
from backend.data.scan import ImportPlan, import_members
from backend.data.taking import Intake
from backend.data.tasks import nothing_taken
from backend.errors import DatasetError, JobCancelled


def tarred(members: dict[str, bytes], *, mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture(scope="module")
def members(picture, folders) -> dict[str, bytes]:
    """Two classes with a copy, a broken picture, an empty one and one that is a strip of text."""
    found = folders({"cat": 40, "dog": 40})
    found["set/dog/copy.png"] = found["set/cat/0.png"]
    found["set/dog/broken.png"] = b"\x89PNG\r\n\x1a\n broken"
    found["set/dog/empty.jpg"] = b""
    found["set/cat/photo.jpg"] = picture(500, size=(900, 600), form="JPEG")
    return found


def write_source(kind: str, members: dict[str, bytes], folder: Path, packed) -> Path:
    if kind == "folder":
        for name, data in members.items():
            path = folder / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder / "source"
    path = folder / f"source.{kind}"
    contents = {"zip": lambda: packed(members).getvalue()}
    contents |= {"tar": lambda: tarred(members, mode="w"), "tar.gz": lambda: tarred(members, mode="w:gz")}
    path.write_bytes(contents[kind]())
    return path


def take(path: Path, into: Path, settings, *, processes: int):
    plan = ImportPlan(settings, RunControl(), processes=processes)
    if path.is_dir():
        return import_members(Folder(path), into=into, name="x", plan=plan)
    with open_archive(path) as archive:
        return import_members(archive, into=into, name="x", plan=plan)


def plain(item):
    """Without what depends on the order in the source."""
    return item.model_copy(update={"file": item.file.removeprefix("source/"), "path": Path(item.path).name})


@pytest.fixture
def always_processes(monkeypatch):
    monkeypatch.setattr(ingest, "SECONDS_FOR_PROCESSES", 0.0)


@pytest.fixture(scope="module")
def reference(members, packed, tmp_path_factory):
    """What an import in this process alone gives."""
    from backend.config import Settings

    folder = tmp_path_factory.mktemp("reference")
    path = write_source("zip", members, folder, packed)
    return take(path, folder / "datasets", Settings(data_dir=folder / "data"), processes=1)


@pytest.fixture
def written(members, packed, tmp_path):
    """Writes the members as a source of some kind; returns its path."""
    return lambda kind: write_source(kind, members, tmp_path, packed)


@pytest.mark.usefixtures("always_processes")
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "folder"])
def test_processes_take_the_same_pictures_as_one(kind, written, settings, into, reference):
    dataset = take(written(kind), into, settings, processes=2)
    if kind == "folder":  # sorted by name, and with the folder's own in front
        assert [plain(item) for item in dataset.items] == [plain(item) for item in reference.items]
    else:
        assert dataset.items == reference.items
    assert {entry.reason for entry in dataset.info.skipped} == {entry.reason for entry in reference.info.skipped}
    for item, same in zip(dataset.items, reference.items, strict=True):
        assert read_picture(dataset.root, item.path) == read_picture(reference.root, same.path)


def test_what_was_taken_is_what_was_sent(reference, members):
    assert reference.info.class_counts == {"cat": 41, "dog": 41}
    assert len(reference.info.skipped) == 2
    stored = {read_picture(reference.root, item.path) for item in reference.items}
    assert stored == {data for name, data in members.items() if "broken" not in name and data}


def test_one_decoding_tells_the_facts(reference):
    photo = next(item for item in reference.items if item.width == 900)
    assert photo.facts is not None
    assert (photo.facts.format, photo.facts.mode, photo.height) == ("JPEG", "RGB", 600)
    assert all(item.facts.format == "PNG" for item in reference.items if item.width == 12)


def test_cancelling_ends_the_processes_and_leaves_nothing(members, packed, tmp_path, settings, into, always_processes):
    path = write_source("zip", members, tmp_path, packed)
    plan = ImportPlan(settings, RunControl(cancelled=lambda: True), processes=2)
    with open_archive(path) as archive, pytest.raises(JobCancelled):
        import_members(archive, into=into, name="x", plan=plan)
    assert list(into.iterdir()) == []


def test_nothing_is_under_way_any_more_when_cancelling_has_returned(written, into, monkeypatch):
    """A batch that is written later would be left over beside the folder that was removed."""
    begun, let_go = threading.Event(), threading.Event()
    over = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, **how):
            let_go.set()
            super().shutdown(**how)

    def take_batch(number, columns, folder):
        if number > 0:
            begun.set()
            let_go.wait(60)
            over.append(number)
        return nothing_taken([])

    monkeypatch.setattr(ingest, "BATCH_MEMBERS", 20)
    monkeypatch.setattr(ingest, "_take_batch", take_batch)
    into.mkdir()
    with open_archive(written("zip")) as source, Pool(1) as pool:
        ours = Hands(Intake(10**6), pool)
        with pytest.raises(JobCancelled):
            take_all(source, source.members, into=into, by=ours, control=RunControl(cancelled=lambda: begun.wait(60)))
        assert over == [1]  # what had begun has ended, and nothing else was begun


def test_a_source_of_one_class_leaves_neither_folder_nor_process(
    members, packed, tmp_path, settings, into, always_processes
):
    before = set(multiprocessing.active_children())
    path = write_source("zip", {name: data for name, data in members.items() if "/cat/" in name}, tmp_path, packed)
    with pytest.raises(DatasetError):
        take(path, into, settings, processes=2)
    assert not into.exists()
    assert set(multiprocessing.active_children()) <= before


def test_processes_start_while_labels_are_looked_for(written, settings, into, always_processes, monkeypatch):
    started, told = [], scan.assign_labels
    make = ingest.ProcessPoolExecutor
    monkeypatch.setattr(ingest, "ProcessPoolExecutor", lambda *a, **k: started.append(1) or make(*a, **k))

    def assign_labels(source):
        assert started
        return told(source)

    monkeypatch.setattr(scan, "assign_labels", assign_labels)
    assert take(written("zip"), into, settings, processes=2).info.total_images == 82


@pytest.mark.parametrize("processes", [1, 2])
def test_each_pack_is_on_its_way_to_the_disk_at_once(processes, written, settings, into, always_processes, monkeypatch):
    asked = []
    monkeypatch.setattr(ingest, "BATCH_MEMBERS", 20)
    monkeypatch.setattr(ingest, "flushing", lambda: nullcontext(lambda path: asked.append((path.name, path.is_file()))))
    dataset = take(written("zip"), into, settings, processes=processes)
    packs = sorted(path.name for path in (dataset.root / "images").iterdir())
    assert len(packs) == 5
    assert sorted(asked) == [(name, True) for name in packs]


def test_progress_reaches_the_end(written, settings, into):
    seen = []
    plan = ImportPlan(settings, RunControl(report=seen.append))
    with open_archive(written("zip")) as archive:
        import_members(archive, into=into, name="x", plan=plan)
    shares = [report.progress for report in seen]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.5 < shares[-1] <= 1.0


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def gradient(width: int = 40, height: int = 20) -> np.ndarray:
    return np.tile(np.linspace(0, 1, width), (height, 1))


SIXTEEN = Image.fromarray((gradient() * 65535).astype(np.uint16))
RGB = Image.fromarray((np.dstack([gradient()] * 3) * 255).astype(np.uint8))
CLEAR = Image.fromarray(np.dstack([np.zeros((20, 40, 3), np.uint8), (gradient() * 255).astype(np.uint8)]))
TURNED = Image.Exif()
TURNED[0x0112] = 6
FRAMES = [Image.new("P", (40, 20), colour) for colour in (0, 1)]
for frame in FRAMES:
    frame.putpalette([200, 10, 10, 10, 200, 10])

PICTURES = {
    "16-bit PNG": (saved(SIXTEEN, "PNG"), ".png", "I;16"),
    "16-bit TIFF": (saved(SIXTEEN, "TIFF"), ".tif", "I;16"),
    "CMYK JPEG": (saved(RGB.convert("CMYK"), "JPEG", quality=95), ".jpg", "CMYK"),
    "CMYK TIFF": (saved(RGB.convert("CMYK"), "TIFF"), ".tiff", "CMYK"),
    "grayscale": (saved(RGB.convert("L"), "PNG"), ".png", "L"),
    "grey with alpha": (saved(CLEAR.convert("LA"), "PNG"), ".png", "LA"),
    "alpha": (saved(CLEAR, "PNG"), ".png", "RGBA"),
    "alpha WebP": (saved(CLEAR, "WEBP", lossless=True), ".webp", "RGBA"),
    "palette": (saved(RGB.quantize(16), "PNG"), ".png", "P"),
    "one bit": (saved(RGB.convert("1"), "PNG"), ".png", "1"),
    "BMP": (saved(RGB, "BMP"), ".bmp", "RGB"),
    "WebP": (saved(RGB, "WEBP", lossless=True), ".webp", "RGB"),
    "GIF of two frames": (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), ".gif", None),
    "turned JPEG": (saved(RGB, "JPEG", exif=TURNED, quality=95), ".jpeg", "RGB"),
    "turned PNG": (saved(RGB, "PNG", exif=TURNED), ".png", "RGB"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_picture_becomes_upright_rgb(name, folders, packed, into, settings):
    from backend.data.scan import import_archive

    data, suffix, mode = PICTURES[name]
    members = folders({"a": 1, "b": 1}) | {f"set/a/it{suffix.upper()}": data}
    dataset = import_archive(packed(members), into=into, name="x", settings=settings)
    [item] = [item for item in dataset.items if item.path.endswith(suffix) and item.width in (20, 40)]
    turned = name.startswith("turned")
    assert (item.width, item.height) == ((20, 40) if turned else (40, 20))
    assert mode in (None, item.facts.mode)
    picture = open_picture(dataset.root, item.path, max_pixels=10**6)
    assert (picture.mode, picture.size) == ("RGB", (item.width, item.height))
    pixels = np.asarray(picture, dtype=float)
    assert item.facts.brightness == pytest.approx(np.asarray(picture.convert("L")).mean() / 255, abs=0.02)
    if name == "GIF of two frames":
        assert tuple(pixels[0, 0]) == (200, 10, 10)
    elif "alpha" in name:  # black that fades in over white
        assert pixels[:, 0].min() > 250
        assert pixels[:, -1].max() < 5
    elif turned:  # dark on the left becomes dark at the top
        assert pixels[0].mean() < 10
        assert pixels[-1].mean() > 245
    elif name != "one bit":
        assert pixels[:, 0].mean() < 12
        assert pixels[:, -1].mean() > 243
        assert abs(pixels[:, 20].mean() - 128) < 14
