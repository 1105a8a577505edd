"""The bundled ZIPs are what their scripts draw, and small."""

import io
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from sample_datasets import SAMPLES, digits, sample_path, shapes
from sample_datasets.packing import write_archive


def labels_in(path):
    with zipfile.ZipFile(path) as archive:
        return Counter(name.split("/")[1] for name in archive.namelist())


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_lies_beside_the_code_and_is_small(sample):
    assert sample.path.stat().st_size <= 600 * 1024


def test_shapes_holds_forty_images_of_each_of_five_shapes():
    assert labels_in(sample_path("shapes")) == dict.fromkeys(shapes.SHAPES, 40)


def test_digits_holds_thirty_images_of_each_of_ten_digits():
    counts = labels_in(sample_path("digits"))
    assert len(counts) == 10
    assert set(counts.values()) == {30}


def test_an_unknown_sample_is_refused_with_the_names_there_are():
    with pytest.raises(KeyError, match="shapes, digits"):
        sample_path("triangles")


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_a_committed_shape_is_what_the_script_draws(shape):
    with zipfile.ZipFile(sample_path("shapes")) as archive:
        committed = pixels(archive.read(f"shapes/{shape}/{shape}_07.jpg"))
    drawn = np.asarray(shapes.draw_shape(shape, 7), dtype=np.float64)
    # JPEG loses a few levels on edges; another shape or number differs by far more than 5 on average.
    assert np.abs(committed - drawn).mean() < 5
    assert np.abs(committed - np.asarray(shapes.draw_shape(shape, 8), dtype=np.float64)).mean() > 15


def test_the_committed_digits_are_what_the_script_makes():
    with zipfile.ZipFile(sample_path("digits")) as archive:
        committed = {name: pixels(archive.read(name)) for name in archive.namelist()}
    made = {name: np.asarray(image.convert("RGB"), dtype=np.float64) for name, image in digits.draw_all()}
    assert committed.keys() == made.keys()
    assert max(np.abs(committed[name] - made[name]).max() for name in made) <= 2


def test_the_same_images_give_the_same_archive_bytes(tmp_path):
    images = [(f"shapes/star/{number}.jpg", shapes.draw_shape("star", number)) for number in range(3)]
    for name in ("one.zip", "two.zip"):
        assert write_archive(tmp_path / name, iter(images)) == 3
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zip", "two.zip"]
