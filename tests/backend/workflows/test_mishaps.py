import errno
import resource

import pytest
import torch
from safetensors.torch import save_file

from backend.errors import DatasetError, DiskFullError, OutOfMemory, SightglassError, UnavailableError
from backend.workflows.mishaps import in_plain_words


def told(error, folder):
    with pytest.raises(SightglassError) as caught, in_plain_words(folder):
        raise error
    return caught.value


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_what_to_do(code, tmp_path):
    error = told(OSError(code, "No room", "x.npz"), tmp_path)
    assert isinstance(error, DiskFullError)
    assert error.status == 507
    assert "MiB free" in error.detail
    assert "start the job again" in error.detail
    assert "Errno" not in error.detail


def test_a_full_disk_behind_another_error_is_found(tmp_path):
    outer = UnavailableError("The database does not answer.")
    outer.__cause__ = RuntimeError("(sqlite3.OperationalError) database or disk is full")
    assert isinstance(told(outer, tmp_path), DiskFullError)


def test_memory_a_forbidden_folder_and_a_failing_disk_are_said(tmp_path):
    assert isinstance(told(MemoryError(), tmp_path), OutOfMemory)
    error = told(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "models")), tmp_path)
    assert isinstance(error, UnavailableError)
    assert "'models' cannot be written to (Permission denied)" in error.detail
    assert "Check the disk" in told(OSError(errno.EIO, "Input/output error"), tmp_path).detail


def test_what_is_known_already_and_what_nobody_knows_goes_through(tmp_path):
    known = DatasetError("Too few pictures.")
    assert told(known, tmp_path) is known
    with pytest.raises(ZeroDivisionError), in_plain_words(tmp_path):
        raise ZeroDivisionError


@pytest.fixture
def small_files():
    """No file of this process may become larger than 64 KiB: what the libraries say then is what they say."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_torch_s_own_words_for_a_write_that_fails_are_known(tmp_path):
    with pytest.raises(DiskFullError), in_plain_words(tmp_path):
        torch.save({"weights": torch.zeros(100_000)}, tmp_path / "model.pth")


@pytest.mark.usefixtures("small_files")
def test_safetensors_says_which_error_it_was(tmp_path):
    with pytest.raises(Exception, match="os error 27"):  # EFBIG; a full disk is 28 with "No space left on device"
        save_file({"weights": torch.zeros(100_000)}, tmp_path / "model.safetensors")
