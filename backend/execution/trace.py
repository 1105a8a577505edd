"""Which request a line of the log belongs to, in this process and in those that work for it. It knows no HTTP.

A request's id follows its threads by itself; `carried` takes it into another process, `work_for` names it for a process
that does one thing at a time, whatever threads that starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_request_id: ContextVar[str] = ContextVar("sightglass_request_id", default="")
_work: dict[str, str] = {}  # of the whole process


def request_id() -> str:
    """The id of the request that this is done for; '' where it is done for none."""
    return _request_id.get() or _work.get("request_id", "")


def fields() -> Mapping[str, str]:
    """What each line of the log says of its request and job: only what there is."""
    own = _request_id.get()
    return {**_work, "request_id": own} if own else _work


@contextmanager
def traced(own: str) -> Iterator[None]:
    """All that is done within, and in threads that it starts through anyio, is done for that request."""
    token = _request_id.set(own)
    try:
        yield
    finally:
        _request_id.reset(token)


@contextmanager
def work_for(**names: str) -> Iterator[None]:
    """All that this process does within, on whatever thread, is done for these; empty names are left out."""
    _work.update({name: value for name, value in names.items() if value})
    try:
        yield
    finally:
        _work.clear()


def carried(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """A call that another process can make for the request of this moment; as picklable as its parts."""
    call = partial(function, *args, **kwargs)
    own = request_id()
    return partial(_call, own, call) if own else call


def _call(own: str, call: Callable[[], Any]) -> Any:
    with traced(own):
        return call()
