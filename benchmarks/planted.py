"""What quality check and suspect labels find of planted faults: copies across classes, flipped labels, blur, damage.

`python -m benchmarks.planted` plants 10 copies of pictures into another class (half of them saved anew), 15 flipped
labels, 5 blurred and 5 damaged pictures into CIFAR-10's 600 of three classes, looks for them, and prints for each how
many were found and how many of the untouched images were accused. Flipped labels are looked for by a training: its
`suspect_labels`. Each seed plants others.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image, ImageFilter

from benchmarks import parts
from benchmarks.splits import find_data
from benchmarks.table import machine, markdown

RESULTS = parts.results_file("planted")
COPIES, FLIPPED, BLURRED, DAMAGED = 10, 15, 5, 5
BLUR = 2.0  # pixels, of 32
KINDS = ("copies", "flipped", "blurred", "damaged")
Names = set[str]


@dataclass
class Planted:
    """What was planted, by name of the file in the archive."""

    archive: Path
    names: dict[str, Names] = field(default_factory=dict)
    images: int = 0


def plant(source: Path, target: Path, *, seed: int) -> Planted:
    """Write the archive with its faults. No picture gets two of them."""
    rng = random.Random(seed)
    with zipfile.ZipFile(source) as file:
        files = {name: file.read(name) for name in sorted(file.namelist()) if not name.endswith("/")}
    labels = sorted({PurePosixPath(name).parent.name for name in files})
    chosen = rng.sample(sorted(files), COPIES + FLIPPED + BLURRED + DAMAGED)
    copied, flipped = chosen[:COPIES], chosen[COPIES : COPIES + FLIPPED]
    blurred, damaged = chosen[COPIES + FLIPPED : -DAMAGED], chosen[-DAMAGED:]
    planted = Planted(target, {kind: set() for kind in KINDS})
    for number, name in enumerate(copied):
        copy = _moved(name, labels, rng, prefix="copy")
        files[copy] = files[name] if number % 2 else _encoded(_opened(files[name]), quality=80)
        planted.names["copies"] |= {copy, name}
    for name in flipped:
        moved = _moved(name, labels, rng, prefix="flip")
        files[moved] = files.pop(name)
        planted.names["flipped"].add(moved)
    for name in blurred:
        files[name] = _encoded(_opened(files[name]).filter(ImageFilter.GaussianBlur(BLUR)), quality=95)
        planted.names["blurred"].add(name)
    for name in damaged:
        files[name] = files[name][: len(files[name]) // 3]
        planted.names["damaged"].add(name)
    with zipfile.ZipFile(target, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    planted.images = len(files)
    return planted


def look(planted: Planted, folder: Path, *, networks: tuple[str, ...]) -> dict[str, Names]:
    """What Sightglass says of the archive, by kind of fault, as names in the archive."""
    from backend.config import Settings
    from backend.contracts import Recipe
    from backend.data import open_dataset
    from backend.search.compare import Run, compare
    from backend.workflows.check_quality import check_quality

    settings = Settings(data_dir=folder / "data", mlflow_tracking_uri="off")
    dataset = open_dataset(planted.archive, into=settings.datasets_dir, settings=settings)
    name_of = _names(planted.archive, {item.image_id: (item.digest, item.label) for item in dataset.items})
    issues = check_quality(dataset, settings=settings).issues
    recipe = Recipe(dataset_id=dataset.info.dataset_id, models=networks, preset="fast")
    results = compare(dataset, recipe, run=Run(settings=settings)).results
    contradicted = set(issues.conflicting_labels)
    return {
        "copies": {name_of[image_id] for image_id in contradicted},
        "flipped": {name_of[one.image_id] for one in results.suspect_labels if one.image_id not in contradicted},
        "blurred": {name_of[image_id] for image_id in issues.blurry},
        "damaged": {one.file for one in issues.corrupt},
    }


def scores(planted: Planted, found: Mapping[str, Names]) -> dict[str, dict[str, float]]:
    """For each kind: planted, found of them, and the untouched images that were accused."""
    touched = set().union(*planted.names.values())
    return {
        kind: {
            "planted": len(planted.names[kind]),
            "found": len(planted.names[kind] & found[kind]),
            "false_alarms": len(found[kind] - touched),
        }
        for kind in KINDS
    }


def _names(archive: Path, known: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Image id to name in the archive, by the file's digest and its folder."""
    import hashlib

    with zipfile.ZipFile(archive) as file:
        by_file = {
            (hashlib.sha256(file.read(name)).hexdigest(), PurePosixPath(name).parent.name): name
            for name in file.namelist()
        }
    return {image_id: by_file[told] for image_id, told in known.items()}


def _moved(name: str, labels: list[str], rng: random.Random, *, prefix: str) -> str:
    path = PurePosixPath(name)
    label = rng.choice([one for one in labels if one != path.parent.name])
    return str(path.parent.parent / label / f"{prefix}-{path.name}")


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _encoded(image: Image.Image, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def report() -> str:
    """The newest parts as a table, seeds added up."""
    measured = parts.newest(parts.read(RESULTS), "network", "seed")
    rows = [
        _row(network, kind, [part for part in measured if part["network"] == network])
        for network in dict.fromkeys(part["network"] for part in measured)
        for kind in KINDS
    ]
    return markdown(["network", "fault", "seeds", "found", "untouched images accused"], rows)


def _row(network: str, kind: str, measured: list[parts.Part]) -> list[str]:
    scored = [part["scores"][kind] for part in measured]
    found, planted, false = (sum(one[key] for one in scored) for key in ("found", "planted", "false_alarms"))
    images = sum(part["images"] for part in measured)
    share = f"{found} of {planted} ({found / planted:.0%})"
    return [network, kind, str(len(measured)), share, f"{false} of {images} ({false / images:.1%})"]


def main() -> None:
    from backend.execution.native import prepare_native_libraries

    prepare_native_libraries()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    chosen = parser.parse_args()
    source = find_data("cifar3.zip")
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory() as folder:
            planted = plant(source, Path(folder) / "planted.zip", seed=seed)
            found = look(planted, Path(folder), networks=tuple(chosen.networks))
            counted = scores(planted, found)
            part = {"network": " + ".join(chosen.networks), "seed": seed, "images": planted.images, "scores": counted}
            parts.keep(RESULTS, part)
            print(seed, counted, flush=True)
    print(machine())
    print(report())


if __name__ == "__main__":
    main()
