import pytest

from backend.i18n.numbers import GERMAN


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("3", "3"),
        ("1,234", "1.234"),
        ("1,234,567.8", "1.234.567,8"),
        ("0.93", "0,93"),
        ("-0.003", "-0,003"),
        ("+1.2", "+1,2"),
        ("93.1%", "93,1\u00a0%"),
        ("1e-05", "1e-05"),
        ("12.5 s", "12,5 s"),
        ("1,000 MiB", "1.000 MiB"),
    ],
)
def test_a_number_in_german(english, german):
    assert GERMAN.said(english) == german


@pytest.mark.parametrize(
    "text", ["", "a", "1.2.3", "1,2", "12,34", "3 cats", "v1.2", "1.2-rc", "..", "%", "1 234", "٣"]
)
def test_what_is_no_number_is_left_alone(text):
    assert GERMAN.said(text) is None
