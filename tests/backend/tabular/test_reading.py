"""Files in, cells out; whatever is no table is refused with a sentence."""

import codecs

import pandas as pd
import pytest

from backend.errors import TableError, TooLargeError
from backend.tabular.reading import read_table
from backend.tabular.sniffing import MOST_COLUMNS


def read(tmp_path, content, *, max_mb=16, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, max_mb=max_mb)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path, separator):
    lines = [separator.join(cells) for cells in (["name", "age"], ["Ada", "36"], ["Alan", "41"])]
    table = read(tmp_path, "\n".join(lines))
    assert table.frame.to_dict("list") == {"name": ["Ada", "Alan"], "age": ["36", "41"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_umlauts_survive(tmp_path, encoding):
    table = read(tmp_path, "größe;straße\n1,5;Königsallee\n2,5;Weg\n".encode(encoding))
    assert list(table.frame.columns) == ["größe", "straße"]
    assert table.frame["straße"][0] == "Königsallee"


def test_big_endian_utf_16_is_read_too(tmp_path):
    table = read(tmp_path, codecs.BOM_UTF16_BE + "a,b\n1,2\n".encode("utf-16-be"))
    assert list(table.frame.columns) == ["a", "b"]


def test_quoted_cells_may_hold_separators_and_line_breaks(tmp_path):
    table = read(tmp_path, 'a,"b\nc",d\n"x, y\nz",2,3\n4,5,6\n')
    assert list(table.frame["a"]) == ["x, y\nz", "4"]
    assert table.skipped_rows == 0


def test_lines_of_another_width_are_left_out_and_counted(tmp_path):
    table = read(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert list(table.frame["a"]) == ["1", "7"]
    assert table.skipped_rows == 2
    assert "2 lines were left out" in table.warnings[0]


def test_names_are_made_where_they_are_missing_or_used_twice(tmp_path):
    table = read(tmp_path, "a,a,\n1,2,3\nx,y,z\n")
    assert list(table.frame.columns) == ["a", "a_2", "column_3"]
    assert len(table.warnings) == 2


def test_a_first_line_of_numbers_is_a_row(tmp_path):
    table = read(tmp_path, "1,2\n3,4\n")
    assert list(table.frame.columns) == ["column_1", "column_2"]
    assert len(table.frame) == 2


def test_a_formula_is_nothing_but_text(tmp_path):
    table = read(tmp_path, "a,b\n=1+1,2\n\"=cmd|' /C calc'!A0\",3\n")
    assert list(table.frame["a"]) == ["=1+1", "=cmd|' /C calc'!A0"]


def test_parquet_keeps_its_types_and_leaves_lists_out(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame(
        {"n": [1, 2], "day": pd.to_datetime(["2026-01-01", None]), "word": ["x", None], "l": [[1], [2]]}
    )
    frame.to_parquet(path)
    table = read_table(path, max_mb=16)
    assert list(table.frame.columns) == ["n", "day", "word"]
    assert table.frame["n"].dtype == "int64"
    assert "'l' holds lists" in table.warnings[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  \n \n", "empty"),
        (b"a\n1\n2\n", "one column"),
        (b"a,b\n", "no rows"),
        (b"PK\x03\x04" + b"x" * 50, "Excel"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"a,b\n\x001,2\n", "binary"),
        (b"\0" * 3_000_000, "binary"),
        (b"0" * 3_000_000, "first line does not end"),
        (b"PAR1" + b"x" * 100, "cannot be read"),
        (",".join(f"c{n}" for n in range(MOST_COLUMNS + 1)).encode() + b"\n1\n", "columns; at most"),
        (",".join(f"c{n}" for n in range(400_000)).encode() + b"\n1\n", "first line does not end"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, words):
    with pytest.raises(TableError, match=words):
        read(tmp_path, content)


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path):
    with pytest.raises(TooLargeError, match="at most 1 are taken"):
        read(tmp_path, b"a,b\n" + b"1,2\n" * 300_000, max_mb=1)


def test_a_parquet_bomb_is_refused_by_what_it_unpacks_to(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": ["x" * 1_000] * 20_000, "b": range(20_000)}).to_parquet(
        path, use_dictionary=False, compression="zstd"
    )
    assert path.stat().st_size < 2**20
    with pytest.raises(TooLargeError, match="unpacks to"):
        read_table(path, max_mb=1)
