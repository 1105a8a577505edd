from __future__ import annotations

import pytest

from backend.errors import DatasetError


def labels(dataset) -> list[str]:
    return list(dataset.info.class_counts)


def reasons(dataset) -> dict[str, str]:
    return {entry.file: entry.reason for entry in dataset.info.skipped}


def with_table(picture, table: str | bytes, *, count: int = 4, name: str = "labels.csv") -> dict[str, bytes]:
    data = table.encode() if isinstance(table, str) else table
    return {f"images/{n}.png": picture(n) for n in range(count)} | {name: data}


@pytest.mark.parametrize("prefix", ["", "a/", "a/b/c/", "./a//"])
def test_wrapping_folders_are_no_classes(import_members_of, picture, prefix):
    dataset = import_members_of({f"{prefix}cat/1.png": picture(1), f"{prefix}dog/1.png": picture(2)})
    assert labels(dataset) == ["cat", "dog"]


def test_classes_at_different_depths_are_found(import_members_of, picture):
    dataset = import_members_of({"x/cat/1.png": picture(1), "x/y/z/dog/1.png": picture(2), "emu/1.png": picture(3)})
    assert labels(dataset) == ["cat", "dog", "emu"]


def test_split_folders_are_kept_and_said(import_members_of, picture):
    dataset = import_members_of(
        {
            "d/train/cat/1.png": picture(1),
            "d/test/cat/1.png": picture(2),
            "d/train/dog/1.png": picture(3),
            "d/Val/dog/1.png": picture(4),
        }
    )
    assert dataset.info.class_counts == {"cat": 2, "dog": 2}
    assert sorted(item.subset for item in dataset.items) == ["test", "train", "train", "val"]
    assert any("2 in `train`, 1 in `val`, 1 in `test`" in warning for warning in dataset.info.warnings)


def test_a_single_split_folder_says_nothing(import_members_of, picture):
    dataset = import_members_of({"train/cat/1.png": picture(1), "train/dog/1.png": picture(2)})
    assert {item.subset for item in dataset.items} == {None}
    assert not any("parts" in warning for warning in dataset.info.warnings)


def test_split_folders_below_the_classes_are_no_classes(import_members_of, picture):
    names = ["cat/train/1.png", "cat/test/2.png", "dog/train/3.png", "dog/test/4.png"]
    dataset = import_members_of({f"set/{name}": picture(seed) for seed, name in enumerate(names)})
    assert dataset.info.class_counts == {"cat": 2, "dog": 2}
    assert [(item.label, item.subset) for item in dataset.items if item.subset == "test"] == [
        ("cat", "test"),
        ("dog", "test"),
    ]


def test_a_class_name_with_a_colon_is_a_name(import_members_of, picture):
    assert labels(import_members_of({"a:b/1.png": picture(1), "c: d/2.png": picture(2)})) == ["a:b", "c: d"]


def test_unlabelled_test_pictures_are_no_class_of_their_own(import_members_of, picture):
    dataset = import_members_of(
        {"train/cat/1.png": picture(1), "train/dog/1.png": picture(2), "test/001.png": picture(3)}
    )
    assert labels(dataset) == ["cat", "dog"]
    assert "lies in 'test' itself" in reasons(dataset)["test/001.png"]


def test_a_class_may_be_called_test(import_members_of, picture):
    assert labels(import_members_of({"test/1.png": picture(1), "control/1.png": picture(2)})) == ["control", "test"]


def test_class_names_keep_what_people_wrote(import_members_of, picture):
    names = ["Äpfel & Birnen", "猫", "T-shirt_top", "👩‍🔬", "crème brûlée"]
    dataset = import_members_of({f"{name}/1.png": picture(seed) for seed, name in enumerate(names)})
    assert labels(dataset) == sorted(names)


def test_control_characters_are_stripped_from_class_names(import_members_of, picture):
    dataset = import_members_of(
        {"ca\x07t\u202e /1.png": picture(1), "cat/2.png": picture(2), "do\ng/1.png": picture(3)}
    )
    assert dataset.info.class_counts == {"cat": 2, "dog": 1}


def test_composed_and_decomposed_letters_are_one_name(import_members_of, picture):
    dataset = import_members_of(
        {"e\u0301t\u00e9/1.png": picture(1), "\u00e9te\u0301/2.png": picture(2), "b/1.png": picture(3)}
    )
    assert dataset.info.class_counts == {"b": 1, "été": 2}


