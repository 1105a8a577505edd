"""The commands that talk to a running service, against a stand-in that answers as api.md says."""

import csv
import io
import json
import zipfile
from typing import ClassVar

import httpx2
import pytest
from rich.console import Console
from rich.progress import Progress
from service_fakes import results_record

from backend.cli import jobs as jobs_module
from backend.cli import service as module
from backend.cli import sweep as sweep_module
from backend.cli import train as train_module
from backend.cli.app import run
from backend.cli.following import Bars, follow_job, rest
from backend.cli.remote import train_at
from backend.cli.service import Service, service_at
from backend.config import Settings
from backend.errors import AuthenticationError, ConflictError, InputError, NotFoundError, UnavailableError


def job_at(state, **fields):
    base = {"job_id": "job-1", "kind": "train_images", "dataset_id": "ds-1", "state": state, "progress": 0.5}
    more = {"message": "resnet18: fine-tuning", "candidates": [], "eta_s": 90.0, "created_at": "2026-01-01T00:00:00Z"}
    return {**base, **more, **fields}


def event(number, job, kind="progress"):
    return f"event: {kind}\nid: {number}\ndata: {json.dumps(job)}\n\n"


class StandIn:
    """One job that goes through `states`; `streams` are what each stream sends before it breaks off."""

    def __init__(self, *, streams=(), ended=None):
        self.streams = list(streams)
        self.ended = ended or job_at("succeeded", progress=1.0, message="Done.")
        self.asked = []
        self.job = job_at("queued", progress=0.0, queue_position=2, message="Waiting for a worker.")

    def __call__(self, request):
        path = request.url.path
        self.asked.append(
            (request.method, path, request.headers.get("Last-Event-ID"), request.headers.get("X-API-Key"))
        )
        answers = {
            "/api/cv/upload": self._upload,
            "/api/cv/train/start": self._start,
            "/api/cv/jobs/job-1/events": self._stream,
            "/api/cv/jobs/job-1/results": lambda _: httpx2.Response(200, content=results_record().model_dump_json()),
            "/api/cv/jobs/job-1/cancel": self._cancel,
            "/api/cv/models/md-1/download": lambda _: httpx2.Response(200, content=bundle()),
            "/api/cv/jobs": self._list,
            "/api/cv/jobs/job-1": lambda _: httpx2.Response(200, json=self.job),
        }
        return answers.get(path, lambda _: httpx2.Response(404, json={"detail": f"There is no {path}."}))(request)

    def _upload(self, request):
        self.uploaded = request.read()
        return httpx2.Response(201, json={"dataset_id": "ds-1"})

    def _start(self, request):
        self.recipe = json.loads(request.read())
        return httpx2.Response(202, json=self.job)

    def _cancel(self, _):
        self.job = job_at("cancelled")
        return httpx2.Response(202, json=self.job)

    def _list(self, request):
        return httpx2.Response(200, json=[self.job] if request.url.params.get("state") != "running" else [])

    def _stream(self, _):
        if not self.streams:
            self.job = self.ended
            return httpx2.Response(204)
        text = self.streams.pop(0)
        if text is None:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(
            200, content="retry: 1000\n\n: ping\n\n" + text, headers={"Content-Type": "text/event-stream"}
        )


def bundle():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.pth", b"weights")
        archive.writestr("../model.json", b"{}")  # a name that would leave the folder stays in it
    return buffer.getvalue()


@pytest.fixture
def reach(monkeypatch):
    """Let every command talk to a stand-in; returns the addresses and keys that were asked for."""

    def use(stand_in):
        def at(server, settings):
            return Service("http://s.test", key=settings.api_key, transport=httpx2.MockTransport(stand_in))

        monkeypatch.setattr(jobs_module, "service_at", at)
        monkeypatch.setattr(train_module, "service_at", at)
        monkeypatch.setattr(module, "PAUSE_S", 0.01)
        return stand_in

    return use


def service(stand_in):
    return Service("http://s.test", transport=httpx2.MockTransport(stand_in))


