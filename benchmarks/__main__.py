"""`python -m benchmarks`: the quick benchmarks one after the other, each in a process of its own, then one table."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from benchmarks.environments import environment
from benchmarks.parts import ROOT
from benchmarks.table import lines_table, machine

QUICK = ("probe_vs_finetune", "headline", "forward")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    for name in () if chosen.table else QUICK:
        print(f"benchmarks/{name}.py ...", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, env=environment(), check=True)
    lines = [line for name in QUICK for line in importlib.import_module(f"benchmarks.{name}").report()]
    print(machine())
    print(lines_table(lines))


if __name__ == "__main__":
    main()
