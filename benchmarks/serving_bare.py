"""The least that answering could cost: the chosen backend in a bare loop, batches of 16, nothing around it.

Every core is busy throughout: each of the backend's lanes is a thread that takes the next sixteen pictures. Twice: with
pictures that are prepared already (uint8 arrays, the network's own size), and from the encoded bytes (decoded, made
upright, resized as for serving). No request, no answer in words, no distance to the training images. Prints one JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import numpy as np

from backend.config import Settings
from backend.data.images import open_image, prepare_image
from backend.engine.arithmetic import set_threads
from backend.engine.bundle import load_bundle
from backend.engine.forward.openvino_forward import OpenVinoForward, graph_of
from backend.engine.members import Member
from backend.inference.backends import Material, make

BATCH = 16


def per_second(work: Callable[[int], int], *, lanes: int, seconds: float) -> float:
    """Pictures a second of `lanes` threads that do `work(turn)`, which says how many it did."""
    turns, done = itertools.count(), [0] * lanes
    work(0)
    begun = time.perf_counter()

    def loop(lane: int) -> None:
        while time.perf_counter() - begun < seconds:
            done[lane] += work(next(turns))

    threads = [threading.Thread(target=loop, args=(lane,)) for lane in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)


def measure(member: Member, backend: str, encoded: list[bytes], *, seconds: float) -> dict[str, Any]:
    fed = member.preprocessing
    prepared = np.stack([prepare_image(open_image(one, max_pixels=10**8), fed) for one in encoded[: 8 * BATCH]])
    forward = make(backend, Material(member))

    def plain(turn: int) -> int:
        start = turn * BATCH % len(prepared)
        return len(forward(prepared[start : start + BATCH]))

    def decoding(turn: int) -> int:
        start = turn * BATCH % (len(encoded) - BATCH)
        pictures = [open_image(one, max_pixels=10**8) for one in encoded[start : start + BATCH]]
        return len(forward(np.stack([prepare_image(picture, fed) for picture in pictures])))

    found = {
        "backend": backend,
        "kind": forward.kind,
        "prepared": per_second(plain, lanes=forward.lanes, seconds=seconds),
        "encoded": per_second(decoding, lanes=forward.lanes, seconds=seconds),
    }
    if backend.startswith("openvino"):  # training's own loop: a graph for four pictures and nothing else, in a queue
        graph = graph_of(member.network, fed)
        fixed = OpenVinoForward(graph, arithmetic="bf16" if backend.endswith("bf16") else "fp32")
        found["prepared_fixed"] = per_second(
            lambda turn: len(fixed(prepared[turn * BATCH % len(prepared) :][:BATCH])), lanes=1, seconds=seconds
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a model's folder")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    settings = Settings()
    set_threads(settings.torch_threads)
    member = load_bundle(chosen.model, settings=settings).voices[0]
    encoded = [path.read_bytes() for path in sorted(chosen.pictures.iterdir())]
    sys.stdout.write(json.dumps(measure(member, chosen.backend, encoded, seconds=chosen.seconds)) + "\n")


if __name__ == "__main__":
    main()
