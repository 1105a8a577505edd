"""Does the service stay as it is under hours of requests? Memory, descriptors and threads of each of its processes.

Some users ask without a pause, now and then for a heat map or with a file that is no picture, while every few seconds
each process is looked at. The first fifth of the time is a warm-up: backends are measured, caches fill. After it the
memory of a process may move by 5%, and its descriptors and threads must not grow.

    python -m benchmarks.soak --minutes 10
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx2

from benchmarks.serving import ARCHIVE
from benchmarks.serving_parts import KEPT, family, our_service, pictures_of, trained_run
from benchmarks.table import machine

LOOK_S = 2.0
WARM_UP = 0.2
MOST_DRIFT = 0.05
# Allocators keep a little more or less from one moment to the next; 5% of a small process is less than that.
LEAST_DRIFT_MB = 16.0
USERS = 8
ODD_EVERY, MAP_EVERY = 50, 400


@dataclass(frozen=True)
class Look:
    """One process at one moment."""

    memory_mb: float
    descriptors: int
    threads: int


@dataclass
class Story:
    """A process over the time."""

    name: str
    looks: list[Look] = field(default_factory=list)

    def verdict(self) -> tuple[str, bool]:
        """The middle of the first and of the last fifth after the warm-up, in words, and whether they are alike."""
        settled = self.looks[int(WARM_UP * len(self.looks)) :]
        part = max(1, len(settled) // 5)
        first, last = settled[:part], settled[-part:]
        words, well = [], True
        for what in ("memory_mb", "descriptors", "threads"):
            before, after = (statistics.median(getattr(look, what) for look in looks) for looks in (first, last))
            words.append(f"{what} {before:.0f} -> {after:.0f}")
            if what == "memory_mb":
                well &= abs(after - before) <= max(MOST_DRIFT * before, LEAST_DRIFT_MB)
            else:
                well &= after <= before + 1
        return f"{self.name}: {', '.join(words)}", well


def look_at(process_id: int) -> Look:
    folder = Path("/proc") / str(process_id)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    return Look(
        memory_mb=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=len(list((folder / "fd").iterdir())),
        threads=int(status["Threads"]),
    )


class Callers:
    """Users on threads, each with a connection of its own."""

    def __init__(self, address: str, pictures: list[bytes]) -> None:
        self._address = address
        self._turns = enumerate(itertools.cycle(pictures), start=1)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.statuses: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask) for _ in range(USERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx2.Client(base_url=self._address, timeout=120) as client:
            while not self._stop.is_set():
                with self._lock:
                    turn, picture = next(self._turns)
                path = "/predict"
                if turn % MAP_EVERY == 0:
                    model = client.get("/health").json()["default_model"]
                    path = f"/api/cv/predict/{model}?explain=true"
                odd = turn % ODD_EVERY == 0 and path == "/predict"
                answer = client.post(path, files={"file": ("picture", b"no picture" if odd else picture)})
                expected = 422 if odd else 200
                with self._lock:
                    self.statuses["as expected" if answer.status_code == expected else str(answer.status_code)] += 1


def soak(archive: Path, *, minutes: float) -> bool:
    run, pictures = trained_run(archive), pictures_of(archive, KEPT / "pictures")
    encoded = [path.read_bytes() for path in sorted(pictures.iterdir())]
    with our_service(run, KEPT / "data") as (client, server):
        time.sleep(5)  # the process for heat maps starts after the one that predicts
        stories = {one: Story(name) for one, name in named(family(server.pid))}
        with Callers(str(client.base_url), encoded) as callers:
            end = time.monotonic() + 60 * minutes
            while time.monotonic() < end:
                time.sleep(LOOK_S)
                for process_id, story in stories.items():
                    with contextlib.suppress(OSError):
                        story.looks.append(look_at(process_id))
    print(f"{sum(callers.statuses.values())} requests in {minutes:g} minutes: {dict(callers.statuses)}")
    verdicts = [story.verdict() for story in stories.values() if story.looks]
    for words, well in verdicts:
        print(f"{'flat ' if well else 'MOVED'} {words}")
    return all(well for _, well in verdicts) and set(callers.statuses) == {"as expected"}


def named(process_ids: list[int]) -> list[tuple[int, str]]:
    """Each process with what it is; multiprocessing's own tracker of resources is left out."""
    names: list[tuple[int, str]] = []
    for one in process_ids:
        with contextlib.suppress(OSError):
            command = (Path("/proc") / str(one) / "cmdline").read_text()
            if "resource_tracker" not in command:
                names.append((one, "API" if one == process_ids[0] else f"process {len(names)} of inference"))
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, nargs="?", default=ARCHIVE)
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args()
    print(machine())
    sys.exit(0 if soak(chosen.archive, minutes=chosen.minutes) else 1)


if __name__ == "__main__":
    main()
