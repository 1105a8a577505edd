from backend.api.raw_headers import header_values


def test_the_first_of_several_counts_and_the_rest_is_left_out():
    scope = {"headers": [(b"host", b"one"), (b"x-other", b"x"), (b"host", b"two"), (b"origin", b"o")]}
    assert header_values(scope, {b"host", b"origin", b"absent"}) == {b"host": b"one", b"origin": b"o"}