def test_a_job_is_followed_through_broken_streams_to_its_end(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    streams = [event(3, job_at("running")), None, event(5, job_at("running", progress=0.8))]
    stand_in = StandIn(streams=streams)
    seen = [(job["state"], job["progress"]) for job in service(stand_in).events("job-1")]
    assert seen[0] == ("queued", 0.0)
    assert ("running", 0.8) in seen
    assert seen[-1] == ("succeeded", 1.0)
    assert [last for _, path, last, _ in stand_in.asked if path.endswith("/events")] == [None, "3", "3", "5"]


def test_a_service_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "GIVEN_UP_AFTER_S", 0.05)
    with pytest.raises(UnavailableError, match="sightglass serve"):
        list(service(StandIn(streams=[None] * 10_000)).events("job-1"))


def test_bars_show_the_place_the_time_to_go_and_each_network():
    progress = Progress(console=Console(file=io.StringIO()))
    bars = Bars(progress)
    bars.show_job(job_at("queued", progress=0.0, queue_position=2, message="Waiting for a worker."))
    assert progress.tasks[0].fields["note"] == "Place 2 in the queue. Waiting for a worker."
    row = {"name": "resnet18", "state": "running", "stage": "fine-tuning", "epoch": 2, "epochs": 6, "score": 0.9}
    bars.show_job(job_at("running", candidates=[row]))
    assert progress.tasks[0].fields["note"] == "about 2 min left · resnet18: fine-tuning"
    assert progress.tasks[1].fields["note"] == "fine-tuning, epoch 2 of 6, validation 90.0%"
    assert (progress.tasks[1].completed, progress.tasks[1].total) == (2, 6)


def test_following_shows_the_end():
    done = job_at("succeeded", progress=1.0, message="Done.")
    console = Console(force_terminal=True, width=160, file=io.StringIO())
    stand_in = StandIn(streams=[event(1, job_at("running")) + event(2, done, "state")])
    assert follow_job(service(stand_in), "job-1", console)["state"] == "succeeded"
    assert "Done." in console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(42.4, "42 s"), (119, "2 min"), (3600, "1 h 0 min"), (7800, "2 h 10 min")]
)
def test_a_time_to_go_is_rounded_as_people_say_it(seconds, text):
    assert rest(seconds) == text


def test_training_at_a_service_brings_results_and_model_back(tmp_path):
    archive = tmp_path / "pictures.zip"
    archive.write_bytes(b"PK-pictures")
    stand_in = StandIn()
    results, folder = train_at(service(stand_in), archive, {"preset": "fast"}, out=tmp_path / "out", shown=False)
    assert stand_in.recipe == {"preset": "fast", "dataset_id": "ds-1"}
    assert b"PK-pictures" in stand_in.uploaded
    assert results.job_id == "job-1"
    assert json.loads((tmp_path / "out" / "results.json").read_text())["job_id"] == "job-1"
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.pth"]
    assert not (folder.parent / "model.json").exists()


def test_a_sweep_at_a_service_sends_the_data_once_and_keeps_going_past_a_refusal(reach, monkeypatch, tmp_path, capsys):
    class Refusing(StandIn):
        """Its second training is refused, as one with a network that cannot be what was asked."""

        recipes: ClassVar[list] = []

        def _start(self, request):
            self.recipes.append(json.loads(request.read()))
            if len(self.recipes) == 2:
                return httpx2.Response(422, json={"detail": "'vit_tiny' is a transformer."})
            return httpx2.Response(202, json=self.job)

    stand_in = reach(Refusing())
    monkeypatch.setattr(sweep_module, "service_at", train_module.service_at)
    archive, out = tmp_path / "x.zip", tmp_path / "out"
    archive.write_bytes(b"PK")
    typed = ["model.name=lite0,vit_tiny,lite1", "--seed", "4", "--server", "http://s.test", "--out", str(out)]
    assert run(["train", str(archive), "--multirun", *typed]) == 1
    assert [path for _, path, *_ in stand_in.asked].count("/api/cv/upload") == 1
    assert [(one["overrides"]["model.name"], one["seed"], one["dataset_id"]) for one in stand_in.recipes] == [
        (name, 4, "ds-1") for name in ("lite0", "vit_tiny", "lite1")
    ]
    rows = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    assert [(row["model.name"], row["status"]) for row in rows] == [
        ("lite0", "ok"),
        ("vit_tiny", "failed"),
        ("lite1", "ok"),
    ]
    assert rows[1]["reason"] == "'vit_tiny' is a transformer."
    assert sorted(path.name for path in (out / "3").iterdir()) == [
        "config.yaml",
        "model_final.pt",
        "models",
        "results.json",
    ]
    assert "2: 'vit_tiny' is a transformer." in " ".join(capsys.readouterr().out.split())


