"""Who may call: API keys where they are set, each with a name. Closed by default: what is not listed here needs a key.

The check is made before the body is read, so that nobody without a key can fill the disk. It does not know what a
caller may do: every key may do everything.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.metrics import count_refusal
from backend.api.problems import problem
from backend.api.raw_headers import header_values
from backend.contracts import Caller
from backend.errors import AuthenticationError

# Answers for machines that watch the service, and its documentation, which is public with the code: none holds
# anybody's data. /metrics is not among them: it tells how much is uploaded and predicted, and a scraper can send a key.
OPEN_PATHS = frozenset({"/", "/health", "/api/health", "/ready", "/docs", "/redoc", "/openapi.json"})

# For the documentation alone; `KeyGuard` decides.
BEARER_SCHEME = HTTPBearer(auto_error=False, description="One of SIGHTGLASS_API_KEYS; not needed where none is set.")
HEADER_SCHEME = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, as a header of its own.")

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}):(.+)", re.DOTALL)
# Who asks a service without keys: only this machine can reach it.
LOCAL = "local"
CALLER = "caller"  # where `KeyGuard` leaves it, in the request's state
_ASKED = frozenset({b"authorization", b"x-api-key"})
POLICY_VIOLATION = 1008  # the close code of a WebSocket


class Keys:
    """The keys that open, and whose each is. `entries`: `name:key`, or a bare key, which is called by a fingerprint."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._names = {key: name for name, key in map(_named, reversed(entries))}

    def __bool__(self) -> bool:
        return bool(self._names)

    def name_of(self, offered: bytes | None) -> str | None:
        """Whose key that is; None where it opens nothing. Compared with every key, each in constant time."""
        found = None
        for key, name in self._names.items():
            if hmac.compare_digest(offered or b"", key):
                found = name
        return found


class KeyGuard:
    """ASGI middleware: lets a request through that carries a key, or where none is needed, and notes whose it is."""

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not self._keys:
            await self._app(scope, receive, send)
            return
        offered = offered_key(scope)
        name = self._keys.name_of(offered)
        if name is not None:
            scope.setdefault("state", {})[CALLER] = name
        if name is not None or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        count_refusal("key")
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await _refusal(offered)(scope, receive, send)


def caller_of(request: HTTPConnection) -> Caller:
    """Who asks: the name of their key, never the key itself; `local` where the service asks for none."""
    return Caller(
        name=getattr(request.state, CALLER, LOCAL),
        address=request.client.host if request.client else "",
        request_id=getattr(request.state, "request_id", ""),
    )


def offered_key(scope: Scope) -> bytes | None:
    """The key that a request carries, or None. Clients send UTF-8, whatever the standard says of headers."""
    headers = header_values(scope, _ASKED)
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    key = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"").strip()
    return key or None


def _named(entry: str) -> tuple[str, bytes]:
    """An entry's name and key. A bare key is told from others by 32 bits of its digest, which lead nowhere back."""
    match = _NAMED.fullmatch(entry)
    if match:
        return match[1].strip(), match[2].strip().encode()
    return f"key {hashlib.sha256(entry.encode()).hexdigest()[:8]}", entry.encode()


def _refusal(offered: bytes | None) -> ASGIApp:
    why = "The API key is wrong" if offered else "This service needs an API key"
    return problem(
        AuthenticationError.status,
        AuthenticationError.title,
        f"{why}. Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY' with one of SIGHTGLASS_API_KEYS.",
        headers={"WWW-Authenticate": "Bearer"},
    )
