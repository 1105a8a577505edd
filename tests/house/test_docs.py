"""The documentation says what the code says: tables, routes, commands, links, the file tree."""

import importlib.util
import re
from pathlib import Path

import pytest

from backend.cli.app import COMMANDS, GROUPS
from backend.config import Settings
from backend.data.augmentation_catalogue import AUGMENTATION_CATALOGUE
from backend.engine.models import MODELS
from backend.main import create_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
GUIDE = ROOT / "docs" / "guide"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def routes(settings):
    """`GET /health` and so on, of the real application."""
    paths = create_app(settings).openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def read(path):
    return path.read_text(encoding="utf-8")


def as_pattern(route):
    """The names between braces do not matter: `{dataset_or_model_id}` is documented as `{dataset_id}`."""
    return re.sub(r"\{\w+\}", "{}", route)


def test_the_generated_tables_are_what_the_code_says(generator):
    assert generator.outdated() == []


def test_an_outdated_table_would_be_noticed(generator, tmp_path, monkeypatch):
    for page in generator.PAGES:
        (tmp_path / page).write_text(read(GUIDE / page).replace("SIGHTGLASS_PORT", "SIGHTGLASS_DOOR"))
    monkeypatch.setattr(generator, "GUIDE", tmp_path)
    assert generator.outdated() == ["settings.md"]
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.outdated() == []


def test_every_setting_stands_in_the_guide():
    page = read(GUIDE / "settings.md")
    assert [name for name in Settings.model_fields if f"`SIGHTGLASS_{name.upper()}`" not in page] == []


def test_every_network_and_augmentation_stands_in_the_guide():
    page = read(GUIDE / "models.md")
    names = [*MODELS.names(), *AUGMENTATION_CATALOGUE.names()]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_route_stands_in_the_guide(routes):
    page = as_pattern(read(GUIDE / "api.md"))
    assert [route for route in sorted(routes) if f"`{as_pattern(route)}`" not in page] == []


def test_every_route_in_the_guide_exists(routes):
    named = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)`", read(GUIDE / "api.md"))
    assert len(named) > 10
    existing = {as_pattern(route) for route in routes}
    assert [route for route in named if as_pattern(route) not in existing] == []


def test_every_command_has_its_section_in_the_guide():
    page = read(GUIDE / "cli.md")
    names = [*(command.__name__ for command in COMMANDS), *(group.info.name for group in GROUPS)]
    assert [name for name in names if f"\n## {name}\n" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", read(page)) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_no_two_decisions_share_a_number():
    """Gaps are numbers that somebody has taken and not yet written."""
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("decision", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_names_code_that_exists(decision):
    named = re.findall(r"`((?:backend|frontend|tests|docs)/[\w/.]+)`", read(decision))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
