"""Bounds that hold for every request, whatever its route: headers, bodies, patience. Routes set narrower ones.

It knows no routes: a new one is bounded before anybody thinks of it. `backend.api.uploads` has the narrower ones.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.metrics import count_refusal, count_upload
from backend.api.problems import problem

MIB = 1024 * 1024
# The server's parser bounds neither. A browser sends 1 to 8 KiB in 10 to 30 headers.
MOST_HEADERS = 100
MOST_HEADER_BYTES = 64 * 1024
# The largest JSON that any route takes: corrections of a hundred thousand images.
MAX_PLAIN_BYTES = 16 * MIB
FORM_OVERHEAD_BYTES = 64 * 1024
# Bodies that are written to the disk as they come in, and no other way.
STREAMED = ("multipart/form-data", "application/offset+octet-stream")
# Longest silence within a body. A sender that lives, however slow its line, sends something in a minute.
PATIENCE_S = 60.0


class Bounds:
    """ASGI middleware: 431, 413 and 408 where a request is beyond what any route takes."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int, patience_s: float = PATIENCE_S) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size, length, content_type = _measured(scope)
        limit = self._max_upload_bytes if content_type.startswith(STREAMED) else MAX_PLAIN_BYTES
        if size > MOST_HEADER_BYTES or len(scope["headers"]) > MOST_HEADERS:
            count_refusal("headers")
            refusal = problem(
                431,
                "Headers too large",
                f"The address and the headers may have {MOST_HEADER_BYTES // 1024} KiB and {MOST_HEADERS} lines; "
                f"these have {size // 1024} KiB and {len(scope['headers'])} lines.",
            )
            await refusal(scope, receive, send)
        elif length > limit + FORM_OVERHEAD_BYTES:
            count_refusal("body")
            await problem(413, "Too large", _too_large(limit))(scope, receive, send)
        else:
            await self._app(scope, _Body(receive, limit=limit, patience_s=self._patience_s), send)


class _Body:
    """A request's body as it comes in."""

    def __init__(self, receive: Receive, *, limit: int, patience_s: float) -> None:
        self._receive = receive
        self._limit = limit
        self._patience_s = patience_s
        self._seen = 0
        self._ended = False

    async def __call__(self) -> Message:
        if self._ended:  # what comes now is the caller's farewell, which may take as long as it likes
            return await self._receive()
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError:
            count_refusal("silence")
            raise HTTPException(
                408, f"The body stopped coming in for {self._patience_s:.0f} s; send it again."
            ) from None
        size = len(message.get("body", b""))
        self._seen += size
        self._ended = not message.get("more_body", False)
        count_upload(size)
        if self._seen > self._limit + FORM_OVERHEAD_BYTES:
            count_refusal("body")
            raise HTTPException(413, _too_large(self._limit))
        return message


def _measured(scope: Scope) -> tuple[int, int, str]:
    """Bytes of address and headers, the body's declared length, its type."""
    size = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
    length, content_type = 0, ""
    for name, value in scope["headers"]:
        size += len(name) + len(value) + 4
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            length = int(value)
        elif name == b"content-type":
            content_type = value.decode("latin-1").lower()
    return size, length, content_type


def _too_large(limit: int) -> str:
    return (
        f"The body is larger than the limit of {limit // MIB} MiB. Send it in several parts: the pictures of a second "
        "archive can be added to a dataset."
    )
