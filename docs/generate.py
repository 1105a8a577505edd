"""Writes the tables of docs/guide from the code, between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.

`python docs/generate.py` writes; `--check` writes nothing and exits 1 where a page is out of date. Loads no torch.
"""  # noqa: INP001 -- a script beside the pages it writes, not a package

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from backend.config import Settings
from backend.contracts import Recipe, override_entries
from backend.contracts.presets import preset_entry
from backend.data.augmentation_catalogue import AUGMENTATION_CATALOGUE
from backend.engine.models import MODELS
from backend.search.presets import DEPTHS, MINUTE

GUIDE = Path(__file__).resolve().parent / "guide"
# Defaults that a machine decides; written in words, so that the page is the same everywhere.
DECIDED_BY_THE_MACHINE = {"torch_threads": "all cores", "import_processes": "all cores"}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(header)
    lines = [columns, ["---"] * len(columns), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _default(name: str, field: FieldInfo) -> str:
    if name in DECIDED_BY_THE_MACHINE:
        return DECIDED_BY_THE_MACHINE[name]
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    return "" if value in (None, (), {}) else f"`{int(value) if isinstance(value, bool) else value}`"


def _fields(model: type[BaseModel], naming: Callable[[str], str]) -> list[list[str]]:
    return [
        [f"`{naming(name)}`", _default(name, field), field.description or ""]
        for name, field in model.model_fields.items()
    ]


def settings() -> str:
    return table(["variable", "default", "meaning"], _fields(Settings, lambda name: f"SIGHTGLASS_{name.upper()}"))


def recipe() -> str:
    rows = _fields(Recipe, lambda name: name)
    rows[0][2] = "The dataset to train on."
    return table(["field", "default", "meaning"], rows)


def overrides() -> str:
    rows = [[f"`{entry.name}`", f"`{entry.default}`", entry.description] for entry in override_entries()]
    return table(["key", "default", "meaning"], rows)


def networks() -> str:
    rows = [
        [
            f"`{spec.name}`",
            f"`{spec.timm_name}`",
            f"{spec.parameters / 1e6:.1f}" if spec.parameters else "",
            str(spec.input_size),
            "yes" if spec.default else ("offline" if spec.bundled else ""),
            spec.description,
        ]
        for spec in MODELS
    ]
    return table(["name", "timm's name", "million weights", "pixels a side", "compared by default", "what it is"], rows)


def augmentations() -> str:
    rows = [[f"`{entry.name}`", "yes" if entry.default else "", entry.description] for entry in AUGMENTATION_CATALOGUE]
    return table(["name", "by default", "what it does"], rows)


def presets() -> str:
    rows = []
    for name, depth in DEPTHS.items():
        whole = "strategy" in preset_entry(name).values  # a recipe of its own, not a search
        parts = [f"one network is trained for {depth.epochs} epochs" if whole else "every network is screened"]
        if depth.refined and not whole:
            networks = "the best one is" if depth.refined == 1 else f"the best {depth.refined} are"
            parts.append(f"{networks} trained further ({depth.epochs} epochs; with few images more)")
        if depth.tuning_trials:
            parts.append(f"{depth.tuning_trials} other settings are tried on the best")
        if depth.ensemble:
            parts.append("several networks may answer together")
        rows.append([f"`{name}`", f"{depth.time_budget_s / MINUTE:g} minutes", "; ".join(parts)])
    return table(["preset", "time at most", "what happens"], rows)


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings},
    "api.md": {"recipe": recipe},
    "search.md": {"presets": presets},
    "models.md": {"networks": networks, "augmentations": augmentations, "overrides": overrides},
}


def render(page: str, text: str) -> str:
    """The page with its tables written anew.

    Raises:
        ValueError: a marker is missing.
    """
    for name, build in PAGES[page].items():
        pattern = re.compile(rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        body = build().replace("\\", "\\\\")  # a backslash means something in a replacement
        text, count = pattern.subn(rf"\g<1>{body}\n\g<2>", text)
        if count != 1:
            raise ValueError(f"docs/guide/{page} needs the markers of '{name}' once; found {count}.")
    return text


def outdated() -> list[str]:
    """Pages whose tables are not what the code says."""
    return [page for page in PAGES if (text := _read(page)) != render(page, text)]


def _read(page: str) -> str:
    return (GUIDE / page).read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    pages = outdated()
    if "--check" in arguments:
        sys.stdout.write("".join(f"docs/guide/{page} is out of date: run 'make docs'\n" for page in pages))
        return 1 if pages else 0
    for page in pages:
        (GUIDE / page).write_text(render(page, _read(page)), encoding="utf-8")
        sys.stdout.write(f"docs/guide/{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
