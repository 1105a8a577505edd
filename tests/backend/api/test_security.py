import hmac

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from backend.api import security
from backend.api.request_log import RequestLog
from backend.api.security import KeyGuard, Keys, caller_of


@pytest.fixture
def compared(monkeypatch):
    seen = []

    class Spy:
        @staticmethod
        def compare_digest(left, right):
            seen.append((left, right))
            return hmac.compare_digest(left, right)

    monkeypatch.setattr(security, "hmac", Spy)
    return seen


def test_an_offered_key_is_compared_with_every_key_and_never_by_equality(compared):
    keys = Keys(["first", "second"])
    assert keys.name_of(b"first")
    assert keys.name_of(b"fir") is None
    assert sorted(compared) == [(offered, key) for offered in (b"fir", b"first") for key in (b"first", b"second")]


@pytest.mark.parametrize(
    ("entry", "key", "name"),
    [
        ("ada:s3cret", b"s3cret", "ada"),
        ("line 4: s3cret ", b"s3cret", "line 4"),
        ("ada@example.org:a:b", b"a:b", "ada@example.org"),
        ("zoë:s3cret", "zoë:s3cret".encode(), "key 6b8f65e4"),
        ("s3cret", b"s3cret", "key 1ec1c26b"),
    ],
)
def test_an_entry_is_a_name_and_a_key_or_a_key_alone(entry, key, name):
    keys = Keys([entry])
    assert keys.name_of(key) == name
    assert keys.name_of(b"ada") is None
    assert keys.name_of(b"") is None
    assert keys.name_of(None) is None


def test_one_name_may_have_several_keys_and_the_first_of_two_equal_ones_counts():
    keys = Keys(["ada:old", "ada:new", "ben:old"])
    assert [keys.name_of(key) for key in (b"old", b"new")] == ["ada", "ada"]


def test_no_entries_are_no_keys():
    assert not Keys(())
    assert Keys(["one"])


def who(request):
    return JSONResponse(caller_of(request).model_dump())


@pytest.mark.parametrize(
    ("entries", "headers", "name"),
    [
        ((), {}, "local"),
        ((), {"X-API-Key": "anything"}, "local"),  # nobody has checked it
        (("s3cret", "other"), {"X-API-Key": "s3cret"}, "key 1ec1c26b"),
        (("s3cret", "other"), {"Authorization": "Bearer s3cret"}, "key 1ec1c26b"),
        (("ada:s3cret", "other"), {"Authorization": "Bearer s3cret"}, "ada"),
    ],
)
def test_a_caller_is_known_by_the_key_and_the_key_is_not_told(entries, headers, name):
    app = RequestLog(KeyGuard(Starlette(routes=[Route("/who", who)]), keys=Keys(entries)))
    answer = TestClient(app, client=("192.0.2.7", 5000)).get("/who", headers={**headers, "X-Request-ID": "req-1"})
    assert answer.json() == {"name": name, "address": "192.0.2.7", "request_id": "req-1"}
