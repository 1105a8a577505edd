"""How much memory a new process could still get on this machine, or in this container. It starts and stops nothing."""

from __future__ import annotations

from pathlib import Path

MIB = 1024 * 1024
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # inside a container: its own group (version 2)


def free_memory_mb(*, meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """MiB that are free or can be freed at once (page cache); the container's own limit counts too.

    None where the system does not say: then nobody is kept waiting.
    """
    found = [amount for amount in (_machine(meminfo), _container(cgroup)) if amount is not None]
    return min(found) // MIB if found else None


def _machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _container(cgroup: Path) -> int | None:
    """What the limit leaves. Cached files count as used there, so those that nobody needs are given back."""
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return max(0, int(limit) - used + int(stat.get("inactive_file", 0)))
