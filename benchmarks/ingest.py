"""Ingest against bare decoding: the same pictures, all cores on either side, one run, one ratio.

    python -m benchmarks.ingest --images 50000            the goal: 80% of the machine's raw decode rate
    python -m benchmarks.ingest --images 3000 --side 500  photographs instead of 32 x 32 pixels

Raw: as many processes as ingest has, each with its share of the bytes in memory, `Image.open(...).convert("RGB")`,
nothing else. Ingest: the product's own import of a ZIP, from opening the archive to the renamed, flushed folder:
reading, checking, decoding, hashing, facts for insights, one file a picture, the manifest. Peak memory is that of this
process and the largest of its children.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import tempfile
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from backend.config import Settings, available_cores
from backend.contracts import RunControl
from backend.data.archive import open_archive
from backend.data.scan import ImportPlan, import_members
from benchmarks.splits import find_data

CLASSES = 10
SOURCES = "cifar3.zip"


def make_archive(path: Path, *, images: int, side: int) -> None:
    """Real CIFAR pictures as JPEG, each changed a little so that no two are equal."""
    with zipfile.ZipFile(find_data(SOURCES)) as source:
        names = [name for name in source.namelist() if name.lower().endswith((".jpg", ".png"))]
        originals = [np.asarray(Image.open(io.BytesIO(source.read(name))).convert("RGB")) for name in names]
    noise = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(images):
            pixels = originals[number % len(originals)].astype(np.int16)
            changed = pixels + noise.integers(-6, 7, pixels.shape)
            picture = Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))
            if side != picture.width:
                picture = picture.resize((side, side), Image.Resampling.BICUBIC)
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=92)
            archive.writestr(f"cifar/{number % CLASSES}/{number:06}.jpg", buffer.getvalue())


def decode_all(blobs: Sequence[bytes]) -> float:
    """Seconds to decode pictures that lie in memory."""
    started = time.perf_counter()
    for blob in blobs:
        with Image.open(io.BytesIO(blob)) as image:
            image.convert("RGB")
    return time.perf_counter() - started


def raw_rate(archive: Path, *, processes: int) -> float:
    """Pictures a second that the machine decodes. A process counts from its first picture to its last."""
    with zipfile.ZipFile(archive) as file:
        blobs = [file.read(name) for name in file.namelist()]
    shares = [blobs[start::processes] for start in range(processes)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        list(pool.map(decode_all, [share[:20] for share in shares]))  # imports are not decoding
        seconds = list(pool.map(decode_all, shares))
    return len(blobs) / max(seconds)


def ingest_rate(archive: Path, into: Path, *, images: int, processes: int) -> float:
    """Pictures a second from the closed archive to the finished dataset."""
    settings = Settings(data_dir=into, offline=True, mlflow_tracking_uri="off", import_processes=processes)
    started = time.perf_counter()
    with open_archive(archive) as source:
        plan = ImportPlan(settings, RunControl(), processes=processes)
        dataset = import_members(source, into=settings.datasets_dir, name="cifar", plan=plan)
    seconds = time.perf_counter() - started
    assert dataset.info.total_images == images, dataset.info.skipped[:3]  # noqa: S101
    assert all(item.facts is not None for item in dataset.items)  # noqa: S101
    return images / seconds


def cpu_s() -> float:
    """Processor seconds of this process and of all children that have ended: what other work on the machine does not
    change."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mib(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=32, help="pixels a side")
    parser.add_argument("--processes", type=int, default=available_cores())
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "cifar.zip"
        make_archive(archive, images=chosen.images, side=chosen.side)
        start = cpu_s()
        ours = ingest_rate(archive, Path(folder) / "data", images=chosen.images, processes=chosen.processes)
        ingest_cpu = cpu_s() - start
        memory = {"this": peak_mib(resource.RUSAGE_SELF), "largest child": peak_mib(resource.RUSAGE_CHILDREN)}
        raw = raw_rate(archive, processes=chosen.processes)
        raw_one = raw_rate(archive, processes=1)
        with zipfile.ZipFile(archive) as file:
            blobs = [file.read(name) for name in file.namelist()]
        start = cpu_s()
        decode_all(blobs)
        raw_cpu = cpu_s() - start
    print(
        json.dumps(
            {
                "images": chosen.images,
                "side": chosen.side,
                "processes": chosen.processes,
                "ingest_images_per_s": round(ours),
                "raw_images_per_s": round(raw),
                "raw_images_per_s_one_process": round(raw_one),
                "ratio": round(ours / raw, 3),
                "ratio_to_one_process": round(ours / raw_one, 3),
                "ingest_cpu_ms_per_image": round(1000 * ingest_cpu / chosen.images, 3),
                "raw_cpu_ms_per_image": round(1000 * raw_cpu / chosen.images, 3),
                "ratio_of_cpu": round(raw_cpu / ingest_cpu, 3),
                "peak_mib": {name: round(value) for name, value in memory.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
