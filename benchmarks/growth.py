"""How cost grows with the number of images: 200, 2,000 and 20,000 of them, preset `fast`, all default networks.

The images are made from CIFAR-10's 600 of three classes by a random crop, stretched back to 32 px, a flip and a shift
of brightness, so that every file differs. Seconds are of the whole command line process, memory is its peak resident
set, mapped files included. The plot goes to `docs/growth.svg`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import parts
from benchmarks.environments import environment
from benchmarks.parts import ROOT, Part
from benchmarks.splits import find_data
from benchmarks.table import machine, markdown, percent, seconds

RESULTS = parts.results_file("growth")
PLOT = ROOT / "docs" / "growth.svg"
COUNTS = (200, 2_000, 20_000)
LEAST_CROP = 0.7  # of the side: the thing in the picture stays in it
KIB = 1024


def make_images(archive: Path, into: Path, *, count: int, seed: int = 42) -> None:
    """Write `count` different images, the classes alike, as `into/<class>/*.jpg`."""
    random = np.random.default_rng(seed)
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if not name.endswith("/"))
        sources = {name: Image.open(file.open(name)).convert("RGB") for name in names}
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(Path(name).parent.name, []).append(name)
    labels = sorted(by_class)
    for label in labels:
        (into / label).mkdir(parents=True)
    for number in range(count):
        label = labels[number % len(labels)]
        chosen = by_class[label][number // len(labels) % len(by_class[label])]
        changed(sources[chosen], random).save(into / label / f"{number:06}.jpg", quality=95)


def changed(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Another view of a picture, of its own size."""
    side = picture.width
    crop = side * random.uniform(LEAST_CROP, 1)
    left, top = random.uniform(0, side - crop, 2)
    view = picture.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + crop, top + crop))
    if random.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    shift = random.uniform(-20, 20)
    return Image.fromarray(np.clip(np.asarray(view, dtype=np.float32) + shift, 0, 255).astype(np.uint8))


def measure(count: int) -> Part:
    """Train on so many images; the clock runs from the process's start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        images, scratch = Path(folder) / "images", Path(folder)
        make_images(find_data("cifar3.zip"), images, count=count)
        program = Path(sys.executable).with_name("sightglass")
        command = [str(program), "train", str(images), "--preset", "fast", "--out", str(scratch / "run"), "--json"]
        variables = environment(SIGHTGLASS_DATA_DIR=str(scratch / "data"), SIGHTGLASS_MLFLOW_TRACKING_URI="off")
        with (scratch / "answer.json").open("wb") as answer:
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=scratch, env=variables, stdout=answer)
            _, status, usage = os.wait4(process.pid, 0)
            took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{count} images: the training ended with {process.returncode}.")
        results = json.loads((scratch / "answer.json").read_text(encoding="utf-8"))
    part = {"images": count, "seconds": took, "peak_mib": usage.ru_maxrss / KIB, **counted(results)}
    return parts.keep(RESULTS, part)


def counted(results: Part) -> Part:
    """How far each network came: on all images that the best one saw, on fewer, or not at all."""
    rows = [row for row in results["leaderboard"] if row["strategy"] != "baseline"]
    seen = [row.get("train_images") or 0 for row in rows if row["status"] == "ok"]
    return {
        "accuracy": results["best_model"]["accuracy"],
        "best": results["best_model"]["name"],
        "networks": len(rows),
        "stopped_early": sum(images < max(seen) for images in seen),
        "skipped": sum(row["status"] == "skipped" for row in rows),
    }


def rows(found: Sequence[Part]) -> list[tuple[str, ...]]:
    return [
        (
            f"{part['images']:,}",
            seconds(part["seconds"]),
            f"{1000 * part['seconds'] / part['images']:,.1f} ms",
            f"{part['peak_mib']:,.0f} MiB",
            f"{part['networks']}",
            f"{part['stopped_early']}",
            f"{part['skipped']}",
            f"{part['best']}, {percent(part['accuracy'])}",
        )
        for part in found
    ]


HEADERS = ("images", "whole process", "an image", "peak memory", "networks", "stopped early", "skipped", "best")


def draw(found: Sequence[Part], path: Path) -> None:
    """Time an image and peak memory over the number of images."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "sightglass"  # the same figures give the same file
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    counts = [part["images"] for part in found]
    drawn = (
        ([1000 * part["seconds"] / part["images"] for part in found], "ms an image", "Time, whole process"),
        ([part["peak_mib"] for part in found], "MiB", "Peak resident memory"),
    )
    for axis, (values, unit, title) in zip(axes, drawn, strict=True):
        axis.plot(counts, values, marker="o", color="#0f766e")
        axis.set(xscale="log", xlabel="images", ylabel=unit, title=title, ylim=(0, None), xticks=counts)
        axis.set_xticks(counts, [f"{count:,}" for count in counts])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        for count, value in zip(counts, values, strict=True):
            axis.annotate(f"{value:,.0f}", (count, value), xytext=(0, 6), textcoords="offset points", ha="center")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    if not chosen.table:
        for count in chosen.counts:
            print(measure(count), flush=True)
    found = sorted(parts.newest(parts.read(RESULTS), "images"), key=lambda part: part["images"])
    print(machine())
    print(markdown(HEADERS, rows(found)))
    if found:
        draw(found, PLOT)


if __name__ == "__main__":
    main()
