"""What a process takes of its machine. It starts and stops nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# Places after the name of the command, which may hold blanks itself: proc(5), counted from 0.
_USER_TICKS, _SYSTEM_TICKS, _RESIDENT_PAGES = 11, 12, 21


@dataclass(frozen=True)
class ProcessFigures:
    """Memory in bytes, processor time in seconds since it started."""

    resident_bytes: int
    cpu_seconds: float


def figures_of(process_id: int, *, proc: Path = PROC) -> ProcessFigures | None:
    """What the process takes now; None where it is gone, or where the system does not say."""
    try:
        line = (proc / str(process_id) / "stat").read_text(encoding="utf-8", errors="replace")
        parts = line.rpartition(")")[2].split()
        ticks = int(parts[_USER_TICKS]) + int(parts[_SYSTEM_TICKS])
        return ProcessFigures(
            resident_bytes=int(parts[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE"),
            cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        )
    except (OSError, ValueError, IndexError):
        return None
