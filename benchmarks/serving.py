"""Concurrent predictions in one run: a naive service, the bare loop of the chosen backend, and ours.

The same weights (a probe of EfficientNet-Lite0 on cifar3), the same pictures (32-256 px, JPEG and PNG) and the same
load generator, which shares the cores with the server: what it takes is printed. First ours is asked until it has
measured its backends; then 20 users ask the naive service, then ours; then 200 users ours; then one more picture alone.

    python -m benchmarks.serving --seconds 60
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.environments import environment
from benchmarks.parts import ROOT, Part, keep, newest, read, results_file
from benchmarks.serving_parts import (
    KEPT,
    Load,
    model_folder,
    naive_service,
    our_service,
    pictures_of,
    trained_run,
    under_load,
)
from benchmarks.table import Goal, Line, lines_table, machine

RESULTS = results_file("serving")
ARCHIVE = ROOT.parent / "shared" / "data" / "cifar3.zip"
USERS, MANY = 20, 200


def bare_loop(run: Path, pictures: Path, backend: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.serving_bare",
        str(model_folder(run)),
        str(pictures),
        "--backend",
        backend,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ask_until_measured(client: httpx2.Client, server: subprocess.Popen[bytes], pictures: Path) -> dict[str, Any]:
    """Send pictures until the choice stands; what was chosen, from what."""
    model_id = client.get("/health").json()["default_model"]
    for _ in range(12):
        under_load(client, server, pictures, users=4, seconds=5)
        serving = client.get(f"/api/cv/models/{model_id}").json()["serving"]
        if serving and serving["networks"][0]["chosen_by"] != "default":
            return dict(serving["networks"][0])
    raise SystemExit("No backend was chosen within a minute.")


def alone(client: httpx2.Client, pictures: Path, count: int = 30) -> list[float]:
    """Milliseconds of some pictures, one after the other, nobody else asking."""
    took = []
    for path in sorted(pictures.iterdir())[:count]:
        begun = time.perf_counter()
        client.post("/predict", files={"file": (path.name, path.read_bytes())}).raise_for_status()
        took.append(1000 * (time.perf_counter() - begun))
    return sorted(took)


def measure(archive: Path, *, seconds: float) -> Part:
    run, pictures = trained_run(archive), pictures_of(archive, KEPT / "pictures")
    with naive_service(model_folder(run), KEPT / "naive.log") as (client, server):
        under_load(client, server, pictures, users=2, seconds=3)
        naive = under_load(client, server, pictures, users=USERS, seconds=seconds)
    print(f"naive: {told(naive)}", flush=True)
    with our_service(run, KEPT / "data") as (client, server):
        chosen = ask_until_measured(client, server, pictures)
        print(f"chosen: {chosen['backend']}", flush=True)
        lone = alone(client, pictures)
        ours = under_load(client, server, pictures, users=USERS, seconds=seconds)
        print(f"ours: {told(ours)}", flush=True)
        many = under_load(client, server, pictures, users=MANY, seconds=seconds)
        after = alone(client, pictures)
        print(f"many: {told(many)}", flush=True)
    bare = bare_loop(run, pictures, chosen["backend"])
    return {
        "seconds": seconds,
        "chosen": chosen,
        "bare": bare,
        "naive": asdict(naive),
        "ours": asdict(ours),
        "many": asdict(many),
        "alone_ms": lone[len(lone) // 2],
        "after_ms": after[-1],
    }


def told(load: Load) -> str:
    server = 1000 * load.server_cpu_s / max(1, load.answered)
    generator = 1000 * load.generator_cpu_s / max(1, load.answered + load.busy)
    return (
        f"{load.per_second:.0f}/s, p50 {load.p50:.0f} ms, p95 {load.p95:.0f} ms, {load.failures} failures, "
        f"{load.busy} busy, processor time a picture: server {server:.1f} ms, load generator {generator:.1f} ms"
    )


def report() -> list[Line]:
    return [line for part in newest(read(RESULTS), "backend") for line in lines_of(part)]


def lines_of(part: Part) -> Sequence[Line]:
    naive, ours, many, bare = part["naive"], part["ours"], part["many"], part["bare"]
    loads = {"naive": naive, "ours": ours, "many": many}
    speed = {name: load["answered"] / load["seconds"] for name, load in loads.items()}
    fastest = max(bare["prepared"], bare.get("prepared_fixed", 0.0))
    return (
        Line(
            what=f"{USERS} users for {part['seconds']:.0f} s: answers a second",
            other=f"naive: {speed['naive']:.0f}/s, p50 {naive['p50']:.0f} ms",
            ours=f"{speed['ours']:.0f}/s, p50 {ours['p50']:.0f} ms ({part['chosen']['kind']})",
            value=speed["ours"] / speed["naive"],
            goal=Goal(least=5.0),
        ),
        Line(
            what="Share of the bare loop, batches of 16, from encoded pictures",
            other=f"{bare['encoded']:.0f}/s",
            ours=f"{speed['ours']:.0f}/s",
            value=100 * speed["ours"] / bare["encoded"],
            goal=Goal(least=80.0),
            unit="%",
        ),
        Line(
            what="Share of the bare loop, batches of 16, of prepared pixels",
            other=f"{fastest:.0f}/s",
            ours=f"{speed['ours']:.0f}/s",
            value=100 * speed["ours"] / fastest,
            goal=Goal(least=80.0),
            unit="%",
        ),
        Line(
            what="p95 against the naive p50",
            other=f"p50 {naive['p50']:.0f} ms",
            ours=f"p95 {ours['p95']:.0f} ms",
            value=ours["p95"] / naive["p50"],
            goal=Goal(most=1.0),
        ),
        Line(
            what=f"Failures of {USERS} users (503 counted)",
            other=f"{naive['failures']}",
            ours=f"{ours['failures'] + ours['busy']}",
            value=ours["failures"] + ours["busy"],
            goal=Goal(most=0.0),
            unit="",
        ),
        Line(
            what=f"Failures of {MANY} users other than 503; {many['busy']} were told to come again",
            other="",
            ours=f"{speed['many']:.0f}/s, p95 {many['p95']:.0f} ms",
            value=many["failures"],
            goal=Goal(most=0.0),
            unit="",
        ),
        Line(
            what="Slowest of 30 lone pictures right after them, against the median before",
            other=f"{part['alone_ms']:.0f} ms",
            ours=f"{part['after_ms']:.0f} ms",
            value=part["after_ms"] / part["alone_ms"],
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, nargs="?", default=ARCHIVE)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--table", action="store_true", help="measure nothing, show what was measured")
    chosen = parser.parse_args()
    if not chosen.table:
        part = measure(chosen.archive, seconds=chosen.seconds)
        keep(RESULTS, {"backend": part["chosen"]["backend"], **part})
    print(machine())
    print(lines_table(report()))


if __name__ == "__main__":
    main()
