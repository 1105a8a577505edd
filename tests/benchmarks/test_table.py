import pytest

from benchmarks.table import Goal, Line, lines_table, machine, markdown, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.994, "9.99"), (14.04, "14.0"), (123.4, "123"), (20_000, "20,000"), (-3.2, "-3.20")],
)
def test_a_number_has_three_figures(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal(least=8), 8, True),
        (Goal(least=8), 7.99, False),
        (Goal(most=1.5), 1.5, True),
        (Goal(most=1.5), 1.51, False),
        (Goal(), 0, True),
    ],
)
def test_a_goal_is_a_bound_on_one_side(goal, value, met):
    assert goal.met(value) is met


def test_a_line_says_whether_its_goal_was_met():
    line = Line(what="four networks", other="240 s", ours="30.0 s", value=8.0, goal=Goal(least=8))
    assert line.cells() == ("four networks", "240 s", "30.0 s", "8.00x", "≥ 8x", "met")
    missed = Line(what="accuracy", other="80%", ours="79%", value=-1, goal=Goal(least=0), unit="points")
    assert missed.cells()[3:] == ("-1.00 points", "≥ 0 points", "missed")


def test_a_line_without_a_goal_passes_no_judgement():
    assert Line(what="a", other="b", ours="c", value=1).cells()[4:] == ("", "")


def test_columns_line_up():
    table = markdown(("name", "s"), [("resnet18", "1.5"), ("vit", "12.0")])
    assert table.splitlines() == [
        "| name     | s    |",
        "| -------- | ---- |",
        "| resnet18 | 1.5  |",
        "| vit      | 12.0 |",
    ]


def test_a_table_without_lines_is_its_header():
    assert len(lines_table([]).splitlines()) == 2


def test_the_machine_is_named_with_its_cores():
    assert "core" in machine()
