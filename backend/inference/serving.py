"""One network that answers: in torch from its first picture on, later by the fastest backend that agrees with it.

Two steps in the background, so that nobody waits: after `CONVERT_AFTER` pictures the same arithmetic in a faster
library, after a sample of different pictures whatever is fastest on this machine (`choosing.py`), which is kept beside
the model in the cache for the next start. It knows pictures that are prepared already, and no bundle.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backend.config import Settings
from backend.contracts import ModelInfo
from backend.engine.activation import activate
from backend.engine.arithmetic import has_fast_bfloat16
from backend.engine.forward import openvino_library as library
from backend.engine.members import Member
from backend.inference.backends import EXACT, TORCH, Material, ServingForward, candidates, make
from backend.inference.choosing import (
    MOST_APART_EXACT,
    SAMPLE,
    Choice,
    Sample,
    choose,
    measure,
    try_to_make,
)
from backend.inference.kept_graph import kept_graph

log = logging.getLogger(__name__)

# Converting takes about a second of one core, in the background; most models are asked for fewer pictures than this.
CONVERT_AFTER = 100
AUTO = "auto"
FOLDER = "serving"
COMPARED = 16  # pictures that show that float32 is float32

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float64]


def plan_for(settings: Settings, info: ModelInfo, place: int) -> Plan:
    """How one of a model's networks is served, and where what is found out about it is kept.

    The name holds what the choice depends on: the weights, the libraries, the processor's kind and the threads.
    """
    here = (torch.__version__, library.openvino_version(), platform.machine(), has_fast_bfloat16("cpu"))
    name = repr((info.model_id, info.created_at, info.dataset_digest, place, here, settings.torch_threads))
    folder = settings.cache_dir / FOLDER / hashlib.sha256(name.encode()).hexdigest()[:32]
    return Plan(backend=settings.serving_backend, folder=folder)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network says of a batch: probabilities [N, C], and the features [N, D] that they come from."""

    probabilities: npt.NDArray[np.float64]
    features: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a network is served. `folder`: where its choice and converted graph are kept; None: nowhere."""

    backend: str = AUTO
    folder: Path | None = None
    convert_after: int = CONVERT_AFTER
    sample: int = SAMPLE


class ServedNetwork:
    """A member of a bundle, answering. Safe to share between threads; `lanes` of them compute side by side."""

    def __init__(self, member: Member, *, plan: Plan | None = None) -> None:
        self.member = member
        self._plan = plan or Plan()
        self._forward: ServingForward = make(TORCH, Material(member))
        self._name = TORCH
        self._choice: Choice | None = None
        self.changed: Callable[[], None] = lambda: None  # called when another backend has taken over
        self._guard = threading.Lock()  # around what follows
        self._left = self._plan.convert_after
        self._seen: dict[bytes, tuple[Pixels, npt.NDArray[np.float64]]] = {}
        self._measuring = member.network.device.type == "cpu"  # is there still something to be found out
        self._work: threading.Thread | None = None
        self._converted = False
        self._known: str | None = None  # what is to answer, decided before; made when the first picture comes
        if self._plan.backend != AUTO:
            self._known = self._plan.backend
        elif self._plan.folder is not None:
            self._choice = Choice.load(self._plan.folder)
            self._known = None if self._choice is None else self._choice.name
        if self._known is not None:
            self._measuring = False

    @property
    def lanes(self) -> int:
        return self._forward.lanes

    @property
    def batch_size(self) -> int:
        return self._forward.batch_size

    @property
    def copies(self) -> int:
        """How often the weights lie in memory."""
        return 1 if self._forward.kind.startswith("torch") else 2

    def answer(self, pixels: Pixels) -> Answer:
        """Answer for prepared pictures, uint8 [N, H, W, 3]."""
        if self._known is not None:
            self._make_known()
        forward, exact = self._forward, self._name in EXACT
        features = forward(pixels)
        answer = Answer(self._probabilities(features), features)
        if self._measuring and exact:
            self._observe(pixels, answer.probabilities)
        return answer

    def described(self) -> dict[str, Any]:
        """What answers, and how that was chosen."""
        choice = self._choice
        return {
            "network": self.member.name,
            "backend": self._name,
            "kind": self._forward.kind,
            "chosen_by": "setting" if self._plan.backend != AUTO else "measurement" if choice else "default",
            "pictures": choice.pictures if choice else 0,
            "measured": [asdict(row) for row in choice.measured] if choice else [],
        }

    def warm_up(self) -> None:
        """Compute one picture, and take the faster library of the same arithmetic where nothing is known yet."""
        self._make_known()
        fed = self.member.preprocessing
        noise = np.random.default_rng(0).integers(0, 256, (2, fed.height, fed.width, 3), dtype=np.uint8)
        self._forward(noise)
        with self._guard:
            if self._work is None and self._measuring:
                expected = self._probabilities(self._forward(noise))
                self._begin(lambda: self._convert(Sample(noise, expected)))
        self.wait()

    def wait(self) -> bool:
        """Wait for what has begun in the background; whether something else than torch answers from now on."""
        work = self._work
        if work is not None:
            work.join()
        return self._name != TORCH

    def _probabilities(self, features: npt.NDArray[np.float32]) -> Rows:
        network = self.member.network
        with torch.inference_mode():
            scores = network.head(torch.from_numpy(features).to(network.device))
            rows: Rows = activate(scores, network.task).cpu().numpy()
        return rows

    # -- what was seen

    def _observe(self, pixels: Pixels, rows: Rows) -> None:
        fed = self.member.preprocessing
        with self._guard:
            self._left -= len(pixels)
            if pixels.shape[1:] == (fed.height, fed.width, 3):
                for picture, row in zip(pixels, rows, strict=True):
                    if len(self._seen) < self._plan.sample:
                        key = hashlib.blake2b(picture, digest_size=8).digest()
                        self._seen.setdefault(key, (picture.copy(), row))
            if self._work is not None and self._work.is_alive():
                return
            if len(self._seen) >= self._plan.sample:
                self._begin(self._measure, last=True)
            elif self._left <= 0 and not self._converted and self._seen:
                self._begin(partial(self._convert, self._sample(COMPARED)))

    def _sample(self, most: int) -> Sample:
        taken = list(self._seen.values())[:most]
        return Sample(np.stack([pixels for pixels, _ in taken]), np.stack([row for _, row in taken]))

    # -- in the background

    def _begin(self, work: Callable[[], None], *, last: bool = False) -> None:
        self._converted = True
        if last:
            self._measuring = False
        self._work = threading.Thread(target=work, daemon=True, name="choose-backend")
        self._work.start()

    def _make_known(self) -> None:
        with self._guard:
            known, self._known = self._known, None
            if known not in (None, TORCH):
                self._begin(partial(self._use, known), last=True)

    def _convert(self, sample: Sample) -> None:
        """Take the same arithmetic in a faster library."""
        name = next((name for name in candidates(self.member) if name in EXACT), TORCH)
        forward = None if name == TORCH else self._make(name)
        if forward is None:
            return
        apart = float(np.abs(self._probabilities(forward(sample.pixels)) - sample.expected).max())
        if apart <= MOST_APART_EXACT:
            self._take(name, forward)
        else:
            log.warning("converted network disagrees", extra={"network": self.member.name, "apart": apart})

    def _measure(self) -> None:
        """Find the fastest that agrees, and keep what was found."""
        with self._guard:
            sample = self._sample(self._plan.sample)
        made: dict[str, ServingForward] = {}
        for name in candidates(self.member):
            forward = self._forward if name == self._name else self._make(name)
            if forward is not None:
                made[name] = forward
        choice = choose(measure(made, sample, probabilities=self._probabilities), pictures=len(sample.pixels))
        self._choice = choice
        self._take(choice.name, made[choice.name])
        with self._guard:
            self._seen.clear()
        if self._plan.folder is not None:
            try:
                choice.save(self._plan.folder)
            except OSError as error:  # a full disk: the next start measures again
                log.warning("choice of a backend not kept", extra={"reason": str(error)})

    def _use(self, name: str) -> None:
        forward = self._make(name)
        if forward is not None:
            self._take(name, forward)

    def _make(self, name: str) -> ServingForward | None:
        def build() -> ServingForward:
            graph = kept_graph(self.member, self._plan.folder) if name.startswith("openvino") else None
            return make(name, Material(self.member, graph))

        return try_to_make(name, build)

    def _take(self, name: str, forward: ServingForward) -> None:
        self._name, self._forward = name, forward
        log.info("backend", extra={"network": self.member.name, "backend": name, "kind": forward.kind})
        self.changed()
