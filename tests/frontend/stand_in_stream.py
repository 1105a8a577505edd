"""The stand-in's Server-Sent Events: a job whenever it changes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any


async def changes(service: Any, job: dict[str, Any]) -> AsyncIterator[str]:
    """The job whenever it changes, until it has ended; it moves on by a step each second, as if somebody looked."""
    number, last, looked = 0, "", time.monotonic()
    while True:
        if time.monotonic() - looked >= 1.0:
            service.look(job)
            looked = time.monotonic()
        if (now_is := json.dumps(job)) != last:
            number, last = number + 1, now_is
            yield f"event: progress\nid: {number}\ndata: {now_is}\n\n"
        if job["state"] not in ("queued", "running") or job["job_id"] not in service.jobs:
            return
        await asyncio.sleep(0.05)