def test_a_class_name_beyond_measure_is_skipped(import_members_of, picture, folders):
    dataset = import_members_of(folders({"a": 1, "b": 1}) | {f"{'x' * 300}/1.png": picture(9)})
    assert labels(dataset) == ["a", "b"]
    assert "300 characters" in dataset.info.skipped[0].reason


def test_classes_that_differ_in_case_stay_apart_with_a_warning(import_members_of, picture):
    dataset = import_members_of({"Cat/1.png": picture(1), "cat/1.png": picture(2)})
    assert labels(dataset) == ["Cat", "cat"]
    assert any("`Cat` and `cat` differ only in upper and lower case" in warning for warning in dataset.info.warnings)


@pytest.mark.parametrize(
    "table",
    [
        "filename,label\n0.png,cat\n1.png,cat\n2.png,dog\n3.png,dog\n",
        "filename;label\r\nimages/0.png;cat\r\nimages/1.png;cat\r\nimages/2.png;dog\r\nimages/3.png;dog\r\n",
        "Label\tFileName\ncat\t.\\images\\0.png\ncat\t1.png\n\ndog\t2.png\ndog\t3.png",
        "\ufefffilename,source,label\n0.png,x,cat\n1.png,,cat\n2.png,y,dog\n3.png,z,dog\n",
        "filename,label\n0.png,cat\n1.png,cat\n2.png,dog\n3.png,dog\n".encode("utf-16"),
    ],
    ids=["plain", "semicolons", "tabs", "extra column", "utf-16"],
)
def test_a_table_gives_the_classes_however_it_was_saved(import_members_of, picture, table):
    dataset = import_members_of(with_table(picture, table))
    assert dataset.info.class_counts == {"cat": 2, "dog": 2}
    assert dataset.info.skipped == ()


def test_a_table_in_an_old_code_page_keeps_its_letters(import_members_of, picture):
    table = "filename,label\n0.png,Äpfel\n1.png,b\n2.png,b\n3.png,b".encode("cp1252")
    assert labels(import_members_of(with_table(picture, table))) == ["b", "Äpfel"]


def test_a_table_beside_its_pictures_is_read_from_there(import_members_of, picture):
    members = {
        "one/labels.csv": b"filename,label\n1.png,cat\n",
        "one/1.png": picture(1),
        "two/Labels.CSV": b"filename,label\n1.png,dog\n",
        "two/1.png": picture(2),
    }
    assert import_members_of(members).info.class_counts == {"cat": 1, "dog": 1}


def test_rows_and_pictures_without_each_other_are_listed(import_members_of, picture):
    table = "filename,label\n0.png,cat\n1.png,dog\n1.png,cat\ngone.png,cat\n2.png,\nsame.png,cat\n3.JPG,cat\nx/3,cat\n"
    members = with_table(picture, table) | {"a/same.png": picture(20), "b/same.png": picture(21)}
    dataset = import_members_of(members)
    found = reasons(dataset)
    assert dataset.info.class_counts == {"cat": 1, "dog": 1}
    assert "named twice" in found["1.png"]
    assert "not in the archive" in found["gone.png"]
    assert "empty" in found["2.png"]
    assert "2 pictures in different folders" in found["same.png"]
    assert found["images/3.png"] == "not named in labels.csv"
    for nearly in ("3.JPG", "x/3"):
        assert found[nearly] == (
            "named in labels.csv, but in the archive it is called 'images/3.png'; write that into labels.csv"
        )
    assert len(found) == 7


def test_one_file_that_was_skipped_is_one_file(import_members_of):
    with pytest.raises(DatasetError, match=r"One file was skipped: 'notes.txt' \("):
        import_members_of({"notes.txt": b"hello"})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("filename,cat,dog\n0.png,red,0\n", "has the columns 'filename', 'cat', 'dog'"),
        ("photo,class\n0.png,cat\n", "'filename' and 'label'"),
        ("filename,cat,dog\n0.png,0,0\n", "has the columns"),
        ("", "columns none"),
        ("filename,label\n", "no rows"),
        ("filename,label\n" + "x" * 200_000 + ",cat\n", "cannot be read as a table"),
    ],
)
def test_a_table_of_another_kind_is_refused_and_says_what_is_needed(import_members_of, picture, table, says):
    with pytest.raises(DatasetError, match=says):
        import_members_of(with_table(picture, table))


