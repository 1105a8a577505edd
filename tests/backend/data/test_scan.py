from __future__ import annotations

import tracemalloc
import zipfile
from collections import Counter

import pytest

from backend.config import Settings
from backend.contracts import RunControl
from backend.data import ingest, scan
from backend.data.ingest import BATCH_BYTES
from backend.data.manifest import load_dataset
from backend.data.pictures import read_picture
from backend.data.scan import import_archive
from backend.data.split import require_enough
from backend.errors import ArchiveError, DatasetError, JobCancelled, TooLargeError


def reasons(dataset) -> dict[str, str]:
    return {entry.file: entry.reason for entry in dataset.info.skipped}


def test_folders_become_classes(import_members_of, folders, into):
    dataset = import_members_of(folders({"dog": 3, "cat": 4}))
    assert dataset.info.class_counts == {"cat": 4, "dog": 3}
    assert list(dataset.info.class_counts) == ["cat", "dog"]
    assert (dataset.info.total_images, dataset.info.num_classes, dataset.info.task) == (7, 2, "multiclass")
    assert dataset.info.skipped == ()
    assert dataset.root == into / dataset.info.dataset_id
    assert load_dataset(dataset.root) == dataset


def test_files_are_stored_under_names_of_ours(import_members_of, picture):
    long_name = "x" * 5000
    dataset = import_members_of(
        {
            "a/A.PNG": picture(1),
            "a/a.png": picture(2),
            "b/A.PNG": picture(3),
            f"b/{long_name}.png": picture(4),
            "b/nul:*?.png": picture(5),
        }
    )
    assert dataset.info.total_images == 5
    stored = sorted(path.name for path in (dataset.root / "images").iterdir())
    assert stored == ["00000.pack"]
    names = [item.path.rpartition("/")[2] for item in dataset.items]
    assert names == [f"{item.digest[:16]}.png" for item in dataset.items]
    for item in dataset.items:
        assert len(read_picture(dataset.root, item.path)) > 0


def test_only_sound_pictures_count_in_the_parts_that_are_kept(import_members_of, picture):
    places = [f"{part}/{name}/{n}.png" for part in ("train", "test") for name in "ab" for n in range(3)]
    files = {place: picture(seed) for seed, place in enumerate(places)}
    dataset = import_members_of({**files, "train/a/broken.png": b"no picture"})
    assert dataset.info.total_images == 12
    assert dataset.info.warnings[-1].endswith("are kept: 6 in `train`, 6 in `test`.")


def test_a_telephone_s_pictures_are_called_pictures(import_members_of, folders):
    dataset = import_members_of({**folders({"dog": 3, "cat": 3}), "set/dog/IMG_1.HEIC": b"x", "set/dog/a.txt": b"x"})
    said = reasons(dataset)
    assert said["set/dog/IMG_1.HEIC"].endswith("save it as JPEG or PNG ('.heic')")
    assert said["set/dog/a.txt"].startswith("not an image")


def test_one_picture_twice_gets_two_ids(import_members_of, picture):
    dataset = import_members_of(
        {"a/1.png": picture(1), "a/2.png": picture(1), "a/3.png": picture(1), "b/1.png": picture(2)}
    )
    ids = sorted(item.image_id for item in dataset.items if item.label == "a")
    short = ids[0]
    assert ids == [short, f"{short}-2", f"{short}-3"]
    assert len({item.path for item in dataset.items}) == 2  # equal pictures are stored once
    assert (dataset.root / "images" / "00000.pack").stat().st_size == len(picture(1)) + len(picture(2))


def test_the_digest_depends_on_pictures_and_labels_not_on_names_or_order(import_members_of, picture):
    one = import_members_of({"x/a/1.png": picture(1), "x/b/1.png": picture(2)})
    other = import_members_of({"b/z.png": picture(2), "a/y.png": picture(1)})
    swapped = import_members_of({"a/1.png": picture(2), "b/1.png": picture(1)})
    assert one.info.digest == other.info.digest != swapped.info.digest
    assert one.info.dataset_id != other.info.dataset_id


