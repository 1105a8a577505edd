import os
import time
from pathlib import Path

import pytest

from backend.errors import ConflictError, UnavailableError
from backend.storage.files import (
    atomic_directory,
    atomic_write,
    check_writable,
    free_bytes,
    new_id,
    remove_leftovers,
    remove_tree,
    remove_unfinished,
)


class PowerCut(Exception):
    pass


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "deep" / "file.json"
    atomic_write(target, "älter")
    atomic_write(target, b"newer")
    assert target.read_bytes() == b"newer"
    assert [entry.name for entry in target.parent.iterdir()] == ["file.json"]


@pytest.mark.skipif(os.name != "posix", reason="Windows does not let an open file be replaced")
def test_who_reads_a_file_while_it_is_replaced_reads_the_old_one_to_its_end(tmp_path):
    target = tmp_path / "file.json"
    atomic_write(target, "old and whole")
    with target.open() as reader:
        atomic_write(target, "new")
        assert reader.read() == "old and whole"


def test_a_folder_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "models" / "m1"
    with atomic_directory(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "weights").write_bytes(b"123")
        assert not target.exists()
    assert (target / "sub" / "weights").read_bytes() == b"123"
    assert [entry.name for entry in target.parent.iterdir()] == ["m1"]


def test_a_block_that_raises_leaves_no_trace(tmp_path):
    def write_half():
        with atomic_directory(tmp_path / "m1") as folder:
            (folder / "half").write_bytes(b"1")
            raise PowerCut

    with pytest.raises(PowerCut):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path):
    (tmp_path / "m1").mkdir()
    with pytest.raises(ConflictError, match="m1"), atomic_directory(tmp_path / "m1"):
        pass


def test_losing_a_race_for_the_name_is_a_conflict_and_keeps_the_winner(tmp_path):
    target = tmp_path / "m1"

    def write_too_late():
        with atomic_directory(target) as folder:
            (folder / "mine").write_bytes(b"1")
            target.mkdir()
            (target / "theirs").write_bytes(b"2")

    with pytest.raises(ConflictError, match="another process"):
        write_too_late()
    assert [entry.name for entry in target.iterdir()] == ["theirs"]


def test_free_space_is_known_for_folders_that_do_not_exist_yet(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") > 0


def test_ids_match_the_pattern_of_the_contract_and_differ():
    ids = {new_id("ds") for _ in range(100)}
    assert len(ids) == 100
    assert all(len(one) == 13 and one.startswith("ds-") for one in ids)


def test_a_removed_tree_is_gone_and_removing_it_again_is_no_fault(tmp_path):
    folder = tmp_path / "ds"
    folder.mkdir()
    (folder / "x").write_bytes(b"1")
    remove_tree(folder)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_that_remove_a_tree_the_second_finds_nothing_to_do(tmp_path, monkeypatch):
    """Two services start on one data folder, and both clear what a third machine has removed."""
    folder = tmp_path / "doomed"
    folder.mkdir()
    renamed = Path.rename

    def after_another(path, target):
        monkeypatch.setattr(Path, "rename", renamed)
        remove_tree(folder)
        return renamed(path, target)

    monkeypatch.setattr(Path, "rename", after_another)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_a_folder_goes_and_nothing_else(tmp_path):
    for name in (".tmp-0123456789-model-1", ".tmp-0123456789-model-11", ".tmp-0123456789-model-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half.pth").write_bytes(b"1")
    remove_unfinished(tmp_path / "model-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-0123456789-model-11", ".tmp-0123456789-model-2"]


def test_only_old_leftovers_are_cleared(tmp_path):
    old, fresh, real = tmp_path / ".tmp-old", tmp_path / ".tmp-fresh", tmp_path / "real"
    for folder in (old, fresh, real):
        folder.mkdir()
    (tmp_path / ".tmp-file").write_bytes(b"1")
    long_ago = time.time() - 90_000
    for entry in (old, real, tmp_path / ".tmp-file"):
        os.utime(entry, (long_ago, long_ago))
    assert remove_leftovers(tmp_path) == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".tmp-fresh", "real"]


def test_a_write_that_ends_between_being_listed_and_being_looked_at_is_no_leftover(tmp_path, monkeypatch):
    """Two nodes of a cluster share a cache: one clears leftovers while the other renames what it has written."""
    listed = Path.glob

    def glob_then_rename(folder, pattern):
        found = list(listed(folder, pattern))
        (tmp_path / ".tmp-written").rename(tmp_path / "head.npz")
        return found

    (tmp_path / ".tmp-written").write_bytes(b"1")
    monkeypatch.setattr(Path, "glob", glob_then_rename)
    assert remove_leftovers(tmp_path, older_than_s=0) == 0
    assert (tmp_path / "head.npz").read_bytes() == b"1"


def test_a_folder_that_cannot_be_written_to_is_unavailable(tmp_path):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(UnavailableError, match="cannot be written"):
        check_writable(tmp_path / "file")
