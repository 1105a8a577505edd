from benchmarks.parts import keep, newest, read


def test_parts_are_appended_and_read_in_order(tmp_path):
    path = tmp_path / "results" / "x.jsonl"
    assert read(path) == []
    for seconds in (1.0, 2.0):
        keep(path, {"side": "ours", "seconds": seconds})
    assert [part["seconds"] for part in read(path)] == [1.0, 2.0]
    assert all(len(part["measured_at"]) == len("2026-11-21 13:40") for part in read(path))


def test_the_newest_part_of_each_combination_counts():
    found = [{"side": "a", "seed": 1, "s": 1}, {"side": "b", "seed": 1, "s": 2}, {"side": "a", "seed": 1, "s": 3}]
    assert [part["s"] for part in newest(found, "side", "seed")] == [3, 2]
