"""Problem answers (RFC 9457): their shape, how they are written, how OpenAPI lists them."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from backend.data.names import shown
from backend.execution.trace import request_id

MEDIA_TYPE = "application/problem+json"
# Details quote what was sent, which may be a megabyte of it; both ends of a long one stay.
LONGEST_DETAIL = 2000


class Problem(BaseModel):
    """An error as a client sees it. `detail` tells a person what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = Field("about:blank", description="A name of the kind of problem; about:blank: see `title`.")
    title: str = Field(description="The kind of problem, the same each time.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request, what is allowed, what to do next.")
    request_id: str = Field("", description="As in the header X-Request-ID; the service's log names it too.")


class ProblemResponse(JSONResponse):
    """A JSON answer that can always be written: what UTF-8 cannot carry (lone surrogates) is replaced."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", errors="replace")


def problem(
    status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> ProblemResponse:
    """Build the answer; `members` are added beside the standard ones. The detail is freed of control characters."""
    if own := request_id():
        members.setdefault("request_id", own)
    content = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": shown(detail, limit=LONGEST_DETAIL),
        **members,
    }
    return ProblemResponse(content, status_code=status, headers=headers)


_DESCRIPTIONS = {
    400: "The body cannot be read.",
    401: "An API key is needed, or the one sent is wrong.",
    403: "A page of another origin asks a service without keys.",
    404: "No such thing; the detail says where to look.",
    405: "The path exists, but not for this method.",
    408: "The body stopped coming in.",
    409: "A sound request at the wrong moment.",
    412: "The header 'Tus-Resumable: 1.0.0' is missing.",
    413: "Larger than a stated limit.",
    415: "Bytes of another type than the address takes.",
    421: "The service does not answer to this host name.",
    423: "Somebody else writes to it right now.",
    422: "Readable, but not usable; the detail says what to change.",
    429: "More requests than SIGHTGLASS_RATE_LIMIT allows; `Retry-After` says when to try again.",
    431: "Headers larger than any client needs.",
    460: "The checksum does not fit; nothing of this piece was kept.",
    503: "A part of the service cannot be reached now.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: its problems, besides those that the documentation lists everywhere."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": content}
        for status in sorted({401, 422, 429, 503, *statuses})
    }