def test_a_folder_is_packed_before_it_is_sent(tmp_path, make_zip):
    with zipfile.ZipFile(make_zip({"circle": 1, "square": 1})) as archive:
        archive.extractall(tmp_path / "data")
    stand_in = StandIn()
    train_at(service(stand_in), tmp_path / "data", {}, out=tmp_path / "out", shown=False)
    assert b"pictures/circle/000.png" in stand_in.uploaded


def test_a_job_that_ends_without_results_says_why(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    ended = job_at("failed", error="The dataset was deleted.")
    with pytest.raises(ConflictError, match="failed: The dataset was deleted"):
        train_at(service(StandIn(ended=ended)), tmp_path / "x.zip", {}, out=tmp_path / "out", shown=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (404, NotFoundError), (409, InputError), (422, InputError), (503, UnavailableError)],
)
def test_a_refusal_keeps_the_service_s_words_and_its_kind(status, kind):
    def refuse(request):
        return httpx2.Response(status, json={"detail": "Not like this."})

    with pytest.raises(kind, match=r"Not like this\."):
        Service("http://s.test", transport=httpx2.MockTransport(refuse)).json("GET", "/api/cv/jobs")


@pytest.mark.parametrize("address", ["http://[", "ftp://x", "nothing"])
def test_an_address_that_is_none_is_refused_with_a_sentence(address):
    with pytest.raises((InputError, UnavailableError)):
        Service(address).json("GET", "/health")


def test_the_flag_stands_above_the_setting_and_that_above_this_machine():
    settings = Settings(api_url="http://set.test:1/", port=8123, api_key="k")
    assert service_at("http://flag.test", settings).address == "http://flag.test"
    assert service_at(None, settings).address == "http://set.test:1"
    assert service_at(None, Settings(port=8123)).address == "http://127.0.0.1:8123"


def test_jobs_are_listed_with_place_and_time_to_go(reach, capsys):
    stand_in = reach(StandIn())
    assert run(["jobs"]) == 0
    assert "queued, place 2" in capsys.readouterr().out
    stand_in.job = job_at("running")
    assert run(["jobs", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "50%" in shown
    assert "2 min" in shown
    assert run(["jobs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["job_id"] == "job-1"


def test_follow_ends_with_how_it_ended_and_fails_with_the_job(reach, capsys):
    reach(StandIn())
    assert run(["follow", "job-1"]) == 0
    assert "job-1: succeeded. Done." in capsys.readouterr().out
    reach(StandIn(ended=job_at("failed", error="no images")))
    assert run(["follow", "job-1"]) == 1
    assert "job-1: failed. no images" in capsys.readouterr().out
    assert run(["follow", "job-2"]) == 2


def test_cancel_waits_for_the_end(reach, capsys):
    stand_in = reach(StandIn())
    assert run(["cancel", "job-1"]) == 0
    assert "job-1: cancelled." in capsys.readouterr().out
    assert ("POST", "/api/cv/jobs/job-1/cancel") in [(method, path) for method, path, _, _ in stand_in.asked]


def test_the_key_is_sent(reach, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_API_KEY", "secret")
    stand_in = reach(StandIn())
    run(["jobs"])
    assert {key for _, _, _, key in stand_in.asked} == {"secret"}


def test_train_goes_to_the_service_that_is_named(reach, tmp_path, capsys):
    stand_in = reach(StandIn())
    (tmp_path / "x.zip").write_bytes(b"PK")
    arguments = [
        "train",
        str(tmp_path / "x.zip"),
        "--server",
        "http://s.test",
        "--seed",
        "7",
        "--out",
        str(tmp_path / "o"),
    ]
    assert run(arguments) == 0
    assert stand_in.recipe["seed"] == 7
    captured = capsys.readouterr()
    assert "Model: " in captured.out
    assert "Uploading" in captured.err
