"""Bodies within limits: refused before they are read where the caller says their size, while they are read where not.

It does not know what the bytes mean. Archives go straight to the data folder; nothing is held whole in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from fastapi import APIRouter, Request, Response, UploadFile
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from backend.api.multipart import FormRequest
from backend.config import Settings
from backend.errors import ImageError, TooLargeError

MIB = 1024 * 1024
MAX_JSON_BYTES = MIB
# An image travels to another process in one piece. The largest allowed by default (100 megapixels) is below this as
# JPEG or PNG, and above it only without compression.
MAX_IMAGE_BYTES = 128 * MIB
MULTIPART_OVERHEAD_BYTES = 64 * 1024

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyTooLarge(HTTPException):
    """Raised inside the framework's reading of a body; it lets its own kind through and no other."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


class LimitedRoute(APIRoute):
    """A route whose body may have at most `limit_bytes`; 1 MiB unless a subclass says otherwise."""

    noun: ClassVar[str] = "JSON body"
    small: ClassVar[bool] = True

    def limit_bytes(self, settings: Settings) -> int:
        del settings
        return MAX_JSON_BYTES

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            settings: Settings = request.app.state.services.settings
            limit = self.limit_bytes(settings)
            detail = f"The {self.noun} is larger than the limit of {_size(limit)}."
            if _declared_length(request) > limit + MULTIPART_OVERHEAD_BYTES:
                raise TooLargeError(detail)
            receive = _counted(request.receive, limit + MULTIPART_OVERHEAD_BYTES, detail)
            form = FormRequest(request.scope, receive, folder=settings.uploads_dir, small=self.small)
            try:
                return await handle(form)
            except HTTPException as error:
                # The framework calls whatever goes wrong while a body comes in a bad request; a full disk is none.
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from None
                raise

        return limited


class CorrectionsRoute(LimitedRoute):
    """Takes corrections of up to a hundred thousand images: 80 bytes each."""

    def limit_bytes(self, settings: Settings) -> int:
        del settings
        return 16 * MAX_JSON_BYTES


class ArchiveRoute(LimitedRoute):
    """Takes an archive of up to SIGHTGLASS_MAX_UPLOAD_MB; its `file.name` is a path that other processes may read."""

    noun = "upload"
    small = False

    def limit_bytes(self, settings: Settings) -> int:
        return settings.max_upload_mb * MIB


class TableRoute(LimitedRoute):
    """Takes a table of up to SIGHTGLASS_MAX_TABLE_MB, as a file whose path other processes may read."""

    noun = "table"
    small = False

    def limit_bytes(self, settings: Settings) -> int:
        return settings.max_table_mb * MIB


class RowsRoute(TableRoute):
    """Takes rows as JSON, or a table as a file."""

    noun = "body"


class ImageRoute(LimitedRoute):
    """Takes one image."""

    noun = "image"

    def limit_bytes(self, settings: Settings) -> int:
        return min(MAX_IMAGE_BYTES, settings.max_upload_mb * MIB)


def file_router(route_class: type[LimitedRoute], *, prefix: str = "", tag: str) -> APIRouter:
    """A router for forms with one file and a few short fields."""
    form_limits: Any = {"max_files": 1, "max_fields": 4, "max_part_size": 16 * 1024}
    return APIRouter(prefix=prefix, tags=[tag], route_class=route_class, form_limits=form_limits)


async def read_image(file: UploadFile) -> bytes:
    """Return an uploaded image's bytes; their number was limited while they came in.

    Raises:
        ImageError: there are none.
    """
    content = await file.read()
    if not content:
        raise ImageError("The image file is empty (0 bytes); send a JPEG, PNG, WebP, BMP, GIF or TIFF.")
    return content


def _declared_length(request: Request) -> int:
    try:
        return int(request.headers.get("content-length", "0"))
    except ValueError:
        return 0  # counted while reading


def _counted(receive: Callable[[], Awaitable[Message]], limit: int, detail: str) -> Callable[[], Awaitable[Message]]:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise BodyTooLarge(detail)
        return message

    return counted


def _size(count: int) -> str:
    return f"{count // MIB} MiB"
