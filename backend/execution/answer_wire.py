"""One process and the socket to it, in the event loop: started together, ended together.

It knows neither questions nor answers; what comes is handed on.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any, cast

from backend.execution.frames import FrameReader, packed

SOCKET_BUFFER = 2**20  # a picture goes over in one call of the system

Main = Callable[[socket.socket], None]
Note = Callable[[Any], None]


class Wire(asyncio.Protocol):
    """One process and the socket to it."""

    def __init__(self, process: BaseProcess, take: Note, lost: Callable[[Wire], None]) -> None:
        self.process = process
        self._take = take
        self._lost = lost
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class is none by inheritance

    def data_received(self, data: bytes) -> None:
        for message in self._reader.feed(data):
            self._take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost(self)

    def send(self, message: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packed(message))

    def end(self) -> None:
        """Close the line and end the process, whatever it does."""
        if self._transport is not None:
            self._transport.abort()
        self.process.terminate()
        self.process.join(1.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(1.0)


async def connect(main: Main, take: Note, lost: Callable[[Wire], None]) -> Wire:
    """Start a process that runs `main` with its end of a new line; `take` gets what it says, `lost` its end.

    Raises:
        OSError: there is no memory, or there are no descriptors.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    try:
        for end in (ours, theirs):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        process = multiprocessing.get_context("spawn").Process(
            target=main, args=(theirs,), name="sightglass-predict", daemon=True
        )
        await loop.run_in_executor(None, process.start)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    _, wire = await loop.create_connection(partial(Wire, process, take, lost), sock=ours)
    return wire
