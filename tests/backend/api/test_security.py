import hmac

from backend.api import security
from backend.api.security import KeyGuard


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
