"""What is on its way to the disk, and what is said when the disk cannot take it."""

from __future__ import annotations

import threading

import pytest

from backend.storage.flush import flushing


class PowerCut(Exception):
    pass


def test_files_go_to_the_disk_while_others_are_written(tmp_path, monkeypatch):
    reached = threading.Event()
    flushed = []

    def sync(path):
        flushed.append(path)
        reached.set()

    monkeypatch.setattr("backend.storage.flush.flush_file", sync)
    with flushing() as flush:
        flush(tmp_path / "first")
        assert reached.wait(30)  # before the end, and with nobody waiting for it
    assert flushed == [tmp_path / "first"]


def test_a_disk_that_could_not_take_a_file_is_not_kept_secret(tmp_path, monkeypatch):
    begun = threading.Event()

    def sync(path):
        begun.set()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("backend.storage.flush.flush_file", sync)

    def write(trouble=None):
        with flushing() as flush:
            flush(tmp_path / "file")
            assert begun.wait(30)
            if trouble:
                raise trouble

    with pytest.raises(OSError, match="No space left"):
        write()
    with pytest.raises(PowerCut):  # the first trouble counts
        write(PowerCut())
