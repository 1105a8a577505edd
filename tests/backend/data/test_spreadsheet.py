import pytest

from backend.data.spreadsheet import plain_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1"])
def test_what_a_spreadsheet_would_compute_becomes_text(text):
    assert plain_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "bag", "a=b", "day 1/left.png", "1-2.png", "'quoted'"])
def test_other_text_stays_as_it_is(text):
    assert plain_cell(text) == text
