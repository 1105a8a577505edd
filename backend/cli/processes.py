"""Starts the service's processes, waits until they answer, stops them together. It prints nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import httpx2

from backend.errors import UnavailableError

ROOT = Path(__file__).resolve().parents[2]
STOP_WITHIN_S = 10.0  # a worker needs up to 5 s to leave a running job in order
READY_WITHIN_S = 90.0  # a cold first start compiles a few thousand modules
POLL_S = 0.2


class Processes:
    """A few child processes that live and end together: leaving the block, by whatever way, stops them all."""

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Start a child in a session of its own, so that Ctrl-C reaches it once, through `stop`."""
        self._children[name] = subprocess.Popen(  # noqa: S603 -- commands are written below, no shell is involved
            list(command), cwd=cwd, env={**os.environ, **(env or {})}, start_new_session=True
        )

    def ended(self) -> str | None:
        """Name of a child that has ended, with its exit code; None while all run."""
        for name, child in self._children.items():
            if child.poll() is not None:
                return f"{name} (exit code {child.returncode})"
        return None

    def wait(self) -> None:
        """Return when any child has ended."""
        while self.ended() is None:
            time.sleep(POLL_S)

    def wait_for(self, address: str) -> None:
        """Return when the address answers 200.

        Raises:
            UnavailableError: a child ended, or it took more than 90 s.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if ended := self.ended():
                raise UnavailableError(
                    f"A part of the service ended before it was ready: {ended}. See the lines above."
                )
            if _answers(address):
                return
            time.sleep(POLL_S)
        raise UnavailableError(f"'{address}' did not answer within {READY_WITHIN_S:.0f} s. See the lines above.")

    def stop(self) -> None:
        """Ask every child to end; after ten seconds, end it with all that it started."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in self._children.values():
            try:
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _answers(address: str) -> bool:
    try:
        return httpx2.get(address, timeout=2.0, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def reachable(host: str) -> str:
    """The host that a client on this machine uses for an address that a server listens on."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 -- compared, not bound


def backend_command(*, host: str, port: int, no_worker: bool = False) -> list[str]:
    alone = ["--no-worker"] if no_worker else []
    return [sys.executable, str(ROOT / "run_backend.py"), "--host", host, "--port", str(port), *alone]


def ui_command(*, host: str, port: int) -> list[str]:
    server = ["--server.address", host, "--server.port", str(port), "--server.headless", "true"]
    return [sys.executable, "-m", "streamlit", "run", str(ROOT / "frontend" / "app.py"), *server]
