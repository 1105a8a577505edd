"""What each column is."""

import numpy as np
import pandas as pd
import pytest

from backend.tabular.cells import as_numbers, as_seconds, as_text, as_truth
from backend.tabular.columns import describe_columns
from backend.tabular.reading import RawTable


def described(**columns):
    found, decimal = describe_columns(RawTable(pd.DataFrame(columns), "csv"))
    return {column.name: column for column in found}, decimal


def cycle(words, count=40):
    return [words[place % len(words)] for place in range(count)]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([str(n * 1.5) for n in range(40)], "number"),
        (cycle(["1", "2", "3"]), "number"),
        (cycle(["0", "1"]), "number"),
        (cycle(["ja", "nein"]), "boolean"),
        (cycle(["True", "FALSE", ""]), "boolean"),
        (cycle(["red", "green", "NA"]), "category"),
        ([f"2026-01-{1 + n % 28:02d}" for n in range(40)], "date"),
        ([f"{1 + n % 28}.3.2026 10:00" for n in range(40)], "date"),
        ([f"a longer text about thing {n}" for n in range(40)], "text"),
        ([f"k{n:05d}x" for n in range(40)], "id"),
        ([str(n) for n in range(1, 41)], "id"),
        (["x"] * 40, "constant"),
        ([""] * 40, "empty"),
        (cycle(["NaN", "null"]), "empty"),
    ],
)
def test_kinds(cells, kind):
    found, _ = described(c=cells, other=cycle(["p", "q"]))
    assert found["c"].kind == kind


def test_one_value_beside_missing_cells_is_no_constant():
    found, _ = described(sent=cycle(["sent", "none"]), other=cycle(["p", "q"]))
    assert (found["sent"].kind, found["sent"].missing) == ("category", 20)


def test_a_few_cells_that_do_not_fit_are_named_and_count_as_missing():
    found, _ = described(age=["unknown", *[str(20 + n % 30) for n in range(39)]])
    assert found["age"].kind == "number"
    assert found["age"].missing == 1
    assert "'unknown'" in found["age"].note


def test_numbers_with_a_comma_are_recognised_for_the_whole_table():
    found, decimal = described(price=[f"1.{n:03d},50" for n in range(40)], word=cycle(["a", "b"]))
    assert decimal == ","
    assert found["price"].minimum == 1000.5


def test_typed_columns_of_a_parquet_file():
    frame = pd.DataFrame(
        {
            "n": pd.Series([1, 2, None] * 10, dtype="Int64"),
            "flag": pd.Series([True, False, None] * 10, dtype="boolean"),
            "day": pd.date_range("2026-01-01", periods=30),
            "word": pd.Series(["a", "b", "c"] * 10, dtype="category"),
        }
    )
    found = {column.name: column.kind for column in describe_columns(RawTable(frame, "parquet"))[0]}
    assert found == {"n": "number", "flag": "boolean", "day": "date", "word": "category"}


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1.5", ".", 1.5),
        ("1,234.5", ".", 1234.5),
        ("1,5", ".", np.nan),
        ("1,5", ",", 1.5),
        ("1.234,5", ",", 1234.5),
        ("1.5", ",", np.nan),
        (" 7 ", ".", 7.0),
        ("1e3", ".", 1000.0),
        ("inf", ".", np.nan),
        ("abc", ".", np.nan),
        ("?", ".", np.nan),
    ],
)
def test_numbers(cell, decimal, value):
    np.testing.assert_equal(as_numbers(pd.Series([cell]), decimal=decimal), [value])


def test_days_first_and_years_first():
    march = pd.Timestamp("2026-03-04", tz="UTC").timestamp()
    assert as_seconds(pd.Series(["4.3.2026"]), day_first=True)[0] == march
    assert as_seconds(pd.Series(["3/4/2026"]))[0] == march
    assert as_seconds(pd.Series(["2026-03-04"]), day_first=True)[0] == march
    assert np.isnan(as_seconds(pd.Series(["soon", None]))).all()


def test_truth_in_two_languages_and_in_json():
    np.testing.assert_equal(as_truth(pd.Series(["ja", "No", "1", "maybe", None])), [1, 0, 1, np.nan, np.nan])
    np.testing.assert_equal(as_truth(pd.Series([True, False], dtype=object)), [1, 0])


def test_whole_numbers_read_alike_whether_a_neighbour_is_missing_or_not():
    assert list(as_text(pd.Series([3.0, None], dtype=object)).fillna("-")) == ["3", "-"]
