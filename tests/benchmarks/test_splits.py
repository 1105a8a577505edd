from benchmarks.splits import count, divide, find_data


def contents(folder):
    return {path.read_bytes() for path in folder.glob("*/*")}


def test_a_split_is_written_as_class_folders_without_overlap(make_zip, tmp_path):
    archive = make_zip({"circle": 8, "square": 8})
    folders = divide(archive, tmp_path / "split", test_size=0.5, seed=1)
    assert (count(folders.train), count(folders.test)) == (8, 8)
    for folder in (folders.train, folders.test):
        assert sorted(path.name for path in folder.iterdir()) == ["circle", "square"]
    assert len(contents(folders.train) | contents(folders.test)) == 16


def test_the_seed_decides_the_split(make_zip, tmp_path):
    archive = make_zip({"circle": 8, "square": 8})
    first, same, other = (
        contents(divide(archive, tmp_path / name, test_size=0.5, seed=seed).test)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == same != other


def test_data_that_is_absent_is_stood_in_for_by_a_bundled_sample():
    assert find_data("no-such-set.zip").name == "digits.zip"
    assert find_data("shapes.zip").name == "shapes.zip"
