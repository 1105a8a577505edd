"""Several workers in one process, a thread each: their children do the work, so that threads are enough here.

It does not know what they work on. When one of them breaks, all stop, and whoever keeps the process starts it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from backend.jobs.worker import Worker


class Crew:
    """Runs workers until told to stop."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = tuple(workers)

    def stop(self) -> None:
        """Ask for the end; safe from a signal handler or another thread."""
        for worker in self.workers:
            worker.stop()

    def run(self) -> None:
        """Work until `stop`; blocks.

        Raises:
            Exception: what broke a worker, after the others have stopped.
        """
        with ThreadPoolExecutor(len(self.workers), thread_name_prefix="worker") as pool:
            runs = [pool.submit(worker.run) for worker in self.workers]
            for run in runs:
                run.add_done_callback(lambda _: self.stop())
        for run in runs:
            run.result()
