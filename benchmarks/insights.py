"""How long `GET /insights` takes on 50,000 images with 20 users: the stored answer against working it out each time.

`python -m benchmarks.insights` makes a dataset's records (no pictures: the answer opens none), serves them in a process
of their own, and lets 20 users ask: first as people do, with half a second to one and a half between two looks, then
without any pause, where the two cores that client and service share decide. The other side works the same answer out
from the records in the request, as a service without a stored one does.
"""

from __future__ import annotations

import base64
import multiprocessing
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np

from backend.config import Settings
from backend.contracts import Dataset, DatasetInfo, ImageFacts, ImageItem
from benchmarks.table import machine, markdown

IMAGES, CLASSES, USERS = 50_000, 10, 20
ASKED = 25  # times by each user
DATASET = "ds-benchmark"


def make_dataset(root: Path, *, images: int = IMAGES) -> Dataset:
    """Records as an import would have written them, a tenth of them with a near copy."""
    noise = np.random.default_rng(42)
    hashes = noise.integers(0, 2**63, images, dtype=np.uint64)
    signatures = noise.integers(0, 256, (images, 162), dtype=np.uint8)
    hashes[1::20], signatures[1::20] = hashes[::20] ^ np.uint64(3), signatures[::20]
    sides = noise.choice([32, 64, 224, 640], (images, 2))
    items = tuple(
        ImageItem(
            image_id=f"{place:016x}",
            path=f"images/{place:016x}.jpg",
            label=f"class-{place % CLASSES}",
            digest=f"{place:064x}",
            width=int(sides[place, 0]),
            height=int(sides[place, 1]),
            facts=ImageFacts(
                format="JPEG",
                mode="RGB",
                perceptual_hash=f"{int(hashes[place]):016x}",
                brightness=0.5,
                contrast=0.2,
                sharpness=float(noise.lognormal(6, 0.5)),
                signature=base64.b64encode(signatures[place].tobytes()).decode(),
            ),
        )
        for place in range(images)
    )
    counts = {f"class-{number}": len(range(number, images, CLASSES)) for number in range(CLASSES)}
    info = DatasetInfo(
        dataset_id=DATASET,
        name="benchmark",
        total_images=images,
        num_classes=CLASSES,
        class_counts=counts,
        digest="0" * 64,
    )
    return Dataset(info=info, root=root, items=items)


def serve(settings: Settings, port: int) -> None:
    """The API's process."""
    import uvicorn

    from backend.main import create_app

    uvicorn.run(create_app(settings), port=port, log_level="warning", access_log=False)


def latencies(url: str, *, pause_s: float, users: int = USERS, asked: int = ASKED) -> list[float]:
    """Milliseconds of every answer, all users at once, each on a connection of their own; pauses vary by half."""
    found: list[float] = []

    def ask(user: int) -> None:
        waits = random.Random(user)
        with httpx2.Client(timeout=60) as client:
            client.get(url).raise_for_status()  # the connection is made before the clock starts
            for _ in range(asked):
                time.sleep(pause_s * waits.uniform(0.5, 1.5))
                started = time.perf_counter()
                client.get(url).raise_for_status()
                found.append(1000 * (time.perf_counter() - started))

    threads = [threading.Thread(target=ask, args=(user,)) for user in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def timed(work: Callable[[], object], *, times: int = 3) -> float:
    """Milliseconds of the quickest run."""
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return 1000 * best


def main() -> None:
    from backend.data.insights import describe, write_insights
    from backend.data.manifest import load_dataset, save_dataset
    from backend.data.quality import find_issues
    from backend.main import prepare
    from backend.storage.catalog import Catalog
    from backend.storage.database import Database

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), mlflow_tracking_uri="off", offline=True)
        prepare(settings)
        dataset = make_dataset(settings.datasets_dir / DATASET)
        dataset.root.mkdir(parents=True)
        save_dataset(dataset, dataset.root)
        checking = timed(lambda: find_issues(dataset), times=1)
        write_insights(dataset, quality=find_issues(dataset))
        Catalog(Database(settings.resolved_database_url)).add_dataset(dataset.info)
        in_request = timed(lambda: describe(load_dataset(dataset.root)), times=2)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(settings, port))
        server.start()
        url = f"http://127.0.0.1:{port}/api/cv/datasets/{DATASET}/insights"
        _wait_for(f"http://127.0.0.1:{port}/health")
        looking, pressing = latencies(url, pause_s=1.0), latencies(url, pause_s=0.0)
        kib = len(httpx2.get(url).content) / 1024
        server.terminate()
        server.join()
    rows = [
        _row("stored", f"{USERS} users, a second between two looks", looking),
        _row("stored", f"{USERS} users without a pause", pressing),
        ["worked out in the request", "one user, nothing beside", f"{in_request:.0f}", ""],
    ]
    print(machine())
    print(markdown(["side", "asked by", "median ms", "p95 ms"], rows))
    late = float(np.percentile(looking, 95))
    print(f"{in_request / late:.0f} times quicker; {kib:.0f} KiB an answer; the check took {checking / 1000:.1f} s")


def _row(side: str, asked_by: str, found: list[float]) -> list[str]:
    median, late = (float(np.percentile(found, share)) for share in (50, 95))
    return [side, f"{asked_by}, {len(found)} answers", f"{median:.1f}", f"{late:.1f}"]


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            if httpx2.get(url).is_success:
                return
        except httpx2.RequestError:
            pass
        time.sleep(0.2)
    raise SystemExit("the service did not start within a minute")


if __name__ == "__main__":
    main()
