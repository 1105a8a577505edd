"""The object storage: whole objects in and out, through fsspec. It does not know what they mean.

fsspec and the library of the store are loaded with the first use, not with this module: 0.4 s that a service on local
files never spends. Credentials and endpoints come from where each library looks for them (`AWS_*` for S3); no message
repeats them.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from backend.errors import NotFoundError, UnavailableError
from backend.storage.addresses import store_name

log = logging.getLogger(__name__)

MARKER = "sightglass.json"
# A store that does not answer is told apart from a slow one after 5 s; a part of a large object may take a minute.
S3_OPTIONS: dict[str, Any] = {
    "use_listings_cache": False,
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2, "mode": "standard"}},
}
# What the libraries raise beside OSError; looked up by name, so that none is loaded for it.
LIBRARY_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
)
# What the local disk says, which the caller has to hear as it is.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Bucket:
    """One folder of an object storage, such as `s3://bucket/prefix`. Thread-safe; opened with its first use."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = store_name(url)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Write an object, whole or not at all."""
        with self._answering(key):
            self._system.pipe_file(self._path(key), data)

    def put_file(self, key: str, source: Path) -> None:
        """Write a file as an object; large ones go in parts and never through memory as a whole."""
        with self._answering(key):
            self._system.put_file(str(source), self._path(key))

    def get_bytes(self, key: str, *, start: int | None = None, end: int | None = None) -> bytes:
        """Read an object, or the bytes `start` to `end` of it.

        Raises:
            NotFoundError: it is not there.
        """
        with self._answering(key), _found(key, self.name):
            found: bytes = self._system.cat_file(self._path(key), start=start, end=end)
        return found

    def get_file(self, key: str, target: Path) -> None:
        """Read an object into a file, a part at a time.

        Raises:
            NotFoundError: it is not there.
        """
        with self._answering(key), _found(key, self.name):
            self._system.get_file(self._path(key), str(target))

    def remove(self, key: str) -> None:
        """Remove all objects below a key; there may be none."""
        with self._answering(key):
            try:
                self._system.rm(self._path(key), recursive=True)
            except FileNotFoundError:
                log.info("nothing to remove", extra={"key": key})

    def check(self) -> None:
        """Ask for a sign of life: one small object, written where it is not there yet.

        Raises:
            UnavailableError: none is given, or nothing may be written there.
        """
        try:
            self.get_bytes(MARKER)
        except NotFoundError:
            self.put_bytes(MARKER, b'{"format": 1}\n')

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        protocol = self._url.partition("://")[0]
        options = S3_OPTIONS if protocol in {"s3", "s3a"} else {"auto_mkdir": True} if protocol == "file" else {}
        try:
            system, root = url_to_fs(self._url, **options)
        except (ValueError, ImportError) as error:
            raise UnavailableError(
                f"SIGHTGLASS_STORAGE_URL cannot be used: '{protocol}' is no storage whose package is installed. "
                "s3://bucket/folder comes with Sightglass; others are named in fsspec's documentation."
            ) from error
        return system, root.rstrip("/")

    @property
    def _system(self) -> Any:
        return self._opened[0]

    def _path(self, key: str) -> str:
        return f"{self._opened[1]}/{key}"

    @contextmanager
    def _answering(self, key: str) -> Iterator[None]:
        try:
            yield
        except _failures() as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise
            log.warning("object storage failed", extra={"store": self.name, "key": key, "reason": str(error)[:300]})
            raise UnavailableError(
                f"The object storage {self.name} does not answer as it should ({type(error).__name__}); try again in a "
                "moment. The service's log says more."
            ) from error


@contextmanager
def _found(key: str, name: str) -> Iterator[None]:
    """For reading: what is not there is not found. For writing the same error says that there is no such bucket."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"The object storage {name} has no '{key}', or there is no such bucket.") from error


def _failures() -> tuple[type[BaseException], ...]:
    found = [getattr(sys.modules[module], name) for module, name in LIBRARY_ERRORS if module in sys.modules]
    return (OSError, TimeoutError, *found)
