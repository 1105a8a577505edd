"""How many requests one caller may make: a moving window for each key, or for each address where there is no key.

Counted in this process alone: behind several API processes each counts for itself. It does not know what requests cost;
predictions have a budget of their own, so that a page that polls never takes it.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.metrics import count_refusal
from backend.api.problems import problem
from backend.api.security import OPEN_PATHS, Keys, offered_key
from backend.config import Rate

TOO_MANY = 429
# What machines ask again and again, and what is worth nothing to anybody else.
UNLIMITED = OPEN_PATHS | {"/metrics"}
PREDICTING = ("/predict", "/api/cv/predict/", "/api/cv/explain/", "/api/tabular/predict/")
IPV6_PREFIX = 64  # one customer's network: addresses within it cost nothing
SWEEP_AT = 10_000  # callers, of some 200 bytes each


@dataclass(frozen=True)
class Standing:
    """Where a caller stands: `left` requests now, and seconds until there is one more."""

    policy: str
    left: int
    more_in_s: float
    refused: bool = False


class Budget:
    """The rates of one kind of request, and who made how many. For one thread: the event loop."""

    def __init__(self, name: str, rates: Sequence[Rate], *, clock: Callable[[], float] = time.monotonic) -> None:
        several = len(rates) > 1
        self._rates = {f"{name}-{rate.seconds}" if several else name: rate for rate in rates}
        self._clock = clock
        self._made: dict[str, dict[str, deque[float]]] = {}
        # RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10: q requests in any w seconds.
        self.policies = ", ".join(f'"{key}";q={rate.requests};w={rate.seconds}' for key, rate in self._rates.items())

    def __bool__(self) -> bool:
        return bool(self._rates)

    def spend(self, caller: str) -> Standing:
        """Count one request, unless any rate is used up; say how the tightest one stands."""
        now = self._clock()
        made = self._made.get(caller)
        if made is None:
            self._sweep(now)
            made = self._made[caller] = {policy: deque() for policy in self._rates}
        standings = [self._standing(policy, made[policy], now) for policy in self._rates]
        tightest = min(standings, key=lambda standing: (standing.left, -standing.more_in_s))
        if tightest.left == 0:
            return Standing(tightest.policy, 0, tightest.more_in_s, refused=True)
        for policy, rate in self._rates.items():
            made[policy].append(now + rate.seconds)
        return Standing(tightest.policy, tightest.left - 1, made[tightest.policy][0] - now)

    def _standing(self, policy: str, ends: deque[float], now: float) -> Standing:
        while ends and ends[0] <= now:
            ends.popleft()
        return Standing(policy, self._rates[policy].requests - len(ends), ends[0] - now if ends else 0.0)

    def _sweep(self, now: float) -> None:
        """Forget callers that have nothing counted any more, once there are many."""
        if len(self._made) >= SWEEP_AT:
            self._made = {
                caller: made
                for caller, made in self._made.items()
                if any(ends and ends[-1] > now for ends in made.values())
            }


class RateLimit:
    """ASGI middleware: 429 with `Retry-After` beyond the budget; each answer says how much is left."""

    def __init__(self, app: ASGIApp, *, keys: Keys, general: Budget, predicting: Budget) -> None:
        self._app = app
        self._keys = keys
        self._general = general
        self._predicting = predicting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else "/"
        budget = self._predicting if path.startswith(PREDICTING) else self._general
        if path in UNLIMITED or not budget:
            await self._app(scope, receive, send)
            return
        standing = budget.spend(self._caller(scope))
        limits = {"RateLimit-Policy": budget.policies, "RateLimit": _field(standing)}
        if standing.refused:
            count_refusal("rate")
            await _refusal(standing, limits)(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = ((name.lower().encode(), value.encode()) for name, value in limits.items())
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, send_with_limits)

    def _caller(self, scope: Scope) -> str:
        """The key's name, or the address: a wrong key is counted for whoever tries it."""
        name = self._keys.name_of(offered_key(scope)) if self._keys else None
        return f"key:{name}" if name is not None else f"address:{network_of((scope.get('client') or ('',))[0])}"


def network_of(address: str) -> str:
    """The address, or the /64 that an IPv6 address is one of."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return address


def _field(standing: Standing) -> str:
    return f'"{standing.policy}";r={standing.left};t={math.ceil(standing.more_in_s)}'


def _refusal(standing: Standing, limits: dict[str, str]) -> ASGIApp:
    wait = max(1, math.ceil(standing.more_in_s))
    return problem(
        TOO_MANY,
        "Too many requests",
        f"The budget '{standing.policy}' is used up. Try again in {wait} s; SIGHTGLASS_RATE_LIMIT and "
        "SIGHTGLASS_RATE_LIMIT_PREDICT set how much there is.",
        headers={**limits, "Retry-After": str(wait)},
        **{"violated-policies": [standing.policy]},
    )
