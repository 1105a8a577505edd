import os
import sys

import pytest

from backend.execution.figures import figures_of


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_this_process_takes_memory_and_time():
    figures = figures_of(os.getpid())
    assert figures.resident_bytes > 2**20
    assert figures.cpu_seconds > 0


def test_a_name_with_blanks_and_brackets_moves_nothing(tmp_path):
    (tmp_path / "7").mkdir()
    line = "7 (a ) b) S " + " ".join(["0"] * 10 + ["150", "50"] + ["0"] * 8 + ["3"])
    (tmp_path / "7" / "stat").write_text(line)
    figures = figures_of(7, proc=tmp_path)
    assert figures.resident_bytes == 3 * os.sysconf("SC_PAGE_SIZE")
    assert figures.cpu_seconds == 200 / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("content", ["", "7 (x) S", "7 (x) S " + "a " * 30])
def test_what_is_gone_or_unreadable_says_nothing(tmp_path, content):
    assert figures_of(7, proc=tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(content)
    assert figures_of(7, proc=tmp_path) is None
