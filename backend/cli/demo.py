"""`sightglass demo`: the main job without a browser, through the real API: sample in, leaderboard and answer out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import tables
from backend.cli.console import answers
from backend.cli.evaluate import make_folder
from backend.cli.following import follow_job
from backend.cli.processes import Processes, backend_command, free_port
from backend.cli.service import Service
from backend.errors import SightglassError
from sample_datasets import sample_path


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
        with Service(address) as service:
            walk(service, sample_path(sample), out)


def walk(service: Service, archive: Path, out: Path) -> None:
    """Upload, train, look, predict, download."""
    console = answers()
    dataset = service.upload(archive)
    console.print(f"Uploaded {archive.name}: {dataset['total_images']} images of {dataset['num_classes']} classes")
    job = service.json("POST", "/api/cv/train/start", json={"dataset_id": dataset["dataset_id"]})
    ended = follow_job(service, job["job_id"], console)
    if ended["state"] != "succeeded":
        raise SightglassError(f"The job ended as {ended['state']}: {ended.get('error') or ended['message']}")
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


def one_picture(archive: Path) -> tuple[str, io.BytesIO]:
    """The archive's first picture: its name and its bytes."""
    with zipfile.ZipFile(archive) as members:
        name = members.namelist()[0]
        return Path(name).name, io.BytesIO(members.read(name))
