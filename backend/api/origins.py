"""Which names this service answers to, and which pages of other origins may talk to it. It does not know keys' owners.

Without keys whoever reaches the service may do everything, and a browser on this machine does reach it: any page that
it shows could send forms to 127.0.0.1, or have its own name lead here (DNS rebinding) and then read the answers too.
The first is told by the headers that browsers add, the second by the name in `Host`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.metrics import count_refusal
from backend.api.problems import problem
from backend.api.raw_headers import header_values
from backend.data.names import shown

_ASKED = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
MISDIRECTED = 421


class OriginGuard:
    """ASGI middleware: refuses other names of this machine and, without keys, requests that foreign pages make.

    `hosts` are names beside those that nobody else can own; with keys they are asked for only where any are given.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str], origins: Sequence[str], keyed: bool) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)
        self._keyed = keyed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = {name.decode(): value.decode("latin-1") for name, value in header_values(scope, _ASKED).items()}
        host = host_name(headers.get("host", ""))
        if not self._answers_to(host):
            count_refusal("host")
            return problem(
                MISDIRECTED,
                "Unknown host",
                f"This service does not answer to '{shown(host, limit=100)}'. Ask it by address or as localhost, or "
                "add the name to SIGHTGLASS_ALLOWED_HOSTS.",
            )
        if not self._keyed and self._foreign(scope.get("method", "GET"), headers):
            count_refusal("origin")
            return problem(
                403,
                "Foreign page",
                "A page of another origin may not use this service. Add its origin to SIGHTGLASS_CORS_ORIGINS, or set "
                "SIGHTGLASS_API_KEYS and send a key.",
            )
        return None

    def _answers_to(self, host: str) -> bool:
        if host in self._hosts or is_nobodys(host):
            return True
        return self._keyed and not self._hosts

    def _foreign(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a browser says that a page of another origin asks, other than by being led here to read."""
        origin = headers.get("origin")
        if origin in self._origins:
            return False
        site = headers.get("sec-fetch-site")
        if method in READING:
            return site == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
        if site is not None and site not in ("same-origin", "none"):
            return True
        return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def host_name(header: str) -> str:
    """The name in a `Host` header, without port, brackets and the root's dot."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def is_nobodys(host: str) -> bool:
    """Whether a page from elsewhere cannot have this name: addresses, localhost, names without a dot, none at all.

    A page's own name has a dot: no public registry gives out others. Who answers for names on the local network may
    still use one without; against him there are keys.
    """
    if "." not in host or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
