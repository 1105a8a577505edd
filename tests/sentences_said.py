"""What backend's source says to people: its string literals of two words or more, as templates of the catalogue.

The rule: a literal with two words, or one word that the catalogue lists, is said, but for docstrings, arguments of loggers
and texts of the OpenAPI document, which stay English. What is left and is not for people either (SQL, the content of
downloaded files, a programmer's mistake) is listed in `not_said.json` beside the catalogue's test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from backend.i18n.template import normalised

BACKEND = Path(__file__).parents[1] / "backend"
# Modules whose texts no answer of the API holds.
UNREAD = (
    "i18n/",
    # the terminal is for whoever runs the machine, and English
    *("cli/", "workflows/configure.py", "workflows/sweep.py", "workflows/diagnose.py", "workflows/packages.py"),
    *("workflows/dataset_desk.py", "workflows/rivals_on_disk.py", "workflows/tables_on_disk.py"),
    "workflows/evaluate.py",
    # the content of files that are downloaded, English as the code in them
    *("inference/exporters/archive.py", "inference/exporters/card", "inference/exporters/licences.py"),
    *("inference/exporters/standalone", "tabular/packing.py", "tabular/standalone.py", "tracking/plots.py"),
    # the OpenAPI document, Prometheus, headers, migrations, the log
    *("api/problems.py", "api/documentation.py", "api/metrics.py", "api/secure_headers.py"),
    *("storage/migrations/", "execution/logs.py"),
)
# Their texts stand in the OpenAPI document.
OPENAPI = frozenset(
    ["Field", "Query", "Path", "Body", "Form", "File", "Header", "HTTPBearer", "APIKeyHeader", "FastAPI", "Argument"]
)
OPENAPI_NAMES = frozenset(["description", "summary", "responses", "openapi_examples", "openapi_extra"])
_TWO_WORDS = re.compile(r"[A-Za-z]{2,}[^A-Za-z]*\s.*[A-Za-z{]|[{A-Za-z]+.*\s[^A-Za-z]*[A-Za-z]{2,}", re.DOTALL)


@cache
def literals() -> dict[str, str]:
    """Each literal as a template, one word or many, with the place where it stands first."""
    found: dict[str, str] = {}
    for path in sorted(BACKEND.rglob("*.py")):
        name = path.relative_to(BACKEND).as_posix()
        if name.startswith(UNREAD):
            continue
        for text, line in _of(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(normalised(text), f"backend/{name}:{line}")
    for path in sorted((BACKEND / "engine/presets/preset").glob("*.yaml")):
        for text in _titles(yaml.safe_load(path.read_text(encoding="utf-8"))["about"]):
            found.setdefault(normalised(text), f"backend/engine/presets/{path.name}")
    return found


def sentences() -> dict[str, str]:
    """Those of them that have two words or more."""
    return {text: place for text, place in literals().items() if _TWO_WORDS.search(text)}


def _of(tree: ast.Module) -> Iterator[tuple[str, int]]:
    unsaid = {id(node) for skipped in _unsaid(tree) for node in ast.walk(skipped)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            # what stands between the places is part of this literal, what stands in them may be one of its own
            unsaid |= {id(value) for value in node.values if isinstance(value, ast.Constant)}
            unsaid |= {
                id(inner)
                for value in node.values
                if isinstance(value, ast.FormattedValue) and value.format_spec
                for inner in ast.walk(value.format_spec)
            }
    for node in ast.walk(tree):
        if id(node) in unsaid:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
        elif isinstance(node, ast.JoinedStr):
            yield "".join(_piece(value) for value in node.values), node.lineno


def _piece(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else "{}"


def _unsaid(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.startswith(("logger.", "log.")):
                yield from node.args
                yield from (keyword.value for keyword in node.keywords)
            elif called.rsplit(".", 1)[-1] in OPENAPI or "router." in called:
                yield from (keyword.value for keyword in node.keywords if keyword.arg in OPENAPI_NAMES)


def _titles(preset: dict[str, object]) -> list[str]:
    return [str(preset[key]) for key in ("title", "description") if key in preset]
