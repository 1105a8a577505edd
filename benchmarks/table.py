"""Numbers as text: a Markdown table, seconds, ratios, and lines that set the other side beside ours and a goal.

Pure; it measures nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEADERS = ("what", "other side", "Sightglass", "ratio", "goal", "")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """`least` or `most` that a ratio or a number may be."""

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        bounds = (("≥", self.least), ("≤", self.most))
        return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison: what each side needed or reached, in words, the number that counts, and its goal."""

    what: str
    other: str
    ours: str
    value: float
    goal: Goal | None = None
    unit: str = "x"

    def cells(self) -> tuple[str, ...]:
        verdict = "" if self.goal is None else ("met" if self.goal.met(self.value) else "missed")
        goal = "" if self.goal is None else f"{self.goal}{_joined(self.unit)}"
        return (self.what, self.other, self.ours, f"{number(self.value)}{_joined(self.unit)}", goal, verdict)


def _joined(unit: str) -> str:
    return unit if unit in {"x", "%", ""} else f" {unit}"


def number(value: float) -> str:
    """Three figures, more only before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def seconds(value: float) -> str:
    return f"{number(value)} s"


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    cells = [tuple(headers), *(tuple(row) for row in rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headers))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def lines_table(lines: Sequence[Line]) -> str:
    return markdown(HEADERS, [line.cells() for line in lines])


def machine() -> str:
    """The processor, in words: a figure without it means little."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.exists() else ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bfloat16 = "avx512_bf16" if "avx512_bf16" in names.get("flags", "") else "no bfloat16"
    return f"{names.get('model name', platform.processor() or platform.machine())}, {cores} cores, {bfloat16}"
