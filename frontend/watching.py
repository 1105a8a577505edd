"""Jobs as this UI process knows them: one stream of events a job, whoever looks and however often.

A browser tab draws a running job every second. Were each drawing a request, ten tabs would ask the service ten times a
second; so a thread follows each watched job, and drawing reads what it heard last. It ends with the job, or when nobody
has looked for a while. It knows nothing of what is drawn.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import cast

import streamlit as st

from frontend.answers import JobAnswer
from frontend.client import ApiError, Client

UNFINISHED = ("queued", "running")
IDLE_S = 30.0  # a page that is closed, or shows another tab, leaves its stream behind
KEPT_S = 300.0  # a job that has ended stays known for so long
PAUSES_S = (1.0, 2.0, 5.0, 10.0)  # between tries to reach the service again


@dataclass
class Look:
    """What is known of a job: how it stood `age_s` seconds ago, and what is wrong with the connection, if anything."""

    job: JobAnswer
    age_s: float
    problem: ApiError | None


@dataclass
class _Followed:
    job: JobAnswer
    heard_at: float
    looked_at: float
    last_event: str | None = None
    problem: ApiError | None = None
    thread: threading.Thread | None = field(default=None, repr=False)


class Watchers:
    """All jobs that somebody looks at; safe to share between threads."""

    def __init__(self, api: Client) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}
        self._closed = threading.Event()

    def look(self, job_id: str) -> Look:
        """The job as it is known now; asked for once, by whoever looks first, and listened to from then on.

        Raises:
            ApiError: it cannot be known at all: no such job, or no service at the very first look.
        """
        with self._lock:
            followed = self._followed.get(job_id)
        if followed is None:
            job = self._api.job(job_id)
            with self._lock:
                followed = self._followed.setdefault(job_id, _Followed(job, time.monotonic(), time.monotonic()))
        with self._lock:
            followed.looked_at = time.monotonic()
            self._listen(job_id, followed)
            self._forget()
            return Look(followed.job, time.monotonic() - followed.heard_at, followed.problem)

    def tell(self, job: JobAnswer) -> None:
        """Take in what another call said of a job, such as the answer to Cancel."""
        with self._lock:
            followed = self._followed.get(job["job_id"])
            if followed is not None and followed.job["state"] in UNFINISHED:
                followed.job, followed.heard_at = job, time.monotonic()

    def close(self) -> None:
        """Let every stream go."""
        self._closed.set()

    def _listen(self, job_id: str, followed: _Followed) -> None:
        alive = followed.thread is not None and followed.thread.is_alive()
        if alive or self._closed.is_set() or followed.job["state"] not in UNFINISHED:
            return
        followed.thread = threading.Thread(
            target=self._follow, args=(job_id, followed), name=f"watch-{job_id}", daemon=True
        )
        followed.thread.start()

    def _forget(self) -> None:
        now = time.monotonic()
        for job_id, followed in list(self._followed.items()):
            if now - followed.looked_at > KEPT_S:
                del self._followed[job_id]

    def _follow(self, job_id: str, followed: _Followed) -> None:
        """Listen until the job has ended or nobody looks; a stream that breaks is taken up where it broke."""
        failures = 0
        while self._wanted(followed):
            try:
                for event in self._api.job_events(job_id, after=followed.last_event):
                    failures = 0
                    with self._lock:
                        followed.problem = None
                        if event is not None:
                            followed.last_event = event.event_id or followed.last_event
                            followed.job = cast(JobAnswer, {**followed.job, "queue_position": None, **event.job})
                            followed.heard_at = time.monotonic()
                    if not self._wanted(followed):
                        return
                if followed.job["state"] in UNFINISHED:  # the stream ended, and the job has not: look again
                    self.tell(self._api.job(job_id))
            except ApiError as error:
                if self._closed.is_set():
                    return
                followed.problem = error
            except RuntimeError:  # the client was closed under the stream: the page's process is going
                return
            self._closed.wait(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
            failures += 1

    def _wanted(self, followed: _Followed) -> bool:
        watched = time.monotonic() - followed.looked_at < IDLE_S
        return watched and not self._closed.is_set() and followed.job["state"] in UNFINISHED


def watchers(api: Client) -> Watchers:
    """The watchers of this process, shared by all browser tabs that read the same language."""
    return _watchers(api, api.base_url, api.language)


@st.cache_resource(show_spinner=False, on_release=Watchers.close)
def _watchers(_api: Client, base_url: str, language: str) -> Watchers:  # noqa: ARG001 - the key
    return Watchers(_api)
