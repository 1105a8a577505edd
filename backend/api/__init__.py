"""HTTP in, HTTP out: routes, access, limits, problem answers. It computes nothing and never imports torch.

Every router is in these lists; their order is the order of the documentation.
"""

from __future__ import annotations

from fastapi import APIRouter

from backend.api.routes import (
    audit,
    batch,
    datasets,
    downloads,
    health,
    imports,
    insights,
    jobs,
    models,
    predictions,
    resumable,
    table_models,
    tables,
    training,
    versions,
    watching,
)

OPEN_ROUTERS: tuple[APIRouter, ...] = (health.open_router,)
ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    watching.router,
    datasets.upload_router,
    resumable.router,
    imports.router,
    datasets.router,
    versions.images_router,
    versions.router,
    insights.router,
    training.router,
    jobs.router,
    predictions.router,
    predictions.explain_router,
    predictions.plain_router,
    batch.upload_router,
    batch.router,
    models.router,
    downloads.router,
    tables.upload_router,
    tables.router,
    table_models.predict_router,
    table_models.router,
    audit.router,
)

__all__ = ["OPEN_ROUTERS", "ROUTERS"]
