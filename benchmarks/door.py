"""`python -m benchmarks.door`: what the middleware costs a request, in microseconds; with and without it in one run.

Requests are made inside the process, of a form like a small prediction's, so that neither a socket nor a client is
measured. Both sides take turns, and the best of the rounds counts: the rest is what other processes took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from backend.api.door import add_door
from backend.config import Rate, Settings

REQUESTS = 200
ROUNDS = 60
KEYS = tuple(f"user{number}:{number:048x}" for number in range(8))
HEADERS = {
    "host": "127.0.0.1:8000",
    "user-agent": "python-httpx/1.0",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "connection": "keep-alive",
    "content-type": "multipart/form-data; boundary=abcdef0123456789",
    "content-length": "8000",
    "x-api-key": f"{7:048x}",
}
BODY = b"x" * 8000


def application(settings: Settings | None) -> FastAPI:
    """One route that reads its body, behind the door or in the open."""
    app = FastAPI()

    @app.post("/predict")
    async def answer() -> dict[str, str]:
        return {"pred_class": "cat"}

    if settings is not None:
        add_door(app, settings)
    return app


async def ask(app: FastAPI, count: int) -> float:
    """Processor seconds for that many requests, one after the other."""
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"answered {message['status']}")

    began = time.process_time()
    for _ in range(count):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/predict",
            "raw_path": b"/predict",
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
            "root_path": "",
            "state": {},
        }
        await app(scope, receive, send)  # type: ignore[arg-type]
    return time.process_time() - began


def measure(sides: dict[str, Callable[[], FastAPI]]) -> dict[str, float]:
    """Microseconds a request of each side, the best of the rounds."""
    apps = {name: make() for name, make in sides.items()}
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, app in apps.items():
            took = asyncio.run(ask(app, REQUESTS)) / REQUESTS * 1e6
            best[name] = min(took, best.get(name, took))
    return best


def main() -> None:
    keyed = Settings(api_keys=KEYS)
    limited = Settings(api_keys=KEYS, rate_limit=(Rate(10**8, 60),))
    found = measure(
        {
            "no middleware": lambda: application(None),
            "as it starts": lambda: application(Settings()),
            "with 8 keys": lambda: application(keyed),
            "with 8 keys and a rate": lambda: application(limited),
        }
    )
    bare = found["no middleware"]
    for name, took in found.items():
        print(f"{name:<24} {took:7.1f} us   {took - bare:+7.1f} us   {took / bare:5.2f} x")


if __name__ == "__main__":
    main()
