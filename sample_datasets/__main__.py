"""`python -m sample_datasets [NAME ...]`: rebuilds the bundled samples, or fetches the real sets by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sample_datasets import FOLDER, SAMPLES
from sample_datasets.fetch import SOURCES, FetchError, fetch
from sample_datasets.packing import write_archive

BUNDLED = tuple(sample.name for sample in SAMPLES)


def build(name: str, target: Path) -> int:
    """Draw a bundled sample anew. Returns the number of images."""
    from sample_datasets import digits, shapes

    return write_archive(target, (shapes if name == "shapes" else digits).draw_all())


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sample_datasets", description=__doc__)
    names = (*BUNDLED, *SOURCES)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; none: {' and '.join(BUNDLED)}")
    parser.add_argument("--out", type=Path, help="folder for the ZIPs (bundled: here; fetched: the current folder)")
    parser.add_argument("--per-class", type=int, help="of a fetched set, only the first N images of each class")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.names if name not in names]:
        parser.error(f"there is no '{unknown[0]}'; there are: {', '.join(names)}")
    if chosen.per_class is not None and chosen.per_class < 1:
        parser.error(f"--per-class is {chosen.per_class}; the least is 1")
    if chosen.out is not None and not chosen.out.is_dir():
        parser.error(f"--out: '{chosen.out}' is no folder; create it first")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, or 2 where a set could not be fetched or an argument does not fit."""
    chosen = parse(arguments)
    console = Console(soft_wrap=True)
    for name in chosen.names or BUNDLED:
        bundled = name in BUNDLED
        target = (chosen.out or (FOLDER if bundled else Path.cwd())) / f"{name}.zip"
        try:
            count = build(name, target) if bundled else fetch(name, target, per_class=chosen.per_class)
        except FetchError as error:
            Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False)
            return 2
        console.print(f"{target}: {count} images, {target.stat().st_size / 1e6:.1f} MB", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
