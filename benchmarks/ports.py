"""Ports of this machine for services that benchmarks and tests start as processes."""

from __future__ import annotations

import itertools
import os
import random
import socket

# Below those that the system gives to whoever asks for any (from 32768 on): between the look here and the start of the
# service, which takes seconds, no connection and no other test's server can be given the port. Above those of known
# services, and beside Ray's (10002 to 19999).
FIRST, LAST = 20_000, 32_000
_candidates = itertools.cycle(random.Random(os.urandom(8)).sample(range(FIRST, LAST), LAST - FIRST))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on; never the same twice in a process."""
    for port in itertools.islice(_candidates, LAST - FIRST):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no port from {FIRST} to {LAST} is free")
