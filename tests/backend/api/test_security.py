import hmac

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from backend.api import security
from backend.api.request_log import RequestLog
from backend.api.security import KeyGuard, caller_of


def test_an_offered_key_is_compared_with_every_key_and_never_by_equality(monkeypatch):
    compared = []

    class Spy:
        @staticmethod
        def compare_digest(left, right):
            compared.append((left, right))
            return hmac.compare_digest(left, right)

    monkeypatch.setattr(security, "hmac", Spy)
    guard = KeyGuard(None, keys=["first", "second"])
    assert guard._fits(b"first")
    assert not guard._fits(b"fir")
    assert compared == [(offered, key) for offered in (b"first", b"fir") for key in (b"first", b"second")]


def who(request):
    return JSONResponse(caller_of(request).model_dump())


@pytest.mark.parametrize(
    ("keys", "headers", "name"),
    [
        ((), {}, "local"),
        ((), {"X-API-Key": "anything"}, "local"),  # nobody has checked it
        (("s3cret", "other"), {"X-API-Key": "s3cret"}, "key 1ec1c26b"),
        (("s3cret", "other"), {"Authorization": "Bearer s3cret"}, "key 1ec1c26b"),
    ],
)
def test_a_caller_is_known_by_the_key_and_the_key_is_not_told(keys, headers, name):
    app = RequestLog(KeyGuard(Starlette(routes=[Route("/who", who)]), keys=keys))
    answer = TestClient(app, client=("192.0.2.7", 5000)).get("/who", headers={**headers, "X-Request-ID": "req-1"})
    assert answer.json() == {"name": name, "address": "192.0.2.7", "request_id": "req-1"}
