"""Uploads that go on where they broke off: tus 1.0.0. All that came lies on the disk, whatever becomes of the service.

POST   /api/cv/uploads         begin; the answer's `Location` takes the bytes
HEAD   /api/cv/uploads/{id}    how many are there
PATCH  /api/cv/uploads/{id}    more of them; with the last one a job begins that makes the dataset
DELETE /api/cv/uploads/{id}    give up
"""

from __future__ import annotations

from typing import Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from backend.api import tus
from backend.api.deps import CallerDep, ServicesDep, UploadId
from backend.api.problems import problems
from backend.api.routes.datasets import dataset_name
from backend.api.security import caller_of
from backend.api.services import Services
from backend.contracts import Caller, Upload
from backend.errors import TooLargeError
from backend.storage.files import new_id
from backend.storage.uploads import UploadWriter

router = APIRouter(prefix="/api/cv", tags=["datasets"], route_class=tus.TusRoute)

MIB = 2**20
BLOCK = MIB
# A connection that died without a word would hold the upload; the client may go on after that.
SILENCE_S = 60.0
BYTES: dict[str, Any] = {
    "requestBody": {"content": {tus.BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}}, "required": False}
}
REFUSALS = problems(400, 404, 409, 412, 413, 415, 423)


class UploadView(BaseModel):
    """How far an upload is, for those that do not speak tus."""

    upload_id: str
    name: str
    filename: str
    length: int
    offset: int
    expires_at: str = Field(description="When it is removed, unless more of it comes.")
    job_id: str | None = Field(description="The job that makes the dataset, once all bytes are there.")
    dataset_id: str | None = Field(description="The dataset's id, once the job has succeeded.")


@router.options("/uploads", status_code=204, responses=problems())
def abilities(services: ServicesDep) -> Response:
    """What this server can do of tus, and the largest upload that it takes."""
    most = services.settings.max_upload_mb * MIB
    return Response(status_code=204, headers={**tus.ABILITIES, "Tus-Max-Size": str(most)})


@router.post("/uploads", status_code=201, response_class=Response, responses=REFUSALS, openapi_extra=BYTES)
async def begin_upload(request: Request, services: ServicesDep) -> Response:
    """Begin an upload: `Upload-Length`, and `filename` and `name` in `Upload-Metadata`; bytes may come at once."""
    length, most = tus.number(request.headers, "Upload-Length"), services.settings.max_upload_mb * MIB
    if length > most:
        raise TooLargeError(
            f"The upload has {length} bytes, over the limit of {services.settings.max_upload_mb} MiB. Divide it, and "
            "add the second archive to the dataset of the first; or let the service read a folder that lies on it: "
            "POST /api/cv/import."
        )
    told = tus.metadata(request.headers)
    filename = told.get("filename", "")[:255]
    name = dataset_name(told.get("name"), filename)
    upload = await to_thread.run_sync(lambda: services.uploads.create(length, filename=filename, name=name))
    headers = {"Location": f"/api/cv/uploads/{upload.upload_id}"}
    if request.headers.get("content-type") == tus.BODY_TYPE:
        headers |= await _append(upload, request, services)
    elif length == 0:
        headers |= await to_thread.run_sync(_standing, upload, services, caller_of(request))
    return Response(status_code=201, headers=headers)


@router.get("/uploads/{upload_id}", responses=problems(404))
def get_upload(upload_id: UploadId, services: ServicesDep) -> UploadView:
    """How far an upload is, and what became of it."""
    return _view(services.uploads.get(upload_id), services)


@router.get("/uploads", responses=problems())
def list_uploads(services: ServicesDep) -> list[UploadView]:
    """Uploads in pieces, newest first, until they are removed."""
    return [_view(upload, services) for upload in services.uploads.list()]


def _view(upload: Upload, services: Services) -> UploadView:
    return UploadView(
        **upload.model_dump(exclude={"created_at"}),
        offset=services.uploads.offset(upload),
        expires_at=services.uploads.expires_at(upload).isoformat(),
    )


@router.head("/uploads/{upload_id}", response_class=Response, responses=problems(404, 412))
def offset_of(upload_id: UploadId, services: ServicesDep, caller: CallerDep) -> Response:
    """How many bytes are there, in `Upload-Offset`."""
    upload = services.uploads.get(upload_id)
    headers = {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    return Response(status_code=200, headers={**headers, **_standing(upload, services, caller)})


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    response_class=Response,
    responses={**REFUSALS, **problems(tus.CHECKSUM_MISMATCH)},
    openapi_extra=BYTES,
)
async def append(upload_id: UploadId, request: Request, services: ServicesDep) -> Response:
    """Append bytes at `Upload-Offset`; 409 names the true one. With the last bytes a job makes the dataset."""
    upload = await to_thread.run_sync(services.uploads.get, upload_id)
    if request.headers.get("content-type") != tus.BODY_TYPE:
        raise tus.TusProblem(415, f"Bytes are sent as 'Content-Type: {tus.BODY_TYPE}'.", title="Unsupported media type")
    return Response(status_code=204, headers=await _append(upload, request, services))


