"""One user at a time for one network: Grad-CAM listens inside the module and would overhear another pass."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from torch import nn

_guard = threading.Lock()
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def exclusive(module: nn.Module) -> threading.RLock:
    """The lock of a network, the same one for as long as the network lives."""
    with _guard:
        return _locks.setdefault(module, threading.RLock())
