"""Features of pictures, computed once: what lies on the disk is read, what is missing is computed and kept.

A row is found by the picture's content, the network, its weights, how pictures are prepared, the view and the
arithmetic; so a dataset's new version costs its new pictures only, and a second run builds no network. The figures that
a leaderboard shows of a network are kept beside the rows for that reason. It does not know targets or heads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.config import Settings
from backend.contracts import Dataset, Preprocessing, Progress, RunControl
from backend.engine.feature_shards import Features, FeatureShards, picture_key
from backend.engine.features import image_batch
from backend.engine.forward import (
    COMPARED,
    ForwardRequest,
    FrozenForward,
    TorchForward,
    build_forward,
    planned_kind,
)
from backend.engine.memory import halving
from backend.engine.models import ModelSpec
from backend.engine.network import Network, Pooling, create_network, resolve_spec
from backend.engine.network_facts import NetworkFacts, StoredFacts, facts_of, read_facts, write_facts
from backend.engine.weights import fingerprint, locate
from backend.errors import UnavailableError
from backend.storage.cache_space import mark_used, prune

__all__ = ["ComputedElsewhere", "FeatureRequest", "FeatureSource", "NetworkFacts"]

FOLDER = "features"
LAYOUT_VERSION = 1  # raise it when the same names would mean other rows
SHARD_IMAGES = 2048  # 10 MB of rows; what a crash may cost
REPORT_EVERY_S = 1.0
TIMED_PREDICTIONS = 3
ENOUGH_MS = 200.0

Ints = npt.NDArray[np.integer]
Pixels = npt.NDArray[np.uint8]

VIEWS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "plain": lambda batch: batch,
    "hflip": lambda batch: np.ascontiguousarray(batch[:, :, ::-1]),
}


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """Whose features: a network that is fed `preprocessing`, over the pictures of `dataset`."""

    spec: ModelSpec
    dataset: Dataset
    preprocessing: Preprocessing
    seed: int
    settings: Settings
    pooling: Pooling = "average"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedElsewhere:
    """Rows [N, D] of the pictures at `places` [N], what is known of their network, and the folder they belong in."""

    folder: str
    facts: StoredFacts
    places: Ints
    rows: Features


class FeatureSource:
    """The features of one candidate in one run; its network is built only where something must be computed."""

    def __init__(
        self, request: FeatureRequest, *, images: Callable[[], Pixels], num_classes: int, control: RunControl
    ) -> None:
        self._request = replace(request, spec=resolve_spec(request.spec))
        self._images = images
        self._num_classes = num_classes
        self._control = control
        self._own: Network | None = None  # never changed after it was built
        self._given: Network | None = None
        self._forward: FrozenForward | None = None
        self._shards: dict[str, FeatureShards] = {}
        self._pace = _Pace()
        self._keys = [picture_key(item.digest) for item in request.dataset.items]
        source = locate(self._request.spec, request.settings)
        weights = fingerprint(self._request.spec, source, request.settings)
        self._folder: Path | None = None
        if weights is not None:
            self._open(weights)

    def features(self, places: Ints, *, view: str = "plain", control: RunControl | None = None) -> Features:
        """Rows [N, D] for the pictures at `places` of the dataset, float32; only what is missing is computed.

        Raises:
            JobCancelled, DeadlineExceeded: through `control`, between batches; what was done until then is kept.
            OutOfMemory: one batch does not fit, not even half of it.
            UnavailableError: the rows just written cannot be read back, twice.
        """
        control = control or self._control
        if len(places) == 0:
            return np.zeros((0, self._known_facts().in_features), np.float32)
        wanted = [self._keys[place] for place in places]
        for _ in range(3):  # a damaged file is noticed when it is read; its rows are computed anew
            missing = set(self._shard(view).missing(wanted))
            if missing:
                place_of = {key: int(place) for key, place in zip(wanted, places, strict=True) if key in missing}
                self._compute(place_of, view=view, control=control)
            rows = self._shard(view).read(wanted)
            if rows is not None:
                return rows
        raise UnavailableError(
            f"The features in '{self._open_folder()}' cannot be read back. Check the disk, or remove that folder."
        )

    def cached(self, places: Ints, view: str = "plain") -> bool:
        """Whether `features` would only read."""
        return self._folder is not None and not self._shard(view).missing(self._keys[place] for place in places)

    def at_hand(self, places: Ints) -> int:
        """For how many of these pictures the plain features would only be read."""
        if self._folder is None:
            return 0
        keys = [self._keys[place] for place in places]
        missing = set(self._shard("plain").missing(keys))
        return sum(key not in missing for key in keys)

    def estimate_seconds(self, count: int) -> float | None:
        """Seconds for the plain features of `count` more pictures of the dataset, what is kept taken off.

        From the batches that this source has computed, else from an earlier run; None where nothing is known yet.
        """
        left = count if self._folder is None else min(count, len(self._shard("plain").missing(self._keys)))
        if left == 0:
            return 0.0
        pace = self.seconds_per_image
        return None if pace is None else left * pace

    @property
    def seconds_per_image(self) -> float | None:
        """What a picture takes: by this source's batches, else by an earlier run's; None where nothing is known yet."""
        pace = self._pace.seconds_per_image
        if pace is None and (stored := read_facts(self._folder)) is not None:
            pace = stored.seconds_per_image
        return pace

    def handed_over(self, places: Ints) -> ComputedElsewhere:
        """What another source of the same request needs in order not to compute the plain rows of these pictures."""
        rows = self.features(places)
        return ComputedElsewhere(folder=self._open_folder().name, facts=self._known_facts(), places=places, rows=rows)

    def take_over(self, computed: ComputedElsewhere) -> None:
        """Keep rows that another machine has computed, and go on with its weights and its arithmetic."""
        folder = self._request.settings.cache_dir / FOLDER / computed.folder
        if folder != self._folder:  # another kind of machine: its rows are never mixed with ours
            self._folder = folder
            self._shards.clear()
        mark_used(folder)
        write_facts(folder, computed.facts)
        wanted = [self._keys[place] for place in computed.places]
        row_of = {key: row for row, key in enumerate(wanted)}
        if missing := self._shard("plain").missing(wanted):
            for start in range(0, len(missing), SHARD_IMAGES):
                chunk = missing[start : start + SHARD_IMAGES]
                self._shard("plain").add(chunk, computed.rows[[row_of[key] for key in chunk]])

    @property
    def network(self) -> Network:
        """The network, built at first use. Whoever has it may train it: features never come from it any more."""
        if self._given is None:
            self._given = self._body()
            self.release()
        return self._given

    def release(self) -> None:
        """Let go of what computes, so that memory holds few networks; it is built again where it is needed."""
        self._own, self._forward = None, None

    @property
    def facts(self) -> NetworkFacts:
        """What is known of the network; it is built only where no run has noted it."""
        return self._known_facts().with_head(self._num_classes)

    def measure_prediction(self) -> float:
        """Median milliseconds for one picture alone, as serving computes it; measured once, then read."""
        known = self._known_facts().predict_ms_per_image
        if known is not None:
            return known
        forward = TorchForward(self._body(), self._request.preprocessing, arithmetic="fp32")
        image = np.array(self._images()[:1])
        times = []
        for _ in range(TIMED_PREDICTIONS + 1):  # the first warms up
            self._control.check()
            started = time.perf_counter()
            forward(image)
            times.append((time.perf_counter() - started) * 1000)
            if sum(times[1:]) > ENOUGH_MS:  # ViT-Base takes 500 ms for one
                break
        measured = round(statistics.median(times[1:] or times), 2)
        self._note(predict_ms_per_image=measured)
        return measured

    def _compute(self, place_of: dict[bytes, int], *, view: str, control: RunControl) -> None:
        keys = list(place_of)
        told = _Told(self._request.spec.name, total=len(keys), control=control)
        forward = halving(self._opened_forward, COMPARED, what=self._request.spec.name)
        for start in range(0, len(keys), SHARD_IMAGES):
            chunk = keys[start : start + SHARD_IMAGES]
            rows: list[Features] = []
            work = self._filling(forward, rows, places=np.array([place_of[key] for key in chunk]), view=view, told=told)
            try:
                halving(work, forward.batch_size, what=self._request.spec.name)
            finally:
                if rows:
                    computed = np.concatenate(rows)
                    self._shard(view).add(chunk[: len(computed)], computed)
            self._note(forward=forward.kind, seconds_per_image=self._pace.seconds_per_image)
        prune(self._request.settings.cache_dir, limit_mb=self._request.settings.cache_mb)

    def _filling(
        self, forward: FrozenForward, rows: list[Features], *, places: Ints, view: str, told: _Told
    ) -> Callable[[int], None]:
        def work(batch_size: int) -> None:
            while (done := sum(map(len, rows))) < len(places):
                told.control.check()
                images = image_batch(self._images(), places[done : done + batch_size]).numpy()
                rows.append(self._pace.timed(forward, VIEWS[view](images)))
                told.add(len(images))

        return work

    def _opened_forward(self, compared: int) -> FrozenForward:
        """What computes, compared with float32 on some pictures when it is made; later runs go by its choice."""
        if self._forward is None:
            known = read_facts(self._open_folder())
            kind = (known and known.forward) or planned_kind(self._request.spec, len(self._keys))
            request = ForwardRequest(
                network=self._body,
                preprocessing=self._request.preprocessing,
                identity=self._weights,
                cache_dir=self._request.settings.cache_dir,
            )
            # from all over the dataset, for neighbours may be alike
            places = np.linspace(0, len(self._keys) - 1, compared).astype(np.int64)
            self._forward = build_forward(request, kind, image_batch(self._images(), places).numpy())
        return self._forward

    def _body(self) -> Network:
        if self._own is None:
            request = self._request
            network = create_network(
                request.spec,
                num_classes=self._num_classes,
                settings=request.settings,
                seed=request.seed,
                input_size=self._input_size(),
                pooling=request.pooling,
            )
            self._adopt(network)
            self._own = network
        return self._own

    def _input_size(self) -> int:
        """Pixels a side where the input is a square; networks that take other shapes need not be told."""
        fed, spec = self._request.preprocessing, self._request.spec
        return fed.height if fed.height == fed.width else spec.input_size

    def _shard(self, view: str) -> FeatureShards:
        if view not in self._shards:
            self._shards[view] = FeatureShards(self._open_folder() / view)
        return self._shards[view]

    def _open_folder(self) -> Path:
        if self._folder is None:
            _ = self._body()  # weights that lie on the hub have a name once they are here
        assert self._folder is not None  # noqa: S101 - `_body` sets it
        return self._folder

    def _adopt(self, network: Network) -> None:
        """Go by the weights that were really loaded: a source may fail when it is read."""
        request = self._request
        weights = fingerprint(request.spec, network.weights_source, request.settings)
        self._open(weights or f"{network.weights_source} {request.spec.hub_id}")
        if read_facts(self._folder) is None:
            write_facts(self._open_folder(), facts_of(network))

    def _open(self, weights: str) -> None:
        """Turn to the folder of a network with some weights."""
        request, fed = self._request, self._request.preprocessing
        if weights == "scratch":  # the draw depends on the head's size too
            weights = f"scratch {request.seed} {self._num_classes} {version('torch')}"
        built = (request.spec.cbam, request.pooling)
        known = (request.spec.timm_name, version("timm"), weights)
        self._weights = repr(known if built == (False, "average") else (*known, *built))
        how = (fed.height, fed.width, fed.resize, fed.interpolation, fed.mean, fed.std)
        name = repr((LAYOUT_VERSION, self._weights, how, planned_kind(self._request.spec, len(self._keys))))
        folder = request.settings.cache_dir / FOLDER / sha256(name.encode()).hexdigest()[:32]
        if folder != self._folder:
            mark_used(folder)
            self._folder = folder
            self._shards.clear()

    def _known_facts(self) -> StoredFacts:
        facts = read_facts(self._folder)
        if facts is None:
            facts = facts_of(self._body())
            write_facts(self._open_folder(), facts)
        return facts

    def _note(self, **figures: object) -> None:
        """Keep figures beside the rows; those of an earlier note stay."""
        write_facts(self._open_folder(), self._known_facts().model_copy(update=figures))


class _Pace:
    """How long a picture takes, the first batch aside where there is another: it sets everything up."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._seconds, self._images = 0.0, 0

    @property
    def seconds_per_image(self) -> float | None:
        return self._seconds / self._images if self._images else self._first

    def timed(self, forward: FrozenForward, images: Pixels) -> Features:
        started = time.perf_counter()
        rows = forward(images)
        taken = time.perf_counter() - started
        if self._first is None:
            self._first = taken / len(images)
        else:
            self._seconds, self._images = self._seconds + taken, self._images + len(images)
        return rows


class _Told:
    """Says from time to time how far a pass is."""

    def __init__(self, name: str, *, total: int, control: RunControl) -> None:
        self.control = control
        self._name, self._total = name, total
        self._done, self._reported = 0, time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._reported > REPORT_EVERY_S:
            self._reported = time.monotonic()
            message = f"{self._name}: {self._done} of {self._total} images"
            self.control.report(Progress(stage="training", message=message))