def test_sizes_are_recorded_as_people_see_them(import_members_of, picture):
    dataset = import_members_of({"a/1.png": picture(1, size=(7, 5)), "b/1.png": picture(2, size=(3, 9))})
    assert [(item.width, item.height) for item in dataset.items] == [(7, 5), (3, 9)]


def test_everything_that_is_left_out_is_listed_with_its_reason(import_members_of, folders, picture):
    good = picture(50, form="JPEG", size=(40, 40))
    dataset = import_members_of(
        folders({"a": 2, "b": 2})
        | {
            "set/a/notes.txt": b"hello",
            "set/a/broken.png": b"\x89PNG\r\n\x1a\n broken",
            "set/a/cut.jpg": good[:-300],
            "set/a/empty.jpg": b"",
            "set/a/text.jpg": b"not a picture",
            "set/a/phone.heic": b"heic",
            "set/a/UPPER.JPG": good,
            "set/more.zip": b"PK",
            "set/loose.png": picture(60),
            "set/a/.DS_Store": b"x",
        }
    )
    found = reasons(dataset)
    assert dataset.info.total_images == 5  # four and UPPER.JPG
    assert set(found) == {
        "set/a/notes.txt", "set/a/broken.png", "set/a/cut.jpg", "set/a/empty.jpg",
        "set/a/text.jpg", "set/a/phone.heic", "set/more.zip", "set/loose.png",
    }  # fmt: skip
    assert "'.heic'" in found["set/a/phone.heic"]
    assert "0 bytes" in found["set/a/empty.jpg"]
    assert "damaged" in found["set/a/cut.jpg"]
    assert "beside the class folders" in found["set/loose.png"]


def test_a_picture_over_the_limit_of_pixels_is_skipped(packed, folders, picture, into):
    members = folders({"a": 2, "b": 2}) | {"set/a/large.png": picture(9, size=(200, 200))}
    dataset = import_archive(packed(members), into=into, name="x", settings=Settings(max_image_pixels=10_000))
    assert "200 x 200 = 40000 pixels" in reasons(dataset)["set/a/large.png"]


def test_a_damaged_member_costs_itself_and_nothing_else(packed, folders, picture, into, settings):
    marked = picture(9, size=(64, 64))
    file = packed(folders({"a": 2, "b": 2}) | {"set/a/z.png": marked}, method=zipfile.ZIP_STORED)
    data = bytearray(file.getvalue())
    data[data.index(marked) + 200] ^= 0xFF
    file.seek(0)
    file.write(data)
    dataset = import_archive(file, into=into, name="x", settings=settings)
    assert dataset.info.total_images == 4
    assert "damaged in the archive" in reasons(dataset)["set/a/z.png"]


def test_a_long_list_of_skipped_files_is_cut_and_says_so(import_members_of, folders, monkeypatch):
    monkeypatch.setattr(scan, "MAX_LISTED", 5)
    dataset = import_members_of(folders({"a": 1, "b": 1}) | {f"set/a/{n}.txt": b"x" for n in range(9)})
    assert len(dataset.info.skipped) == 6
    assert dataset.info.skipped[-1].file == "(4 more files)"


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a/readme.txt": b"x"}, "No usable images"),
        ({"inner.zip": b"PK"}, "inside the archive"),
        ({"a/1.png": b"broken", "b/1.png": b"broken"}, "No usable images"),
    ],
)
def test_an_archive_without_images_is_refused_and_says_what_it_saw(import_members_of, into, members, says):
    with pytest.raises(DatasetError, match=says):
        import_members_of(members)
    assert not into.exists() or list(into.iterdir()) == []


def test_a_single_class_is_refused_by_name(import_members_of, folders):
    with pytest.raises(DatasetError, match="'cat'; at least 2 classes"):
        import_members_of(folders({"cat": 3}))


def test_a_second_class_of_damaged_pictures_is_no_second_class(import_members_of, folders):
    with pytest.raises(DatasetError, match=r"'cat'; .*set/dog/1\.png"):
        import_members_of(folders({"cat": 3}) | {"set/dog/1.png": b"broken"})