@router.delete("/uploads/{upload_id}", status_code=204, responses=problems(404, 412, 423))
def give_up(upload_id: UploadId, services: ServicesDep) -> Response:
    """Remove an upload and all bytes of it."""
    services.uploads.get(upload_id)
    services.uploads.remove(upload_id)
    return Response(status_code=204)


@router.post("/uploads/{upload_id}", status_code=204, response_class=Response, responses=REFUSALS, openapi_extra=BYTES)
async def override(upload_id: UploadId, request: Request, services: ServicesDep) -> Response:
    """PATCH or DELETE for clients behind a proxy that forbids them: `X-HTTP-Method-Override` names the method."""
    method = request.headers.get("x-http-method-override", "").upper()
    if method == "PATCH":
        return await append(upload_id, request, services)
    if method == "DELETE":
        return await to_thread.run_sync(give_up, upload_id, services)
    raise tus.TusProblem(400, "Send PATCH, or POST with 'X-HTTP-Method-Override: PATCH' or 'DELETE'.")


async def _append(upload: Upload, request: Request, services: Services) -> dict[str, str]:
    """Write what comes; what came before a broken connection stays."""
    checksum = tus.checksum(request.headers)
    algorithm = checksum[0] if checksum else None
    held = services.uploads.writer(upload, algorithm=algorithm)
    if upload.job_id:
        _check_offset(request, stands_at=upload.length)
    else:
        writer = await to_thread.run_sync(held.__enter__)
        try:
            _check_offset(request, stands_at=writer.offset)
            await _receive(request, writer, whole=checksum is not None)
            if checksum and not writer.matches(checksum[1]):
                writer.take_back()
                raise tus.TusProblem(
                    tus.CHECKSUM_MISMATCH,
                    "The checksum does not fit the bytes; send this piece again.",
                    title="Checksum mismatch",
                    Upload_Offset=str(writer.start),
                )
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(held.__exit__, None, None, None)
    return await to_thread.run_sync(_standing, upload, services, caller_of(request))


def _check_offset(request: Request, *, stands_at: int) -> None:
    if request.method == "POST" and "upload-offset" not in request.headers:
        return  # bytes that come with the beginning
    offset = tus.number(request.headers, "Upload-Offset")
    if offset != stands_at:
        raise tus.TusProblem(
            409,
            f"The upload stands at {stands_at} bytes, and these begin at {offset}. Go on at {stands_at}.",
            title="Conflict",
            Upload_Offset=str(stands_at),
        )


async def _receive(request: Request, writer: UploadWriter, *, whole: bool) -> None:
    """Pass the body on to the disk, a block at a time, on a thread. `whole`: a part of the body is worth nothing."""
    block = bytearray()
    chunks = request.stream()
    try:
        while True:
            with anyio.fail_after(SILENCE_S):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            block += chunk
            if len(block) >= BLOCK:
                ready, block = bytes(block), bytearray()
                await to_thread.run_sync(writer.write, ready)
    except (ClientDisconnect, TimeoutError):
        if whole:
            writer.take_back()
            block.clear()
        raise tus.TusProblem(408, "The connection broke off; go on where HEAD says.", title="Timeout") from None
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(writer.write, bytes(block))


def _standing(upload: Upload, services: Services, caller: Caller) -> dict[str, str]:
    """The headers that say how far an upload is; the job is queued with the last byte, once."""
    offset = services.uploads.offset(upload)
    headers = {
        "Upload-Offset": str(offset),
        "Upload-Expires": tus.http_date(services.uploads.expires_at(upload)),
    }
    if offset == upload.length and not upload.job_id:
        upload = _finish(upload, services, caller)
    if upload.job_id:
        headers["Sightglass-Job"] = upload.job_id
        headers["Sightglass-Dataset"] = str(upload.dataset_id)
    return headers


def _finish(upload: Upload, services: Services, caller: Caller) -> Upload:
    """Queue the import. Asked for again after a restart between the last byte and this, HEAD comes here too."""
    with services.uploads.turn(upload.upload_id):  # two that ask at once queue one job
        fresh = services.uploads.get(upload.upload_id)
        if fresh.job_id:
            return fresh
        services.uploads.share(upload.upload_id)
        payload = {"upload": upload.upload_id, "name": upload.name}
        job = services.queue.enqueue(services.verbs.import_kind, payload, dataset_id=new_id("ds"))
        done = fresh.model_copy(update={"job_id": job.job_id, "dataset_id": job.dataset_id})
        services.uploads.save(done)
    services.audit.add(
        "uploaded", str(job.dataset_id), caller=caller, dataset_id=job.dataset_id, detail=f"{upload.name}, in pieces"
    )
    return done
