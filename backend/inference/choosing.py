"""Which backend answers: the fastest on this machine whose answers are the trained model's, measured once and kept.

Everything is compared with float32 on pictures that were asked about. What computes in float32 must give the same
probabilities; half the width may move them a little, so it needs more pictures to show that it moves no answer. It
knows no requests: it is handed pictures, and what was answered to them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.engine.forward.choice import CANNOT
from backend.inference.backends import EXACT, ServingForward
from backend.storage.files import atomic_write

log = logging.getLogger(__name__)

CHOICE_FILE = "choice.json"
FORMAT = 2  # 1 knew no mixed arithmetic: measured again
# Different pictures: of 256 one may be answered differently, which is 99.6%.
SAMPLE = 256
LEAST_AGREEMENT = 0.995
COMPARED_EXACT = 32
# Largest difference of a probability in float32. Seen: 1e-6; the `.pth` computed elsewhere differs as much.
MOST_APART_EXACT = 1e-4
# In half the width, over 600 pictures of cifar3 (EfficientNet-Lite0): 0.005 in the mean, 0.06 for 99% of the pictures,
# 0.18 for the worst. A confidence is read to the percent, and its own calibration is no better than 0.01.
MOST_APART_MEAN = 0.01
MOST_APART_P99 = 0.10
# A later candidate must be this much faster, but for float32 after what rounds: rounding must repay itself. Timing one
# after the other was wrong by a factor of three on a machine with ten other programs; in turns, and by the best round
# of each, what disturbs one disturbs all.
CLEARLY_FASTER = 1.25
TIMED = 16  # pictures a round
ROUNDS = 7

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """One backend on this machine. Differences are of probabilities, over the pictures of the sample."""

    name: str
    kind: str
    pictures_per_s: float
    agreement: float
    mean_apart: float
    p99_apart: float
    most_apart: float

    @property
    def agrees(self) -> bool:
        """Whether its answers are the trained model's."""
        if self.name in EXACT:
            return self.most_apart <= MOST_APART_EXACT
        return (
            self.agreement >= LEAST_AGREEMENT
            and self.mean_apart <= MOST_APART_MEAN
            and self.p99_apart <= MOST_APART_P99
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and from what; `pictures` is the size of the sample."""

    name: str
    pictures: int
    measured: tuple[Measured, ...]

    def save(self, folder: Path) -> None:
        content = {"format": FORMAT, **asdict(self)}
        atomic_write(folder / CHOICE_FILE, json.dumps(content, indent=2))

    @classmethod
    def load(cls, folder: Path) -> Choice | None:
        """What `save` wrote; None where there is nothing, or nothing that can be read."""
        try:
            content = json.loads((folder / CHOICE_FILE).read_bytes())
            if content.pop("format") != FORMAT:
                return None
            measured = tuple(Measured(**row) for row in content.pop("measured"))
            return cls(measured=measured, **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures uint8 [N, H, W, 3] that were asked about, and the probabilities [N, C] that float32 gave."""

    pixels: Pixels
    expected: Rows


def measure(
    made: Mapping[str, ServingForward], sample: Sample, *, probabilities: Callable[[Any], Rows]
) -> list[Measured]:
    """Time backends against each other and compare their answers; `probabilities` makes them of features."""
    speeds = _speeds(made, sample.pixels)
    return [
        _compared(name, forward, sample, probabilities=probabilities, speed=speeds[name])
        for name, forward in made.items()
    ]


def _compared(
    name: str, forward: ServingForward, sample: Sample, *, probabilities: Callable[[Any], Rows], speed: float
) -> Measured:
    # The same arithmetic shows on few pictures whether it is the same; a pass in torch takes 20 ms of a core for each.
    count = COMPARED_EXACT if name in EXACT else len(sample.pixels)
    expected = sample.expected[:count]
    found = probabilities(_features(forward, sample.pixels[:count]))
    apart = np.abs(found - expected)
    agreement = float(np.mean(found.argmax(axis=1) == expected.argmax(axis=1)))
    finite = bool(np.isfinite(apart).all())
    return Measured(
        name=name,
        kind=forward.kind,
        pictures_per_s=round(speed, 1),
        agreement=agreement if finite else 0.0,
        mean_apart=float(apart.mean()) if finite else 1.0,
        p99_apart=float(np.quantile(apart.max(axis=1), 0.99)) if finite else 1.0,
        most_apart=float(apart.max()) if finite else 1.0,
    )


def choose(measured: Sequence[Measured], *, pictures: int) -> Choice:
    """The fastest that agrees; of two about as fast the one that was listed first, but float32 before what rounds.

    Raises:
        ValueError: none agrees; torch in float32 always does.
    """
    agreeing = [row for row in measured if row.agrees]
    if not agreeing:
        raise ValueError("no backend agrees with the model")
    best = agreeing[0]
    for row in agreeing[1:]:
        rounds_for_nothing = row.name in EXACT and best.name not in EXACT
        if row.pictures_per_s >= (1.0 if rounds_for_nothing else CLEARLY_FASTER) * best.pictures_per_s:
            best = row
    for row in measured:
        if not row.agrees:
            log.warning(
                "backend disagrees with the model",
                extra={"backend": row.name, "apart": row.most_apart, "agreement": row.agreement},
            )
    return Choice(best.name, pictures, tuple(measured))


def try_to_make(name: str, build: Callable[[], ServingForward]) -> ServingForward | None:
    """A backend, or None where it cannot express the network; the log says why."""
    try:
        return build()
    except CANNOT as error:
        reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
        log.warning("network not converted", extra={"backend": name, "reason": reason})
        return None


def _features(forward: ServingForward, pixels: Pixels) -> npt.NDArray[np.float32]:
    size = forward.batch_size
    return np.concatenate([forward(pixels[start : start + size]) for start in range(0, len(pixels), size)])


def _speeds(made: Mapping[str, ServingForward], pixels: Pixels) -> dict[str, float]:
    """Pictures a second of each with all its lanes in use: the best of some short rounds, taken in turns."""
    best = dict.fromkeys(made, 0.0)
    for _ in range(ROUNDS):
        for name, forward in made.items():
            best[name] = max(best[name], _speed(forward, pixels[:TIMED]))
    return best


def _speed(forward: ServingForward, pixels: Pixels) -> float:
    size = max(1, min(forward.batch_size, len(pixels) // forward.lanes))
    pieces = [pixels[start : start + size] for start in range(0, len(pixels), size)]
    with ThreadPoolExecutor(forward.lanes) as lanes:
        begun = time.perf_counter()
        list(lanes.map(forward, pieces))
        return len(pixels) / (time.perf_counter() - begun)
