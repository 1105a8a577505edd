"""Messages on a stream of bytes between two of our own processes: eight bytes of length, then a pickle.

Only ends of one socket pair that a parent handed to its child read this; nothing from outside ever comes this way.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("!Q")
# Several small messages come with one call of the system, and a picture of some KB with one more.
READ_SIZE = 2**18


def packed(message: Any) -> bytes:
    """One message as it goes over the line."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body


class FrameReader:
    """Takes bytes as they come, in any pieces, and gives whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that these bytes complete."""
        self._buffer += data
        place = 0
        try:
            while len(self._buffer) - place >= HEADER.size:
                (length,) = HEADER.unpack_from(self._buffer, place)
                end = place + HEADER.size + length
                if len(self._buffer) < end:
                    break
                with memoryview(self._buffer) as view, view[place + HEADER.size : end] as body:
                    message = pickle.loads(body)  # noqa: S301 - written by the other end of our own pair
                place = end
                yield message
        finally:
            del self._buffer[:place]


def messages(line: socket.socket) -> Iterator[Any]:
    """Whole messages of a blocking socket until its other end is gone."""
    reader = FrameReader()
    while data := _received(line):
        yield from reader.feed(data)


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(READ_SIZE)
    except OSError:  # the other end died, or this one was closed
        return b""
