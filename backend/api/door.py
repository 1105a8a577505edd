"""What every request passes before its route, in this order, and every answer on its way back."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from backend.api.bounds import MIB, Bounds
from backend.api.languages import Languages
from backend.api.origins import OriginGuard
from backend.api.rate_limits import Budget, RateLimit
from backend.api.request_log import RequestLog
from backend.api.secure_headers import SecureHeaders
from backend.api.security import KeyGuard, Keys
from backend.config import Settings

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "Authorization",
    "X-API-Key",
    "X-Request-ID",
    "Content-Type",
    "Last-Event-ID",
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)
EXPOSED_HEADERS = (
    "X-Request-ID",
    "Content-Disposition",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Heatmap-Evidence",
    "X-Heatmap-Score",
    "X-Heatmap-Random",
    "Tus-Resumable",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Offset",
)


def add_door(app: FastAPI, settings: Settings) -> None:
    """Put the middleware around the application. The last one added is the first that a request meets."""
    keys = Keys(settings.api_keys)
    app.add_middleware(Bounds, max_upload_bytes=settings.max_upload_mb * MIB)
    app.add_middleware(KeyGuard, keys=keys)
    general = Budget("requests", settings.rate_limit)
    predicting = Budget("predictions", settings.rate_limit_predict or settings.rate_limit)
    if general or predicting:
        app.add_middleware(RateLimit, keys=keys, general=general, predicting=predicting)
    if settings.cors_origins:
        # No cookies and so no credentials: a key is sent by the page itself.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=ALLOWED_METHODS,
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(
        OriginGuard, hosts=settings.allowed_hosts, origins=settings.cors_origins, keyed=bool(settings.api_keys)
    )
    app.add_middleware(SecureHeaders)
    app.add_middleware(Languages)  # around all that refuses
    app.add_middleware(RequestLog)
