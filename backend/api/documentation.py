"""The pages that show the API's description: /docs to try calls, /redoc to read. The only pages of this service.

Their scripts come from a public server (cdn.jsdelivr.net), so they stay empty where there is no network; /openapi.json
does not. Each page's policy lets in those scripts and its own inline one, by its digest, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse

SCRIPTS = "https://cdn.jsdelivr.net"
NO_ICON = "data:,"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = APIRouter(include_in_schema=False)


@router.get("/")
async def to_documentation() -> RedirectResponse:
    return RedirectResponse("/docs")


@router.get("/docs")
async def try_out(request: Request) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url=request.app.openapi_url, title=request.app.title, swagger_favicon_url=NO_ICON
    )
    return _with_policy(page)


@router.get("/redoc")
async def read(request: Request) -> HTMLResponse:
    page = get_redoc_html(
        openapi_url=request.app.openapi_url, title=request.app.title, redoc_favicon_url=NO_ICON, with_google_fonts=False
    )
    return _with_policy(page)


def _with_policy(page: HTMLResponse) -> HTMLResponse:
    scripts = _INLINE.findall(bytes(page.body).decode())
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join([SCRIPTS, *(f"'sha256-{digest}'" for digest in digests)])
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {allowed}; style-src {SCRIPTS} 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page
