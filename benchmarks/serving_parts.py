"""What a measurement of serving needs: a model, pictures of many sizes, a service that has them, users.

It starts and stops processes and reads what they say; it does not judge.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

from benchmarks.environments import environment
from benchmarks.parts import BENCH, ROOT
from benchmarks.ports import free_port

MODEL = "efficientnet_lite0"
KEPT = BENCH / "serving"
SIDES = (32, 256)
SERVE = "from backend.main import serve; from backend.config import Settings; serve(Settings(), worker=None)"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What users saw. Times in ms; `generator_cpu_s` is what the load generator itself took of the same cores."""

    users: int
    seconds: float
    answered: int
    busy: int
    failures: int
    errors: tuple[str, ...]
    p50: float
    p95: float
    generator_cpu_s: float
    server_cpu_s: float

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds


def trained_run(archive: Path) -> Path:
    """A run of the command line with one probe of Lite0 on an archive; made once and kept in `.bench/`."""
    run = KEPT / "run"
    if not (run / "results.json").is_file():
        shutil.rmtree(run, ignore_errors=True)
        command = ["train", str(archive), "--models", MODEL, "--no-ensemble", "--out", str(run)]
        variables = environment(SIGHTGLASS_DATA_DIR=str(KEPT / "train"), SIGHTGLASS_MLFLOW_TRACKING_URI="off")
        sightglass = Path(sys.executable).with_name("sightglass")
        subprocess.run([sightglass, *command], cwd=ROOT, env=variables, check=True, stdout=subprocess.DEVNULL)
    return run


def pictures_of(archive: Path, folder: Path) -> Path:
    """The archive's pictures at sizes from 32 to 256 px, three JPEGs to a PNG; the same ones each time."""
    import io
    import zipfile

    if folder.is_dir():
        return folder
    temporary = folder.with_name("pictures-unfinished")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    chance = random.Random(0)
    with zipfile.ZipFile(archive) as members:
        names = sorted(name for name in members.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
        for place, name in enumerate(names):
            side = chance.randint(*SIDES)
            image = (
                Image.open(io.BytesIO(members.read(name))).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
            )
            if place % 4:
                image.save(temporary / f"{place:04}.jpg", quality=90)
            else:
                image.save(temporary / f"{place:04}.png")
    return temporary.rename(folder)


@contextlib.contextmanager
def our_service(run: Path, data: Path, **variables: str) -> Iterator[tuple[httpx2.Client, subprocess.Popen[bytes]]]:
    """The API with its predicting process, and the run's model in its registry; no worker."""
    put_model(run, data)
    port = free_port()
    given = environment(SIGHTGLASS_DATA_DIR=str(data), SIGHTGLASS_MLFLOW_TRACKING_URI="off", **variables)
    given["SIGHTGLASS_PORT"] = str(port)
    with started([sys.executable, "-c", SERVE], given, data / "log.txt") as process, client_of(port) as client:
        wait_for(lambda: client.get("/health").json()["device"] != "unknown", process)
        yield client, process


@contextlib.contextmanager
def naive_service(model: Path, log: Path) -> Iterator[tuple[httpx2.Client, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving_naive", str(model), "--port", str(port)]
    with started(command, environment(), log) as process, client_of(port) as client:
        wait_for(lambda: client.get("/docs").status_code == 200, process)
        yield client, process


def put_model(run: Path, data: Path) -> None:
    """Publish the run's model in a data folder, as a training job would."""
    from backend.config import Settings
    from backend.contracts import Results
    from backend.engine.model_folder import load_info
    from backend.main import prepare
    from backend.storage.catalog import Catalog
    from backend.storage.database import Database

    settings = Settings(data_dir=data)
    prepare(settings)
    folder = model_folder(run)
    info = load_info(folder)
    if not (settings.models_dir / info.model_id).exists():
        shutil.copytree(folder, settings.models_dir / info.model_id)
        database = Database(settings.resolved_database_url)
        Catalog(database).publish(Results.model_validate_json((run / "results.json").read_bytes()), info)
        database.close()


def model_folder(run: Path) -> Path:
    return next((run / "models").glob("*/model.json")).parent


def under_load(
    client: httpx2.Client, server: subprocess.Popen[bytes], pictures: Path, *, users: int, seconds: float
) -> Load:
    """So many users at once, for so long, by one process of locust."""
    before, theirs = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_of(server.pid)
    command = [
        *(
            sys.executable,
            "-m",
            "locust",
            "-f",
            "benchmarks/serving_load.py",
            "--headless",
            "--json",
            "--skip-log-setup",
        ),
        *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds:.0f}s"),
        *("--host", str(client.base_url), "--exit-code-on-error", "0", "--stop-timeout", "30"),
    ]
    variables = {**os.environ, "SERVING_PICTURES": str(pictures)}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, check=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    asked, busy = rows.get("predict"), rows.get("503 busy", {}).get("num_requests", 0)
    times = times_of(asked)
    failed = 0 if asked is None else int(asked["num_failures"])
    return Load(
        users=users,
        seconds=0.0 if asked is None else asked["last_request_timestamp"] - asked["start_time"],
        answered=len(times) - failed,
        busy=busy,
        failures=failed,
        errors=tuple(sorted({line for line in done.stderr.splitlines() if "rror" in line}))[:5],
        p50=quantile(times, 0.5),
        p95=quantile(times, 0.95),
        generator_cpu_s=own,
        server_cpu_s=cpu_of(server.pid) - theirs,
    )


def times_of(row: dict[str, Any] | None) -> list[float]:
    """All response times in ms, ascending, as locust rounds them."""
    if row is None:
        return []
    return sorted(float(time) for time, count in row["response_times"].items() for _ in range(count))


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def cpu_of(process_id: int) -> float:
    """Seconds of processor time of a process and all below it that live."""
    total = 0.0
    for one in family(process_id):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def family(process_id: int) -> list[int]:
    """A process and all below it, from /proc."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found, level = [process_id], [process_id]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


@contextlib.contextmanager
def started(command: list[str], variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # a server that waits for requests which nobody sends any more
            process.kill()
            process.wait(30)


def client_of(port: int) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)


def wait_for(fact: Any, process: subprocess.Popen[bytes], *, within: float = 120) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx2.TransportError, ValueError, KeyError):
            if fact():
                return
        time.sleep(0.1)
    raise SystemExit("The service did not become ready; its log says more.")
