"""One log line and one count a request, and an id that answer and log share. Bodies and headers are not logged.

The id holds for everything that is done for the request: lines of other rooms and processes carry it too.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.metrics import UNKNOWN_ROUTE, observe_request
from backend.api.raw_headers import header_values
from backend.execution.trace import traced

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
_RAW_HEADER = HEADER.lower().encode()
_ASKED = frozenset({_RAW_HEADER})
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """ASGI middleware: takes over a caller's request id where it is harmless, or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = header_values(scope, _ASKED).get(_RAW_HEADER, b"")
        request_id = (offered if _SAFE_ID.fullmatch(offered) else secrets.token_hex(8).encode()).decode()
        own = (_RAW_HEADER, request_id.encode())
        scope.setdefault("state", {})["request_id"] = request_id
        # An error that nobody foresaw is answered outside of here, with 500.
        started, status = time.perf_counter(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), own]}
            await send(message)

        with traced(request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                _tell(scope, status=status, seconds=time.perf_counter() - started)


def _tell(scope: Scope, *, status: int, seconds: float) -> None:
    method = scope["method"]
    observe_request(route_of(scope), method, status=status, seconds=seconds)
    # Pages that poll would fill the log: what was only read, and read well, is logged for debugging alone.
    level = logging.DEBUG if method in ("GET", "HEAD") and status < 400 else logging.INFO
    if logger.isEnabledFor(level):
        what = {"method": method, "path": scope["path"], "status": status, "ms": round(seconds * 1000, 1)}
        state = scope["state"]
        caller = {"caller": state["caller"]} if "caller" in state else {}
        logger.log(level, "request", extra={**what, **caller, "request_id": state["request_id"]})


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as `/api/cv/jobs/{job_id}`: never what a caller made up."""
    return getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
