"""Which machines do the work of a job: this one alone, or a pool. It imports no distributed engine until one is asked.

The executor's child opens the pool of each job and closes it with the job, so that nothing of one job is left on a
node when the next begins.
"""

from __future__ import annotations

import importlib.util
import socket
from contextlib import AbstractContextManager, nullcontext

from backend.config import Settings
from backend.contracts import TaskPool
from backend.errors import InputError

REACHABLE_WITHIN_S = 3.0
INSTALL = "uv pip install -r requirements/ray.txt (or pip install -r requirements/ray.txt)"


def open_pool(settings: Settings) -> AbstractContextManager[TaskPool | None]:
    """The pool of the settings' executor; None with the local one. It connects when it is first used."""
    if settings.executor == "local":
        return nullcontext()
    if importlib.util.find_spec("ray") is None:
        raise _not_installed()
    from backend.execution.ray_pool import RayPool

    return RayPool(settings)


def check_executor(settings: Settings) -> None:
    """See whether the executor that was chosen can work here; takes three seconds at most.

    Raises:
        InputError: it is not installed, or nobody answers at its address.
    """
    if settings.executor == "local":
        return
    if importlib.util.find_spec("ray") is None:
        raise _not_installed()
    address = settings.ray_address
    if address is None or address == "auto":
        return
    host, port = _host_and_port(address)
    try:
        with socket.create_connection((host, port), timeout=REACHABLE_WITHIN_S):
            return
    except OSError as error:
        raise InputError(
            f"No Ray cluster answers at '{address}' ({error.strerror or error}; SIGHTGLASS_RAY_ADDRESS). Start its "
            f"head with 'ray start --head --port={port}', or correct the address."
        ) from error


def _not_installed() -> InputError:
    return InputError(f"SIGHTGLASS_EXECUTOR is 'ray', and Ray is not installed. Install it: {INSTALL}.")


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise InputError(
            f"SIGHTGLASS_RAY_ADDRESS is '{address}'; allowed are 'host:port' of the cluster's head (6379 by default) "
            "and 'auto'. Ray's client ('ray://') is not supported: run the worker on a machine of the cluster."
        )
    return host.strip("[]"), int(port)
