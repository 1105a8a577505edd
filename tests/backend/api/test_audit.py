"""Every route that changes something knows who asks, so that the audit log can say so."""

import pytest
from fastapi.routing import APIRoute

from backend.api import ROUTERS
from backend.api.deps import Auditor
from backend.api.security import caller_of

# What changes nothing that anybody owns, or is written down by another way.
NOT_WRITTEN_DOWN = {
    "POST /predict": "an answer",
    "POST /api/cv/predict/{dataset_or_model_id}": "an answer",
    "POST /api/cv/explain/{dataset_or_model_id}": "an answer",
    "POST /api/tabular/predict/{dataset_or_model_id}": "an answer",
    "POST /api/cv/models/{model_id}/compare": "looks only",
    "POST /api/cv/datasets/{dataset_id}/check": "looks only",
    "POST /api/cv/uploads": "the last piece is what is written down",
    "POST /api/cv/uploads/{upload_id}": "PATCH, for callers that cannot send it",
    "PATCH /api/cv/uploads/{upload_id}": "the last piece is what is written down",
    "DELETE /api/cv/uploads/{upload_id}": "pieces that never became a dataset",
}


def changing_routes():
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield from (
                    (f"{method} {route.path}", route) for method in sorted(route.methods - {"GET", "HEAD", "OPTIONS"})
                )


def knows_who_asks(dependant):
    return any(found.call in (Auditor, caller_of) or knows_who_asks(found) for found in dependant.dependencies)


def test_every_route_that_changes_something_knows_who_asks():
    silent = {name for name, route in changing_routes() if not knows_who_asks(route.dependant)}
    assert silent - set(NOT_WRITTEN_DOWN) == set()


def test_the_exceptions_are_routes_that_exist():
    assert set(NOT_WRITTEN_DOWN) - {name for name, _ in changing_routes()} == set()


@pytest.mark.parametrize("name", ["POST /api/cv/train/start", "DELETE /api/cv/models/{model_id}"])
def test_these_are_among_those_that_know(name):
    route = dict(changing_routes())[name]
    assert knows_who_asks(route.dependant)
