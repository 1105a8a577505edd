"""Answers in the reader's language: `Accept-Language` in, `Content-Language` and `Vary` out.

What the service says is raised and stored in English (docs/decisions/0033); here, at the outermost edge, the sentences
of a JSON answer or of an event are put into the language that was asked for. Pictures, downloads and predictions hold
none and pass as they are. It does not know which fields are sentences: `backend.i18n.answers` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from anyio import to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.rate_limits import PREDICTING
from backend.api.raw_headers import header_values
from backend.i18n.answers import said
from backend.i18n.languages import SOURCE, catalogue_of, preferred

HEADER = b"accept-language"
_ASKED = frozenset({HEADER})
JSON_TYPES = (b"application/json", b"application/problem+json")
EVENTS = b"text/event-stream"
# Successes without a sentence of ours: predictions, the OpenAPI document (English), the audit log with its names.
AS_THEY_ARE = (*PREDICTING, "/openapi.json", "/api/cv/audit", "/health", "/api/health")
FIRST_REFUSAL = 400
# Reading and writing JSON takes some 20 ms a MiB, too long for the thread that answers everybody.
QUICK_BYTES = 64 * 1024


class Languages:
    """ASGI middleware: puts sentences into the language that a request asks for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = _unless_it_goes_well(scope, send) if _as_it_is(scope["path"]) else _Answer(scope, send)
        await self._app(scope, receive, send)


def _unless_it_goes_well(scope: Scope, send: Send) -> Send:
    """What sends a success as it is, and says a refusal in the reader's language. A prediction passes here."""
    refusal: _Answer | None = None

    async def send_on(message: Message) -> None:
        nonlocal refusal
        if message["type"] == "http.response.start" and message["status"] >= FIRST_REFUSAL:
            refusal = _Answer(scope, send)
        await (send if refusal is None else refusal)(message)

    return send_on


class _Answer:
    """One answer on its way out. English passes piece by piece; JSON in another language is held until it is whole."""

    __slots__ = ("_body", "_kind", "_language", "_scope", "_send", "_start")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._kind = b""
        self._language = SOURCE
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._language == SOURCE:
            await self._send(message)
        elif self._kind == EVENTS:
            await self._send({**message, "body": _event(message.get("body", b""), self._language)})
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_whole()

    async def _begin(self, message: Message) -> None:
        self._kind = _kind(message)
        if self._kind:  # the language is looked for where there is something to say
            self._language = language_of(self._scope)
            message = {**message, "headers": _spoken(message["headers"], self._language)}
        self._start = message
        if not self._held:
            await self._send(message)

    @property
    def _held(self) -> bool:
        return self._language != SOURCE and self._kind in JSON_TYPES

    async def _send_whole(self) -> None:
        body = bytes(self._body)
        if len(body) <= QUICK_BYTES:
            body = in_language(body, self._language)
        else:
            body = await to_thread.run_sync(in_language, body, self._language)
        # An ETag names the bytes that were not sent, and a length is another one now.
        headers = [pair for pair in self._start["headers"] if pair[0] not in (b"content-length", b"etag")]
        if self._body:
            headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def language_of(scope: Scope) -> str:
    """The language that a request asks for."""
    asked = header_values(scope, _ASKED).get(HEADER)
    return SOURCE if asked is None else preferred(asked)


def in_language_of(scope: Scope, answer: Response) -> Response:
    """An answer that is made outside of the middleware, in the language that its request asks for."""
    language = language_of(scope)
    headers = {**answer.headers, "Content-Language": language, "Vary": "Accept-Language"}
    headers.pop("content-length", None)
    return Response(in_language(bytes(answer.body), language), answer.status_code, headers)


def in_language(body: bytes, language: str) -> bytes:
    """A JSON body with its sentences in that language; as it is where it is no JSON."""
    translate = translator(language)
    if translate is None:
        return body
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return _written(said(value, translate))


def translator(language: str) -> Callable[[str], str] | None:
    """What puts a sentence into that language; None for English."""
    catalogue = catalogue_of(language)
    return catalogue.translate if catalogue else None


@lru_cache(256)  # all who watch a job in one language are sent the same bytes
def _event(wire: bytes, language: str) -> bytes:
    lines = wire.split(b"\n")
    prefix = b"data: "
    return b"\n".join(
        prefix + in_language(line.removeprefix(prefix), language) if line.startswith(prefix) else line for line in lines
    )


def _as_it_is(path: str) -> bool:
    return path.startswith(AS_THEY_ARE) and not path.endswith("/batch")  # a batch is a job


def _kind(message: Message) -> bytes:
    """The answer's type where it may hold sentences; else nothing."""
    found = {name.lower(): value for name, value in message.get("headers", ())}
    kind: bytes = found.get(b"content-type", b"").partition(b";")[0]
    if b"content-disposition" in found or (kind not in JSON_TYPES and kind != EVENTS):
        return b""
    return kind


def _spoken(headers: Any, language: str) -> list[tuple[bytes, bytes]]:
    return [*headers, (b"content-language", language.encode()), (b"vary", b"Accept-Language")]


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
