"""Whatever comes in: a dataset, or an error of our tree; never another exception, never a file outside the folder."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.config import Settings
from backend.contracts import Preprocessing
from backend.data.archive import open_archive
from backend.data.images import check_image, open_image, placement, prepare_image
from backend.data.names import clean_name, shown
from backend.data.scan import import_archive
from backend.errors import InputError

# Damaged pictures make Pillow warn; what is asked here is that nothing else happens.
pytestmark = pytest.mark.filterwarnings("ignore")
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=SHARED)
QUICK_ON_DISK = settings(max_examples=40, deadline=None, suppress_health_check=SHARED)
STORED = re.compile(r"^(dataset\.json|items\.(jsonl|npz)|insights\.json|images|images/[0-9]{5}\.pack)$")

EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)
SEPARATORS = st.sampled_from(["/", "\\", "//", "/./", "/../", ":", "\x00/", " / "])
PARTS = st.one_of(st.text(max_size=12), st.sampled_from(["cat", "dog", "..", ".", "", "C:", "train", "__MACOSX"]))
NAMES = st.builds(lambda parts, between, end: between.join(parts) + end, st.lists(PARTS, min_size=1, max_size=4), SEPARATORS, st.sampled_from([".png", ".PNG", "", "/", ".zip", ".csv"]))  # fmt: skip


def edited(data: bytes, edits: list[tuple[float, int]], cut: float) -> bytes:
    changed = bytearray(data)
    for place, value in edits:
        changed[int(place * len(changed))] = value
    return bytes(changed[: max(1, int(cut * len(changed)))])


def outcome(call):
    """What the call returns, or the sentence by which it refuses; any other exception fails the test."""
    try:
        return call()
    except InputError as error:
        return error.detail


def import_or_refuse(file: io.BytesIO, into) -> None:
    into.mkdir(exist_ok=True)
    before = set(into.iterdir())
    dataset = outcome(lambda: import_archive(file, into=into, name="any", settings=Settings()))
    assert dataset
    new = set(into.iterdir()) - before
    if isinstance(dataset, str):
        assert new == set()
        return
    assert new == {dataset.root}
    for path in dataset.root.rglob("*"):
        assert STORED.match(path.relative_to(dataset.root).as_posix())
    assert sum(dataset.info.class_counts.values()) == len(dataset.items) > 1


@QUICK
@given(data=st.binary(max_size=400))
def test_any_bytes_are_an_archive_or_refused(data):
    assert outcome(lambda: open_archive(io.BytesIO(data)))


@QUICK_ON_DISK
@given(edits=EDITS, cut=st.sampled_from([1.0, 1.0, 1.0, 0.999, 0.5]))
def test_any_damage_to_an_archive_is_survived(packed, folders, into, edits, cut):
    sound = packed(folders({"a": 2, "b": 2})).getvalue()
    import_or_refuse(io.BytesIO(edited(sound, edits, cut)), into)


@QUICK_ON_DISK
@given(names=st.lists(NAMES, max_size=6, unique=True))
def test_any_names_of_members_are_survived(packed, picture, into, tmp_path, names):
    members = [(name, picture(seed)) for seed, name in enumerate(names) if _can_be_packed(name)]
    import_or_refuse(packed([*members, ("x/1.png", picture(90)), ("y/1.png", picture(91))]), into)
    assert {path.name for path in tmp_path.iterdir()} <= {"datasets"}


def _can_be_packed(name: str) -> bool:
    return bool(name) and name[0] != "\x00" and not re.search(r"[\ud800-\udfff]", name)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"])
@settings(max_examples=25, deadline=None, suppress_health_check=SHARED)
@given(edits=EDITS, cut=st.floats(0.01, 1))
def test_any_damage_to_a_picture_is_survived(picture, form, edits, cut):
    data = edited(picture(1, size=(9, 7), form=form), edits, cut)
    for opener in (open_image, check_image):
        opened = outcome(lambda opener=opener: opener(data, max_pixels=10_000))
        assert opened
        assert isinstance(opened, (str, tuple)) or opened.mode == "RGB"


@QUICK
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    target=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    resize=st.sampled_from(["squash", "letterbox", "crop"]),
)
def test_any_size_fits_any_input_and_lies_in_its_middle(picture, size, target, resize):
    how = Preprocessing(width=target[0], height=target[1], resize=resize, mean=(0.5,) * 3, std=(0.5,) * 3)
    image = open_image(picture(1, size=size), max_pixels=10**6)
    assert prepare_image(image, how).shape == (target[1], target[0], 3)
    place = placement(size, how)
    gaps = np.array([target[0] - place.width, target[1] - place.height])
    assert (gaps >= 0).all() if resize != "crop" else (gaps <= 0).all()
    assert (place.left, place.top) == (gaps[0] // 2, gaps[1] // 2)


@QUICK
@given(text=st.text(max_size=300))
def test_cleaning_a_name_twice_changes_nothing_more(text):
    assert clean_name(clean_name(text)) == clean_name(text)
    assert len(shown(text)) <= 160
    assert shown(text).isprintable() or any(not c.isprintable() for c in clean_name(text))
