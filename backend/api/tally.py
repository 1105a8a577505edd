"""What models answer, counted in memory and written down every few seconds: no request waits for it.

A process that is killed loses the counts of the last seconds; several processes add up in the database. It holds no
pictures, and does not know what the counts say.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.contracts import CONFIDENCE_BINS, PredictionCounts, utc_now
from backend.errors import SightglassError
from backend.storage.prediction_counts import PredictionLog, sum_of
from backend.workflows.watch_drift import NO_LABEL

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 5.0


@dataclass
class _Counts:
    predictions: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    confidence: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_BINS)
    judged: int = 0
    unfamiliar: int = 0


class PredictionTally:
    """Counts of this process; safe to share between threads. It writes from `start` on until `close`."""

    def __init__(self, log: PredictionLog, *, write_every_s: float = WRITE_EVERY_S) -> None:
        self._log = log
        self._write_every_s = write_every_s
        self._lock = threading.Lock()  # held for microseconds: requests wait for it
        self._writing = threading.Lock()  # held as long as the database takes
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._unwritten: dict[tuple[str, str], PredictionCounts] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write now and then from now on; an application that was closed may be started again."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._write_now_and_then, name="prediction-tally", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.write()

    def add(self, model_id: str, *, labels: Sequence[str], confidence: float, unfamiliar: bool | None = None) -> None:
        """One answer: its labels, how sure the model was of the likeliest one (0..1), and whether it knows such."""
        key = (model_id, utc_now().date().isoformat())
        place = min(CONFIDENCE_BINS - 1, max(0, int(confidence * CONFIDENCE_BINS)))
        with self._lock:
            counts = self._counts.setdefault(key, _Counts())
            counts.predictions += 1
            counts.confidence[place] += 1
            for label in labels or (NO_LABEL,):
                counts.labels[label] = counts.labels.get(label, 0) + 1
            if unfamiliar is not None:
                counts.judged += 1
                counts.unfamiliar += unfamiliar

    def write(self) -> None:
        """Hand over what was counted since the last time; where the database does not answer, it is kept for later."""
        with self._writing:
            self._take_over()
            if not self._unwritten:
                return
            try:
                self._log.add(self._unwritten)
            except SightglassError as error:
                logger.warning("predictions not counted yet", extra={"detail": error.detail})
            else:
                self._unwritten = {}

    def _take_over(self) -> None:
        with self._lock:
            fresh, self._counts = self._counts, {}
        for key, counts in fresh.items():
            record = PredictionCounts(
                predictions=counts.predictions,
                labels=counts.labels,
                confidence=tuple(counts.confidence),
                judged=counts.judged,
                unfamiliar=counts.unfamiliar,
            )
            kept = self._unwritten.get(key)
            self._unwritten[key] = record if kept is None else sum_of(kept, record)

    def _write_now_and_then(self) -> None:
        while not self._stop.wait(self._write_every_s):
            self.write()
