"""`sightglass demo`: the main job without a browser, through the real API: sample in, leaderboard and answer out."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from backend.cli import tables
from backend.cli.console import answers
from backend.cli.evaluate import make_folder
from backend.cli.processes import Processes, backend_command, free_port
from backend.errors import SightglassError, UnavailableError
from sample_datasets import sample_path

POLL_S = 0.5
FINAL = frozenset({"succeeded", "failed", "cancelled"})


class Service:
    """The few calls that the demo makes. A problem answer becomes an error with the service's own detail."""

    def __init__(self, address: str) -> None:
        self._http = httpx2.Client(base_url=address, timeout=120.0, trust_env=False)

    def json(self, method: str, path: str, **request: Any) -> Any:
        return self._answer(method, path, **request).json()

    def download(self, path: str, target: Path) -> None:
        target.write_bytes(self._answer("GET", path).content)

    def _answer(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            raise UnavailableError(f"{method} {path}: {error}") from error
        if answer.is_error:
            raise SightglassError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer


def demo(
    *,
    sample: Annotated[str, typer.Option(help="shapes or digits.")] = "shapes",
    out: Annotated[Path, typer.Option(help="Folder for data, models and results.")] = Path("demo_output"),
) -> None:
    """Run the main job on a sample, by a service of its own."""
    make_folder(out)
    port = free_port()
    env = {"SIGHTGLASS_DATA_DIR": str(out.resolve()), "SIGHTGLASS_LOG_LEVEL": "warning", "SIGHTGLASS_API_KEYS": ""}
    with Processes() as processes:
        console = answers()
        console.print(f"Starting the service on port {port}")
        processes.start("API", backend_command(host="127.0.0.1", port=port), env=env)
        address = f"http://127.0.0.1:{port}"
        processes.wait_for(f"{address}/health")
        walk(Service(address), sample_path(sample), out)


def walk(service: Service, archive: Path, out: Path) -> None:
    """Upload, train, look, predict, download."""
    console = answers()
    dataset = upload(service, archive)
    console.print(f"Uploaded {archive.name}: {dataset['total_images']} images of {dataset['num_classes']} classes")
    job = service.json("POST", "/api/cv/train/start", json={"dataset_id": dataset["dataset_id"]})
    follow(service, job["job_id"])
    results = service.json("GET", f"/api/cv/jobs/{job['job_id']}/results")
    ranked_by = (results.get("imbalance") or {}).get("ranked_by", "accuracy")
    console.print(tables.leaderboard(results["leaderboard"], ranked_by=ranked_by))
    console.print(tables.in_words(results["best_model"]["name"], results["test"], results["split"]["test"]))
    name, picture = one_picture(archive)
    predicted = service.json(
        "POST", f"/api/cv/predict/{results['model_id']}", files={"file": (name, picture, "image/jpeg")}
    )
    likeliest = ", ".join(f"{row['label']} {tables.percent(row['confidence'])}" for row in predicted["predictions"])
    console.print(f"Asked about {name}: {likeliest}")
    target = out / f"{results['best_model']['name']}.pth"
    service.download(f"/api/cv/models/{results['model_id']}/download?format=pth", target)
    console.print(
        f"The model is yours: {target} ({target.stat().st_size / 1e6:.1f} MB). The README shows how to open it."
    )


def upload(service: Service, archive: Path) -> dict[str, Any]:
    with archive.open("rb") as file:
        files = {"file": (archive.name, file, "application/zip")}
        answer: dict[str, Any] = service.json("POST", "/api/cv/upload", files=files)
    return answer


def follow(service: Service, job_id: str) -> None:
    """Show the job's bar until it ends.

    Raises:
        SightglassError: it ended without results; the detail is the job's own.
    """
    columns = (TextColumn("Training"), BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%"))
    note = TextColumn("{task.fields[note]}", markup=False)
    with Progress(*columns, TimeElapsedColumn(), note, console=answers()) as bars:
        bar = bars.add_task("", total=1.0, note="")
        while True:
            job = service.json("GET", f"/api/cv/jobs/{job_id}")
            bars.update(bar, completed=job["progress"], note=job["message"])
            if job["state"] in FINAL:
                break
            time.sleep(POLL_S)
    if job["state"] != "succeeded":
        raise SightglassError(f"The job ended as {job['state']}: {job.get('error') or job['message']}")


def one_picture(archive: Path) -> tuple[str, io.BytesIO]:
    """The archive's first picture: its name and its bytes."""
    with zipfile.ZipFile(archive) as members:
        name = members.namelist()[0]
        return Path(name).name, io.BytesIO(members.read(name))
