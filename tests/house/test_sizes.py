"""Files and functions stay small: limits for each, and for the shape of the whole. Counted on the syntax tree."""

import ast
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("backend", "frontend", "sample_datasets", "benchmarks", "docs")
ALL = (*CODE, "tests")

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# path or path::function -> why it may be longer. An entry that is no longer needed fails a test below.
EXCEPTIONS: dict[str, str] = {
    "tests/frontend/stand_in_answers.py::results_of": "one answer of the API written out as data; there is no logic in it",
}


def python_files(folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def file_length(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path):
    """(path::name, lines) of each function, from `def` to its end, without the docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name_of(path)}::{node.name}", node.end_lineno - node.lineno + 1 - docstring_length(node)


def docstring_length(node):
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return first.end_lineno - first.lineno + 1
    return 0


def too_long():
    files = {name_of(path): file_length(path) for path in python_files(ALL)}
    sizes = {name: lines for path in python_files(ALL) for name, lines in functions(path)}
    over = {name: lines for name, lines in files.items() if lines > LONGEST_FILE}
    return over | {name: lines for name, lines in sizes.items() if lines > LONGEST_FUNCTION}


def test_no_file_or_function_is_over_its_limit():
    assert {name: lines for name, lines in too_long().items() if name not in EXCEPTIONS} == {}


def test_every_exception_is_still_needed_and_has_a_reason():
    assert set(EXCEPTIONS) - set(too_long()) == set()
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


def test_most_files_are_under_250_lines():
    lengths = [file_length(path) for path in python_files(CODE)]
    assert median(lengths) <= 130
    assert quantiles(lengths, n=20)[-1] <= 250


def test_most_functions_are_short():
    lengths = [lines for path in python_files(CODE) for _, lines in functions(path)]
    assert median(lengths) <= 10
    assert quantiles(lengths, n=20)[-1] <= 40


@pytest.mark.parametrize(("lines", "counted"), [(1, 2), (59, 60), (60, 61)])
def test_lines_of_a_function_are_counted_without_its_docstring(tmp_path, monkeypatch, lines, counted):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    body = "\n".join("    x = 1" for _ in range(lines))
    planted = tmp_path / "planted.py"
    planted.write_text(f'def long():\n    """One\n\n    Three."""\n{body}\n')
    assert dict(functions(planted)) == {"planted.py::long": counted}