@pytest.mark.parametrize(
    "table",
    [
        "filename,label\n0.png,cat|dog\n1.png,cat\n2.png,\n3.png,dog; cat\n",
        "image;labels\n0.png;cat,dog\n1.png;cat\n2.png;\n3.png;dog,cat,dog\n",
        'file_name,labels\n0.png,"[""cat"", ""dog""]"\n1.png,"[""cat""]"\n2.png,[]\n3.png,"[\'dog\', \'cat\']"\n',
        "filename,cat,dog\n0.png,1,1\n1.png,1,0\n2.png,0,0\n3.png,1.0,true\n",
    ],
    ids=["one cell", "commas under labels", "lists", "a column a class"],
)
def test_several_labels_for_one_picture_are_kept(import_members_of, picture, table):
    dataset = import_members_of(with_table(picture, table))
    assert dataset.info.task == "multilabel"
    assert sorted(item.labels for item in dataset.items) == [(), ("cat",), ("cat", "dog"), ("cat", "dog")]
    assert sorted(item.label for item in dataset.items) == ["", "cat", "cat", "cat"]
    assert dataset.info.class_counts == {"cat": 3, "dog": 2}
    assert dataset.info.skipped == ()


def test_flags_that_name_one_class_each_are_one_class_a_picture(import_members_of, picture):
    table = "filename,cat,dog\n0.png,1,0\n1.png,1,0\n2.png,0,1\n3.png,0,1\n"
    dataset = import_members_of(with_table(picture, table))
    assert (dataset.info.task, dataset.info.class_counts) == ("multiclass", {"cat": 2, "dog": 2})
    assert any("one class for each picture" in warning for warning in dataset.info.warnings)


def test_metadata_as_hugging_face_has_it(import_members_of, picture):
    members = {
        "train/metadata.csv": b"file_name,label\na.png,cat\nb.png,dog\n",
        "train/a.png": picture(1),
        "train/b.png": picture(2),
        "test/metadata.csv": b"file_name,label\na.png,dog\n",
        "test/a.png": picture(3),
    }
    dataset = import_members_of(members)
    assert dataset.info.class_counts == {"cat": 1, "dog": 2}
    assert sorted((item.label, item.subset) for item in dataset.items) == [
        ("cat", "train"),
        ("dog", "test"),
        ("dog", "train"),
    ]


def test_metadata_without_labels_leaves_the_folders_their_say(import_members_of, picture):
    members = {"cat/1.png": picture(1), "dog/1.png": picture(2), "metadata.csv": b"file_name,text\ncat/1.png,a cat\n"}
    dataset = import_members_of(members)
    assert labels(dataset) == ["cat", "dog"]
    assert "metadata.csv" in reasons(dataset)


def test_a_table_may_name_the_parts(import_members_of, picture):
    table = "filename,label,split\n0.png,cat,train\n1.png,dog,Train\n2.png,cat,test\n3.png,dog,\n"
    dataset = import_members_of(with_table(picture, table))
    assert sorted(str(item.subset) for item in dataset.items) == ["None", "test", "train", "train"]


SEVERSTAL = {
    "rows for defects": "ImageId,ClassId,EncodedPixels\n0.png,3,1 5 9 2\n0.png,1,4 4\n1.png,1,7 1\n",
    "a row for every pair": "ImageId_ClassId,EncodedPixels\n0.png_1,4 4\n0.png_2,\n0.png_3,1 5 9 2\n1.png_1,7 1\n1.png_2,\n",
}


@pytest.mark.parametrize("table", SEVERSTAL.values(), ids=SEVERSTAL)
def test_a_severstal_table_gives_labels_and_keeps_its_masks(import_members_of, picture, table):
    members = {f"train_images/{n}.png": picture(n) for n in range(4)}
    members |= {"test_images/9.png": picture(9), "train.csv": table.encode()}
    dataset = import_members_of(members)
    assert dataset.info.task == "multilabel"
    assert dataset.info.class_counts == {"1": 2, "3": 1}
    assert sorted(item.labels for item in dataset.items) == [(), (), ("1",), ("1", "3")]
    assert "does not speak of" in reasons(dataset)["test_images/9.png"]
    both = next(item.image_id for item in dataset.items if item.labels == ("1", "3"))
    rows = (dataset.root / "masks.csv").read_text().splitlines()
    assert rows[0] == "image_id,label,pixels"
    assert {f"{both},3,1 5 9 2", f"{both},1,4 4"} < set(rows)
    assert len(rows) == 4


def test_any_other_table_is_only_a_file_that_is_no_image(import_members_of, folders):
    dataset = import_members_of(folders({"a": 1, "b": 1}) | {"set/train.csv": b"id,class\n1,2\n"})
    assert list(reasons(dataset)) == ["set/train.csv"]
