"""Who may call: API keys where they are set. Closed by default: a new route needs a key unless it is listed here.

The check is made before the body is read, so that nobody without a key can fill the disk.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.problems import problem
from backend.contracts import Caller
from backend.errors import AuthenticationError

# Answers for machines that watch the service, and its documentation: neither holds anybody's data.
OPEN_PATHS = frozenset(
    {"/", "/health", "/api/health", "/ready", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
)

# Who asks a service without keys: only this machine can reach it.
LOCAL = "local"
CALLER = "caller"  # where `KeyGuard` leaves it, in the request's state

# For the documentation alone; `KeyGuard` decides.
BEARER_SCHEME = HTTPBearer(auto_error=False, description="One of SIGHTGLASS_API_KEYS; not needed where none is set.")
HEADER_SCHEME = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, as a header of its own.")


class KeyGuard:
    """ASGI middleware: lets a request through that carries a key, or where none is needed."""

    def __init__(self, app: ASGIApp, *, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = tuple(key.encode() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._keys or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        offered = offered_key(Headers(scope=scope))
        if offered is not None and self._fits(offered):
            scope.setdefault("state", {})[CALLER] = f"key {hashlib.sha256(offered).hexdigest()[:8]}"
            await self._app(scope, receive, send)
            return
        why = "The API key is wrong" if offered else "This service needs an API key"
        answer = problem(
            AuthenticationError.status,
            AuthenticationError.title,
            f"{why}. Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY' with one of SIGHTGLASS_API_KEYS.",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await answer(scope, receive, send)

    def _fits(self, offered: bytes) -> bool:
        """Compare with every key, each in constant time, so that the time taken tells nothing."""
        return sum(hmac.compare_digest(offered, key) for key in self._keys) > 0


def offered_key(headers: Headers) -> bytes | None:
    """The key that a request carries, or None. Headers are Latin-1 by standard; keys are compared as UTF-8 bytes."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    key = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    return key.encode("latin-1") if key else None


def caller_of(request: HTTPConnection) -> Caller:
    """Who asks: which key it is, never the key itself; `local` where the service asks for none, whatever was sent."""
    return Caller(
        name=getattr(request.state, CALLER, LOCAL),
        address=request.client.host if request.client else "",
        request_id=getattr(request.state, "request_id", ""),
    )
