"""Headers that keep a browser from making more of an answer than it is. It does not know what the answer holds.

An answer that has a header of this kind already keeps its own: thumbnails are cached, /docs runs scripts.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing that this service answers is a page, but for its documentation: a browser that shows one of a dataset's or
# model's files by itself gets no script, no style, no form, and an origin of its own (`sandbox`).
CONTENT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
SECURE_HEADERS: dict[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAIRS = tuple((name.lower().encode(), value.encode()) for name, value in SECURE_HEADERS.items())


class SecureHeaders:
    """ASGI middleware: adds the headers that an answer does not have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                message = {**message, "headers": [*headers, *(pair for pair in _PAIRS if pair[0] not in there)]}
            await send(message)

        await self._app(scope, receive, send_secured)
