"""Ingest against bare decoding: the same pictures, all cores on either side, one run, one ratio.

    python -m benchmarks.ingest --images 50000            the goal: 80% of the machine's raw decode rate
    python -m benchmarks.ingest --images 3000 --side 500  photographs instead of 32 x 32 pixels

Raw: as many processes as ingest has, each with its share of the bytes in memory, `Image.open(...).convert("RGB")`,
nothing else; what starting them takes is not counted. Ingest: the product's own import of a ZIP, from opening the
archive to the renamed, flushed folder: listing, reading, checking, decoding, hashing, facts for insights, packs, the
manifest. First with its processes to be started, as after a start of the service, then with them there, `--rounds`
times in turns with raw. `ratio` is the best of one side by the best of the other, which is right on a quiet machine;
`ratio_median_of_turns` sets each import beside the better of the raw rates around it; `ratio_of_cpu` compares processor
time, which other work changes least. Memory is the most that all processes of one
more import held at once.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from backend.config import Settings, available_cores
from backend.contracts import RunControl
from backend.data.archive import open_archive
from backend.data.ingest import get_ready
from backend.data.manifest import load_dataset
from backend.data.scan import ImportPlan, store_members
from benchmarks.splits import find_data

CLASSES = 10
SOURCES = "cifar3.zip"


def make_archive(path: Path, *, images: int, side: int, form: str = "JPEG") -> None:
    """Real CIFAR pictures as JPEG or PNG, each changed a little so that no two are equal."""
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
            picture.save(buffer, form, quality=92)
            suffix = "jpg" if form == "JPEG" else "png"
            archive.writestr(f"cifar/{number % CLASSES}/{number:06}.{suffix}", buffer.getvalue())


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


def ingest(archive: Path, into: Path, *, images: int, processes: int) -> dict[str, float]:
    """One import, from the closed archive to the finished dataset: pictures a second, processor time a picture."""
    settings = Settings(data_dir=into, offline=True, mlflow_tracking_uri="off", import_processes=processes)
    before, started = cpu_s(), time.perf_counter()
    get_ready(archive.stat().st_size, processes=processes)
    with open_archive(archive) as source:
        plan = ImportPlan(settings, RunControl(), processes=processes)
        stored = store_members(source, into=settings.datasets_dir, name="cifar", plan=plan)
    seconds = time.perf_counter() - started
    used = cpu_s() - before
    dataset = load_dataset(stored.root)
    assert dataset.info.total_images == images, dataset.info.skipped[:3]  # noqa: S101
    assert all(item.facts is not None for item in dataset.items)  # noqa: S101
    return {"images_per_s": round(images / seconds), "cpu_ms_per_image": round(1000 * used / images, 4)}


def cpu_s() -> float:
    """Processor seconds of this process and all that it started, those of the fork server and of its dead among them:
    what other work on the machine does not change."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = 0
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return sum(one.ru_utime + one.ru_stime for one in own) + ticks / os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """All processes below one, on Linux."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


class Watch:
    """The most memory that this process and all below it held at once, in MiB; shared pages are counted once."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.peak_mib = max(self.peak_mib, sum(map(_pss_mib, [os.getpid(), *descendants(os.getpid())])))


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def raw_cpu_ms(archive: Path) -> float:
    """Processor time of decoding a picture, on one core."""
    with zipfile.ZipFile(archive) as file:
        blobs = [file.read(name) for name in file.namelist()]
    before = time.process_time()
    decode_all(blobs)
    return 1000 * (time.process_time() - before) / len(blobs)


def in_turns(archive: Path, into: Path, *, images: int, processes: int, rounds: int) -> dict[str, object]:
    """Both sides in turns, raw first and last: what else the machine does falls on both."""
    raw, raw_cpu, ours = [raw_rate(archive, processes=processes)], [raw_cpu_ms(archive)], []
    for number in range(rounds + 1):  # the first has its processes to be started
        ours.append(ingest(archive, into / str(number), images=images, processes=processes))
        raw.append(raw_rate(archive, processes=processes))
        raw_cpu.append(raw_cpu_ms(archive))
    with Watch() as watch:  # in an import of its own: to count a process's pages holds that process up
        ingest(archive, into / "watched", images=images, processes=processes)
    first, *again = ours
    best = max(again, key=itemgetter("images_per_s"))
    beside = [turn["images_per_s"] / max(raw[number + 1 : number + 3]) for number, turn in enumerate(again)]
    return {
        "raw_images_per_s": [round(rate) for rate in raw],
        "raw_cpu_ms_per_image": round(min(raw_cpu), 4),
        "first": first,
        "again": again,
        "ratio_first": round(first["images_per_s"] / max(raw[:2]), 3),
        "ratio": round(best["images_per_s"] / max(raw), 3),
        "ratio_median_of_turns": round(statistics.median(beside), 3),
        "ratio_of_cpu": round(min(raw_cpu) / min(turn["cpu_ms_per_image"] for turn in again), 3),
        "peak_mib_of_all_processes": round(watch.peak_mib),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=32, help="pixels a side")
    parser.add_argument("--format", choices=("JPEG", "PNG"), default="JPEG")
    parser.add_argument("--rounds", type=int, default=3, help="imports after the first, each between two raw rates")
    parser.add_argument("--archive", type=Path, help="keep the archive here, or take the one that lies here")
    parser.add_argument("--processes", type=int, default=available_cores())
    chosen = parser.parse_args()
    os.nice(1)  # from 0 an import lowers its processes' priority, and on a busy machine the other side wins by that
    with tempfile.TemporaryDirectory() as folder:
        archive = chosen.archive or Path(folder) / "cifar.zip"
        if not archive.exists():
            make_archive(archive, images=chosen.images, side=chosen.side, form=chosen.format)
        made = {"images": chosen.images, "side": chosen.side, "format": chosen.format, "processes": chosen.processes}
        made["archive_mib"] = round(archive.stat().st_size / 2**20, 1)
        found = in_turns(archive, Path(folder), images=chosen.images, processes=chosen.processes, rounds=chosen.rounds)
    print(json.dumps(made | found, indent=2))


if __name__ == "__main__":
    main()
