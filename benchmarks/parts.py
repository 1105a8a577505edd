"""Parts of a measurement, kept in `.bench/results/`, so that a long benchmark can be run seed by seed and put together.

A part is one JSON object a line: what was measured, of what, when. It does not know what the numbers mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"

Part = dict[str, Any]


def results_file(name: str) -> Path:
    return BENCH / "results" / f"{name}.jsonl"


def keep(path: Path, part: Part) -> Part:
    """Append a part with the moment that it was measured at."""
    part = {**part, "measured_at": f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(part) + "\n")
    return part


def read(path: Path) -> list[Part]:
    """All parts, oldest first; none where nothing was measured yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def newest(parts: Iterable[Part], *keys: str) -> list[Part]:
    """The last part of each combination of keys, in the order in which the combinations first came up."""
    chosen: dict[tuple[Any, ...], Part] = {}
    for part in parts:
        chosen[tuple(part.get(key) for key in keys)] = part
    return list(chosen.values())