def test_pictures_without_any_folder_are_refused(import_members_of, picture):
    with pytest.raises(DatasetError, match="one folder for each class"):
        import_members_of({"1.png": picture(1), "2.png": picture(2)})


def test_a_refused_archive_leaves_nothing_behind(packed, folders, into, settings):
    with pytest.raises(ArchiveError):
        import_archive(packed(folders({"a": 2, "b": 2}) | {"../x": b"x"}), into=into, name="x", settings=settings)
    assert not into.exists()


def test_cancelling_leaves_nothing_behind(packed, folders, into, settings, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH_MEMBERS", 1)
    calls = iter([False, False, False, True])
    control = RunControl(cancelled=lambda: next(calls))
    with pytest.raises(JobCancelled):
        import_archive(packed(folders({"a": 3, "b": 3})), into=into, name="x", settings=settings, control=control)
    assert list(into.iterdir()) == []


def test_progress_is_reported_in_words(packed, folders, into, settings):
    seen = []
    control = RunControl(report=seen.append)
    import_archive(packed(folders({"a": 3, "b": 3})), into=into, name="x", settings=settings, control=control)
    assert seen[0].message == "Reading image 1 of 6"


def test_a_full_disk_is_said_before_anything_is_written(packed, folders, into, settings, monkeypatch):
    monkeypatch.setattr(scan, "free_bytes", lambda path: 1000)
    with pytest.raises(TooLargeError, match="0 MiB free"):
        import_archive(packed(folders({"a": 3, "b": 3})), into=into, name="x", settings=settings)
    assert not into.exists()


def test_memory_holds_one_batch_at_a_time(packed, picture, into, settings):
    members = {
        f"{label}/{n}.bmp": picture(seed, size=(500, 400), form="BMP")
        for seed, (label, n) in enumerate((label, n) for label in "ab" for n in range(15))
    }
    file = packed(members, method=zipfile.ZIP_STORED)
    members.clear()
    import_archive(file, into=into, name="warm", settings=settings)
    tracemalloc.start()
    import_archive(file, into=into, name="x", settings=settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BATCH_BYTES + 5 * 600_000  # 30 pictures of 600 kB


@pytest.mark.parametrize(("name", "expected"), [("Autos\x00 \u202eé ", "Autos é"), ("", "dataset"), ("\n", "dataset")])
def test_the_name_is_cleaned(packed, folders, into, settings, name, expected):
    dataset = import_archive(packed(folders({"a": 1, "b": 1})), into=into, name=name, settings=settings)
    assert dataset.info.name == expected


def test_warnings_are_plain_words(import_members_of, folders, picture):
    dataset = import_members_of(
        folders({"many": 7, "bag": 2})
        | {"set/bag/copy.png": picture(0), "set/bag/own.png": picture(900), "set/bag/own2.png": picture(900)}
    )
    text = "\n".join(dataset.info.warnings)
    assert "`bag` has 5 images; 20 is a sensible least." in text
    assert "1 picture stands under more than one label, for instance under `bag` and `many`" in text
    assert "2 images are exact copies" in text


def test_real_images_are_read(shared_data, into, settings):
    with (shared_data / "fashion_mnist.zip").open("rb") as file:
        dataset = import_archive(file, into=into, name="fashion", settings=settings)
    assert set(dataset.info.class_counts.values()) == {20}
    assert dataset.info.num_classes == 10
    assert (dataset.info.skipped, dataset.info.warnings) == ((), ())
    assert len({item.image_id for item in dataset.items}) == 200
    assert {(item.width, item.height) for item in dataset.items} == {(28, 28)}


def test_real_multilabel_data_keep_all_their_labels(shared_data, into, settings):
    dataset = import_archive(shared_data / "pcb_multilabel.zip", into=into, name="pcb", settings=settings)
    assert (dataset.info.task, dataset.info.total_images, dataset.info.num_classes) == ("multilabel", 600, 6)
    assert sum(not item.labels for item in dataset.items) == 169
    assert dataset.info.class_counts == Counter(label for item in dataset.items for label in item.labels)
    require_enough(dataset.info)
    assert dataset.items[0].file.startswith("images/")
