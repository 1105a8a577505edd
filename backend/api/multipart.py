"""Forms whose file goes straight to the data folder: not to the system's, which often is small or lies in memory.

It does not know what the bytes mean. Writing happens on threads, so that other requests do not wait for the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from backend.storage.files import TEMPORARY_PREFIX

# Bytes that are collected before a thread writes them. Each hop costs 0.1 ms and the server hands on 64 KiB at a time.
BLOCK = 2**20


class _OnDisk(UploadFile):
    """A file of a form, written a block at a time."""

    def __init__(self, *, folder: Path, filename: str | None, headers: Headers) -> None:
        file = tempfile.NamedTemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX, buffering=BLOCK)  # noqa: SIM115
        super().__init__(file=file, size=0, filename=filename, headers=headers)  # type: ignore[arg-type]
        self._block = bytearray()

    async def write(self, data: bytes) -> None:
        self._block += data
        if len(self._block) >= BLOCK:
            await self._pass_on()

    async def seek(self, offset: int) -> None:
        await self._pass_on()
        await super().seek(offset)

    async def _pass_on(self) -> None:
        block, self._block = bytes(self._block), bytearray()
        await super().write(block)


class _Parser(MultiPartParser):
    """Starlette's parser, but for where files go: to `folder`, small ones only where they outgrow the memory."""

    folder: Path
    small: bool

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is None:
            return
        spooled = self._files_to_close_on_error.pop()
        spooled.close()
        filename, headers = part.file.filename, part.file.headers
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.small:
            file: Any = tempfile.SpooledTemporaryFile(max_size=self.spool_max_size, dir=str(self.folder))  # noqa: SIM115
            part.file = UploadFile(file=file, size=0, filename=filename, headers=headers)
        else:
            part.file = _OnDisk(folder=self.folder, filename=filename, headers=headers)
        self._files_to_close_on_error.append(part.file.file)  # type: ignore[arg-type]


class FormRequest(Request):
    """A request whose form's files are written to `folder`; `small` ones stay in memory up to 1 MiB."""

    def __init__(self, scope: Any, receive: Any, *, folder: Path, small: bool) -> None:
        super().__init__(scope, receive)
        self._folder = folder
        self._small = small

    async def _get_form(
        self, *, max_files: float = 1000, max_fields: float = 1000, max_part_size: int = 1024 * 1024
    ) -> FormData:
        content_type = self.headers.get("content-type", "")
        if self._form is not None or not content_type.lower().startswith("multipart/form-data"):
            return await super()._get_form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
        stream: AsyncGenerator[bytes, None] = self.stream()
        parser = _Parser(self.headers, stream, max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
        parser.folder, parser.small = self._folder, self._small
        try:
            self._form = await parser.parse()
        except MultiPartException as error:
            raise HTTPException(400, error.message) from error
        finally:
            await stream.aclose()
        return self._form
