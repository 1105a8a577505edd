"""What the tus protocol (1.0.0, tus.io/protocols/resumable-upload) asks of headers. It knows no files and no datasets.

Extensions: creation, creation-with-upload, termination, checksum, expiration.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Coroutine
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers

from backend.api.problems import problem
from backend.data.names import clean_name, shown
from backend.errors import SightglassError
from backend.storage.uploads import CHECKSUMS

VERSION = "1.0.0"
BODY_TYPE = "application/offset+octet-stream"
# 460 is the protocol's own number for a checksum that does not fit.
CHECKSUM_MISMATCH = 460
LONGEST_LENGTH_DIGITS = 18
ABILITIES = {
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,creation-with-upload,termination,checksum,expiration",
    "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
}
# What every answer may be asked for; GET is for people and scripts that do not speak tus.
NO_VERSION_NEEDED = frozenset({"OPTIONS", "GET"})


class TusProblem(Exception):
    """An answer that the protocol prescribes, with its headers."""

    def __init__(self, status: int, detail: str, *, title: str = "Upload refused", **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class TusRoute(APIRoute):
    """A route of the protocol: checks its version, and says it in every answer, refusals among them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                _check_version(request)
                response = await handle(request)
            except TusProblem as refusal:
                response = problem(refusal.status, refusal.title, refusal.detail, headers=refusal.headers)
            except SightglassError as error:
                response = problem(error.status, error.title, error.detail)
            response.headers["Tus-Resumable"] = VERSION
            return response

        return answer


def _check_version(request: Request) -> None:
    offered = request.headers.get("tus-resumable")
    if request.method not in NO_VERSION_NEEDED and offered != VERSION:
        seen = f"'{shown(offered, limit=20)}'" if offered else "none"
        raise TusProblem(
            412,
            f"'Tus-Resumable: {VERSION}' is needed, and the header says {seen}. "
            "Use a client of tus 1.0, or POST /api/cv/upload to send an archive in one piece.",
            title="Precondition failed",
            Tus_Version=VERSION,
        )


def number(headers: Headers, name: str) -> int:
    """A header that must be a number of bytes.

    Raises:
        TusProblem: it is missing, or none.
    """
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_LENGTH_DIGITS):
        seen = f"'{shown(text, limit=30)}'" if text else "missing"
        raise TusProblem(400, f"The header '{name}' must be a number of bytes; it is {seen}.")
    return int(text)


def metadata(headers: Headers) -> dict[str, str]:
    """`Upload-Metadata`: pairs of a key and a value in base64, by comma.

    Raises:
        TusProblem: a value is no base64.
    """
    found: dict[str, str] = {}
    for pair in headers.get("upload-metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        if key:
            found[key.lower()] = clean_name(_decoded(value.strip(), "Upload-Metadata").decode("utf-8", "replace"))
    return found


def checksum(headers: Headers) -> tuple[str, bytes] | None:
    """`Upload-Checksum`: the algorithm and the digest, or None.

    Raises:
        TusProblem: another algorithm, or no base64.
    """
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, digest = text.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        allowed = ", ".join(CHECKSUMS)
        raise TusProblem(400, f"The checksum '{shown(algorithm, limit=20)}' is not known; allowed: {allowed}.")
    return algorithm, _decoded(digest.strip(), "Upload-Checksum")


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def _decoded(text: str, header: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise TusProblem(400, f"The header '{header}' holds '{shown(text, limit=40)}', which is no base64.") from None
