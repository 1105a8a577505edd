"""Every error becomes a problem answer: our own tree, failed validation, the framework's, and what nobody foresaw."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from backend.api.languages import in_language_of, language_of, translator
from backend.api.problems import problem
from backend.api.request_log import HEADER
from backend.api.schemas import ChangeRequest
from backend.api.secure_headers import SECURE_HEADERS
from backend.contracts import Recipe
from backend.contracts.misfit import nearest_allowed, plain
from backend.data.names import shown
from backend.errors import (
    AuthenticationError,
    BusyError,
    InputError,
    SightglassError,
    UnavailableError,
    VersionConflict,
)
from backend.registry import nearest

logger = logging.getLogger(__name__)

MOST_ERRORS = 5
LONGEST_VALUE = 60

# What a disk says that cannot be written to now; nothing that was sent is to blame.
_DISK_REFUSALS = {
    errno.ENOSPC: "The server's disk is full. Delete datasets that are no longer needed, or give it more space.",
    errno.EDQUOT: "The server's share of the disk is used up. Delete datasets that are no longer needed.",
    errno.EROFS: "The server's data folder is read-only. Make SIGHTGLASS_DATA_DIR a folder that can be written to.",
    errno.EACCES: "The server may not use its data folder. Give its user the right to read and write there.",
    errno.EIO: "The server's disk does not work properly; its system log says more.",
    errno.EMFILE: "The server has too many files open. Try again in a moment.",
}

# What the framework says in one word, said so that somebody knows what to do.
_PLAIN_DETAILS = {
    400: "The body cannot be read. Send JSON with 'Content-Type: application/json', or files as multipart/form-data "
    "with a boundary.",
    404: "There is no such address here. GET /docs lists all of them.",
}
FORM_ADVICE = (
    "Send multipart/form-data with one file in the field 'file' (curl -F file=@PATH); any other field is short text."
)


def add_error_handlers(app: FastAPI) -> None:
    """Let the application answer all errors as problems."""
    app.add_exception_handler(SightglassError, _own_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(OSError, _disk_error)
    app.add_exception_handler(Exception, _unforeseen_error)


async def _own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SightglassError)  # noqa: S101 - registered for this class alone
    # A full queue is no failure, and a line for each refusal would be the next thing to overflow.
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, BusyError):
        logger.warning("request failed", extra={"path": request.url.path, "detail": error.detail})
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, AuthenticationError) else None
    if isinstance(error, BusyError):
        headers = {"Retry-After": str(error.retry_after_s)}
    more = {"version": error.version} if isinstance(error, VersionConflict) else {}
    return problem(error.status, error.title, error.detail, headers=headers, **more)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    found = error.errors()
    fields = list((ChangeRequest if request.url.path.endswith("/changes") else Recipe).model_fields)
    sentences = [_sentence(one, fields) for one in found[:MOST_ERRORS]]
    if len(found) > MOST_ERRORS:
        sentences.append(f"And {len(found) - MOST_ERRORS} more.")
    places = [{"field": _place(one["loc"]), "message": _sentence(one, fields)} for one in found[:MOST_ERRORS]]
    # Each by itself: joined, they could be read in more than one way, and would stay English.
    translate = translator(language_of(request.scope)) or str
    return problem(InputError.status, InputError.title, " ".join(map(translate, sentences)), errors=places)


async def _framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    title = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = headers.get("allow") or headers.get("Allow", "")
        detail = f"{shown(request.method)} is not possible here; allowed: {allowed}. GET /docs lists all addresses."
    elif error.detail in (title, "There was an error parsing the body"):
        detail = _PLAIN_DETAILS.get(error.status_code, f"{error.detail}.")
    elif error.status_code == HTTPStatus.BAD_REQUEST:  # what the framework found wrong with a form, in a few words
        detail = f"The body cannot be read: {error.detail.rstrip('.')}. {FORM_ADVICE}"
    else:
        detail = error.detail
    return problem(error.status_code, title, detail, headers=headers)


async def _disk_error(request: Request, error: Exception) -> Response:
    """The disk's refusal is no bug; any other error of the system is."""
    detail = _DISK_REFUSALS.get(getattr(error, "errno", None) or 0)
    if detail is None:
        return await _unforeseen_error(request, error)
    logger.error("disk refuses", extra={"path": request.url.path, "reason": str(error)})
    return problem(UnavailableError.status, UnavailableError.title, detail)


async def _unforeseen_error(request: Request, error: Exception) -> Response:
    """A bug of ours. The log has the traceback; the answer names the request, so that the two can be matched."""
    request_id = getattr(request.state, "request_id", "unknown")
    logger.error("bug", exc_info=error, extra={"path": request.url.path, "request_id": request_id})
    # This answer is made outside of all middleware.
    answer = problem(
        500,
        SightglassError.title,
        f"The service made a mistake. Its log says more under request id {request_id}.",
        headers={**SECURE_HEADERS, HEADER: request_id},
        request_id=request_id,
    )
    return in_language_of(request.scope, answer)


def _sentence(error: dict[str, Any], fields: Sequence[str]) -> str:
    """One failed check in plain words: the field, the value seen, what is allowed. `fields` are those of the body."""
    place, kind = _place(error["loc"]), error["type"]
    if kind == "json_invalid":
        return f"The body is not valid JSON: {error.get('ctx', {}).get('error', 'syntax error')} at character {place}."
    if kind == "extra_forbidden":
        hint = nearest(place.rsplit(".", 1)[-1], fields)
        return f"There is no field '{place}'.{hint} Allowed: {', '.join(fields)}."
    if kind == "missing":
        return _missing(place, error["loc"])
    if place == "file":
        return f"'file' holds text and not a file, or has no file name. {FORM_ADVICE}"
    said = plain(error)
    message = said[:1].lower() + said[1:].replace("valid tuple", "valid list")  # JSON has no tuples
    return f"'{place}' does not fit: {message} (seen: {_seen(error.get('input'))}).{nearest_allowed(error)}"


def _missing(place: str, location: Sequence[Any]) -> str:
    if place == "file":
        return f"'file' is missing. {FORM_ADVICE}"
    if place == "body":
        return "The body is missing: send JSON with 'Content-Type: application/json'."
    return f"'{place}' is missing from the {location[0]}."


def _place(location: Sequence[Any]) -> str:
    inner = [str(part) for part in location[1:]] or [str(part) for part in location]
    return shown(".".join(inner))


def _seen(value: Any) -> str:
    """The value as JSON, shortened; for what JSON has no word, its type."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return type(value).__name__
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
