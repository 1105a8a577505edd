"""A running service, as the command line talks to it: JSON, files, a job's events. It prints nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from backend.config import Settings
from backend.errors import AuthenticationError, InputError, NotFoundError, SightglassError, UnavailableError

FINAL = frozenset({"succeeded", "failed", "cancelled"})
# A large ZIP takes minutes to be read in; a stream is never silent for longer than 15 s.
TIMEOUT_S, STREAM_TIMEOUT_S = 600.0, 45.0
GIVEN_UP_AFTER_S = 60.0  # without a sign of the service: longer than it takes to be started again
PAUSE_S = 1.0

Plain = dict[str, Any]


class Service:
    """The API at an address; a context that closes its connections."""

    def __init__(self, address: str, *, key: str | None = None, transport: httpx2.BaseTransport | None = None) -> None:
        self.address = address.rstrip("/")
        headers = {"X-API-Key": key} if key else {}
        try:
            self._http = httpx2.Client(
                base_url=self.address, headers=headers, timeout=TIMEOUT_S, trust_env=False, transport=transport
            )
        except httpx2.InvalidURL as error:
            raise InputError(f"'{address}' is no address of a service; write http://host:port.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The answer of one call.

        Raises:
            SightglassError: the service refused, with its own words, or did not answer.
        """
        answer = self._answer(method, path, **request)
        try:
            return answer.json()
        except ValueError as error:
            raise UnavailableError(f"What answers at {self.address} is not the Sightglass API.") from error

    def send(self, method: str, path: str, **request: Any) -> None:
        """A call whose answer holds nothing.

        Raises:
            SightglassError: the service refused, with its own words, or did not answer.
        """
        self._answer(method, path, **request)

    def upload(self, archive: Path) -> Plain:
        with archive.open("rb") as file:
            files = {"file": (archive.name, file, "application/zip")}
            answer: Plain = self.json("POST", "/api/cv/upload", files=files)
        return answer

    def download(self, path: str, target: Path) -> None:
        """Save an answer's body; it is streamed, not read whole."""
        with self._reached(path), self._http.stream("GET", path) as answer:
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            with target.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)

    def events(self, job_id: str) -> Iterator[Plain]:
        """The job as it stands, and again whenever something changes, until it has ended. A broken stream is resumed.

        Raises:
            NotFoundError: no such job.
            UnavailableError: the service has been away for a minute.
        """
        job: Plain = self.json("GET", f"/api/cv/jobs/{job_id}")
        yield job
        last, heard = "", time.monotonic()
        while job["state"] not in FINAL:
            try:
                for event in self._stream(job_id, last):
                    heard, last = time.monotonic(), event.id or last
                    if event.data:
                        job = {**job, "queue_position": None, **json.loads(event.data)}
                        yield job
                if job["state"] not in FINAL:  # the end may have come between two streams
                    job = self.json("GET", f"/api/cv/jobs/{job_id}")
                    yield job
            except UnavailableError:
                if time.monotonic() - heard > GIVEN_UP_AFTER_S:
                    raise
                time.sleep(PAUSE_S)

    def _stream(self, job_id: str, last: str) -> Iterator[httpx2.ServerSentEvent]:
        path, headers = f"/api/cv/jobs/{job_id}/events", {"Last-Event-ID": last} if last else {}
        with (
            self._reached(path),
            self._http.sse(path, params={"newest": "true"}, headers=headers, timeout=STREAM_TIMEOUT_S) as source,
        ):
            if source.response.status_code == httpx2.codes.NO_CONTENT:
                return
            if source.response.is_error:
                source.response.read()
                raise _refusal(source.response)
            yield from source

    def _answer(self, method: str, path: str, **request: Any) -> httpx2.Response:
        with self._reached(path):
            answer = self._http.request(method, path, **request)
        if answer.is_error:
            raise _refusal(answer)
        return answer

    @contextmanager
    def _reached(self, path: str) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise UnavailableError(
                f"{self.address}{path}: no answer ({error or type(error).__name__}). Start the service with "
                "'sightglass serve', or name another with --server."
            ) from error


def service_at(server: str | None, settings: Settings) -> Service:
    """The service that was named by a flag, else by SIGHTGLASS_API_URL, else the one on this machine."""
    address = server or settings.api_url or f"http://127.0.0.1:{settings.port}"
    return Service(address, key=settings.api_key)


def _refusal(answer: httpx2.Response) -> SightglassError:
    """The service's own sentence, as an error of the same kind."""
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}."
    if answer.status_code == httpx2.codes.UNAUTHORIZED:
        return AuthenticationError(f"{detail} SIGHTGLASS_API_KEY holds the key that is sent.")
    if answer.status_code == httpx2.codes.NOT_FOUND:
        return NotFoundError(detail)
    return InputError(detail) if answer.status_code < 500 else UnavailableError(detail)
