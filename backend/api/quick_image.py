"""The short way of a prediction: an ordinary form is taken apart in one go and answered with finished JSON.

The framework's way (its form parser, its validation, a model built and written out) takes 1.3 ms of processor time a
request, this one 0.3. Whatever is not ordinary goes the framework's way, with the same answers and all of its refusals:
`routes/predictions.py`.
"""

from __future__ import annotations

import re

from fastapi import Request, Response
from starlette.types import Message

from backend.api.deps import check_id
from backend.api.plain_form import boundary_of, only_file
from backend.api.services import Services
from backend.api.uploads import Handler, ImageRoute
from backend.contracts.serving import Answer
from backend.execution.answer_line import CallerGone

# Bodies that may lie in memory in one piece; larger ones are spooled by the framework's way.
MOST_BYTES = 2**20
DEFAULT_TOP_K, MOST_TOP_K = 3, 1000
_QUERY = re.compile(rb"(?:top_k=([0-9]{1,4}))?&?(?:explain=false)?")
NAME = "dataset_or_model_id"
# nginx's number for a caller that hung up; nobody receives it, the log shows it.
CALLER_GONE = 499


class PredictionRoute(ImageRoute):
    """A route of one picture, whose ordinary requests go the short way."""

    def get_route_handler(self) -> Handler:
        ordinary = super().get_route_handler()

        async def quick(request: Request) -> Response:
            services: Services = request.app.state.services
            services.serving.check_room()
            top_k, boundary = _top_k(request), _boundary(request)
            if top_k == 0 or boundary is None:
                return await ordinary(request)
            body = await request.body()
            image = only_file(body, boundary)
            if not image:
                return await ordinary(_again(request, body))
            name = request.path_params.get(NAME, "")
            if name:
                check_id(name, noun="model or dataset", where="GET /api/cv/models or /api/cv/datasets")
            return await respond(services, name, image, top_k=top_k, request=request)

        return quick


async def respond(services: Services, name: str, image: bytes, *, top_k: int | None, request: Request) -> Response:
    """The finished answer of the model that a name stands for."""
    try:
        answer: Answer = await services.serving.answer(name, image, top_k=top_k, gone=request.is_disconnected)
    except CallerGone:
        return Response(status_code=CALLER_GONE)
    return Response(answer.body, media_type="application/json")


def _top_k(request: Request) -> int | None:
    """How many labels are asked for, None for all probabilities; 0 where the query is not an ordinary one."""
    query = request.scope["query_string"]
    if NAME not in request.path_params:
        return 0 if query else None
    found = _QUERY.fullmatch(query)
    if found is None:
        return 0
    top_k = DEFAULT_TOP_K if found[1] is None else int(found[1])
    return top_k if top_k <= MOST_TOP_K else 0


def _boundary(request: Request) -> bytes | None:
    content_type = length = b""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
    small = length.isdigit() and len(length) < 8 and int(length) <= MOST_BYTES
    return boundary_of(content_type) if small else None


def _again(request: Request, body: bytes) -> Request:
    """The same request with its body to be read once more."""
    unread = True

    async def receive() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await request.receive()

    return Request(request.scope, receive)
