"""What may befall a run from outside: a full disk, a folder that may not be written to, no memory. In plain words.

It does not know what was being done.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import DiskFullError, OutOfMemory, SightglassError, UnavailableError
from backend.storage.files import free_bytes, is_disk_full

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def in_plain_words(folder: Path) -> Iterator[None]:
    """Turn what the machine says into what a person can act on. `folder` is where the run writes.

    Raises:
        DiskFullError, OutOfMemory, UnavailableError: the machine stood in the way.
        Exception: anything else, as it was.
    """
    try:
        yield
    except SightglassError as error:
        if isinstance(error, UnavailableError) and is_disk_full(error):
            raise _full(folder) from error
        raise
    except MemoryError as error:
        raise OutOfMemory(
            "The machine's memory was used up. Choose smaller networks or a smaller batch_size, end other programs, "
            "or take a machine with more memory; then start the job again."
        ) from error
    except Exception as error:
        if is_disk_full(error):
            raise _full(folder) from error
        if isinstance(error, OSError) and error.errno in READ_ONLY:
            raise UnavailableError(
                f"'{Path(error.filename or folder).name}' cannot be written to ({error.strerror}). Give the service's "
                "user the right to write to its data folder; then start the job again."
            ) from error
        if isinstance(error, OSError) and error.errno == errno.EIO:
            raise UnavailableError(
                f"The disk answered with an error ({error.strerror}). Check the disk; then start the job again."
            ) from error
        raise


def _full(folder: Path) -> DiskFullError:
    free = free_bytes(folder) // 2**20
    return DiskFullError(
        f"The disk of the data folder is full ({free} MiB free). Free some space, delete datasets or models that are "
        "no longer needed, or lower SIGHTGLASS_CACHE_MB; then start the job again."
    )
