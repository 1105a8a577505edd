"""The API in German: refusals of all kinds, failed jobs, results, events; and what must stay as it is."""

import io
import json
import re
import zipfile

import pytest
from service_fakes import model_info, results_record
from starlette.testclient import TestClient

from backend.config import Rate
from backend.contracts import Progress, SkippedFile
from backend.contracts.result import LeaderboardRow

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
ENGLISH_WORDS = re.compile(
    r"\b(the|is|are|there|send|not|and|of|has|with|must|should|allowed|which|that|seen|try|again|input|field|file|body"
    r"|missing|larger|than|only)\b"
)
# What is typed, sent or quoted is the same in all languages.
QUOTED = re.compile(
    r"'[^']*'|\"[^\"]*\"|\{.*?\}|\(curl[^)]*\)|/\S+|SIGHTGLASS_\w+|multipart/form-data|Allowed: .*|\bGET \S+"
)


def english_left(text):
    return ENGLISH_WORDS.findall(QUOTED.sub(" ", text))


def zip_of(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def refused(method, path, status, words, **more):
    return pytest.param(method, path, status, words, more, id=f"{method} {path} {words[:30]}")


def upload(content, name="a.zip"):
    return {"files": {"file": (name, content)}}


REFUSALS = [
    refused("GET", "/api/cv/datasets/none-such", 404, "Einen Datensatz 'none-such' gibt es nicht"),
    refused("GET", "/api/cv/datasets/A", 404, "Datensatz 'A' gibt es nicht: Eine Kennung"),
    refused("DELETE", "/api/cv/datasets/none-such", 404, "gibt es nicht"),
    refused("GET", "/api/cv/jobs/none-such", 404, "Einen Auftrag 'none-such' gibt es nicht"),
    refused("POST", "/api/cv/jobs/none-such/cancel", 404, "Einen Auftrag"),
    refused("GET", "/api/cv/jobs/none-such/events", 404, "Einen Auftrag"),
    refused("GET", "/api/cv/results/none-such", 404, "gibt es nicht"),
    refused("GET", "/api/cv/models/none-such", 404, "Ein Modell 'none-such' gibt es nicht"),
    refused("POST", "/api/cv/models/none-such/promote", 404, "Ein Modell"),
    refused("GET", "/api/cv/models/none-such/download", 404, "weder ein Modell noch ein Datensatz"),
    refused("GET", "/api/cv/jobs?limit=0", 422, "'limit' passt nicht: der Wert muss mindestens 1 sein (gesehen: \"0\")"),
    refused("GET", "/api/cv/jobs?limit=many", 422, "eine ganze Zahl ist nötig"),
    refused("GET", "/api/cv/jobs?limit=0&offset=-1", 422, "'offset' passt nicht"),
    refused("GET", "/api/cv/jobs?state=odd", 422, "'state' passt nicht: erlaubt ist"),
    refused("GET", "/nothing/here", 404, "Diese Adresse gibt es hier nicht"),
    refused("PUT", "/api/cv/datasets", 405, "PUT ist hier nicht möglich; erlaubt: "),
    refused("POST", "/api/cv/upload", 422, "'file' fehlt. Senden Sie multipart/form-data"),
    refused("POST", "/api/cv/upload", 422, "Die Datei ist leer (0 Bytes)", **upload(b"")),
    refused("POST", "/api/cv/upload", 422, "weder ein ZIP-Archiv", **upload(b"nothing of the kind")),
    refused("POST", "/api/cv/upload", 422, "kein ZIP-Archiv, sondern ein PDF-Dokument", **upload(b"%PDF-1.7 something")),
    refused("POST", "/api/cv/upload", 422, "keine brauchbaren Bilder", **upload(zip_of(**{"a.txt": b"hello"}))),
    refused("POST", "/api/cv/upload", 422, "aus seinem Ordner", **upload(zip_of(**{"../a.png": b"x"}))),
    refused("POST", "/api/cv/train/start", 422, "Der Inhalt der Anfrage fehlt"),
    refused("POST", "/api/cv/train/start", 422, "kein gültiges JSON", content=b"{", headers={"Content-Type": "application/json"}),
    refused("POST", "/api/cv/train/start", 422, "'dataset_id' fehlt", json={}),
    refused("POST", "/api/cv/train/start", 422, "'num_epochs' passt nicht", json={"dataset_id": "ds-1", "num_epochs": -1}),
    refused("POST", "/api/cv/train/start", 422, "Ein Feld 'num_epoch' gibt es nicht. Meinten Sie", json={"dataset_id": "ds-1", "num_epoch": 1}),
    refused("POST", "/api/cv/train/start", 404, "gibt es nicht", json={"dataset_id": "none-such"}),
    refused("POST", "/api/cv/predict/none-such", 404, "weder ein Modell noch", **upload(b"x", "a.png")),
    refused("POST", "/api/tabular/upload", 422, "Die Datei ist leer", **upload(b"", "a.csv")),
    refused("POST", "/api/tabular/upload", 422, "nur eine Spalte", **upload(b"a\n1\n2\n", "a.csv")),
    refused("POST", "/api/tabular/upload", 422, "weder CSV noch Parquet, sondern ein PDF", **upload(b"%PDF-1.7 x", "a.csv")),
    refused("POST", "/api/cv/uploads", 412, "Tus-Resumable"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status", "words", "more"), REFUSALS)
def test_a_refusal_is_german_from_end_to_end(shared_client, method, path, status, words, more):
    headers = {**GERMAN, **more.get("headers", {})}
    answer = shared_client.request(method, path, **{**more, "headers": headers})
    body = answer.json()
    assert answer.status_code == status, body
    assert words in body["detail"]
    assert english_left(body["detail"]) == [], body["detail"]
    assert english_left(body["title"].lower()) == [], body["title"]
    assert [english_left(one["message"]) for one in body.get("errors", ())] == [[] for _ in body.get("errors", ())]
    assert answer.headers["content-language"] == "de"
    assert "Accept-Language" in answer.headers["vary"]
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_that_nothing_was_trained_yet_is_said_in_german(client):
    answer = client.post("/predict", headers=GERMAN, **upload(b"x", "a.png"))
    assert answer.status_code == 404
    assert "Es gibt noch kein Modell" in answer.json()["detail"]
    assert english_left(answer.json()["detail"]) == []


@pytest.mark.parametrize("header", [None, "en", "fr", ";;garbage;;", "*;q=0.1", "de;q=0"])
def test_who_does_not_ask_for_german_is_answered_in_english(shared_client, header):
    answer = shared_client.get("/api/cv/jobs/none-such", headers={} if header is None else {"Accept-Language": header})
    assert answer.json()["detail"].startswith("There is no job 'none-such'")
    assert answer.json()["title"] == "Not found"
    assert (answer.headers["content-language"], answer.headers["vary"]) == ("en", "Accept-Language")


def test_the_two_languages_do_not_stand_in_for_each_other(shared_client):
    said = [
        shared_client.get("/api/cv/jobs/none-such", headers=headers).json()["detail"] for headers in (GERMAN, {}) * 2
    ]
    assert said[0] == said[2] != said[1] == said[3]


def test_the_door_refuses_in_german(settings, make_app):
    strict = settings.model_copy(
        update={"api_keys": ["ada:secret-key"], "rate_limit": (Rate(1, 3600),), "allowed_hosts": ["testserver"]}
    )
    with TestClient(make_app(strict), raise_server_exceptions=False) as client:
        answers = [
            client.get("/api/cv/jobs", headers=GERMAN),
            client.get("/api/cv/jobs", headers=GERMAN),
            client.get("/api/cv/jobs", headers={**GERMAN, "Host": "evil.example"}),
            client.get("/api/cv/jobs", headers={**GERMAN, "X-Long": "x" * 70_000}),
        ]
    assert [answer.status_code for answer in answers] == [401, 429, 421, 429]
    for answer in answers:
        assert english_left(answer.json()["detail"]) == [], answer.json()
        assert answer.headers["content-language"] == "de"
    assert "Dieser Dienst verlangt einen API-Schlüssel" in answers[0].json()["detail"]
    assert answers[1].json()["title"] == "Zu viele Anfragen"


def test_a_bug_of_ours_is_said_in_german(client, services, monkeypatch):
    monkeypatch.setattr(services.queue, "get", lambda _: 1 / 0)
    answer = client.get("/api/cv/jobs/abc", headers=GERMAN)
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("Dem Dienst ist ein Fehler unterlaufen.")
    assert (answer.headers["content-language"], answer.headers["x-content-type-options"]) == ("de", "nosniff")


FAILED = (
    "The machine's memory was used up. Choose smaller networks or a smaller batch_size, end other programs, or take a "
    "machine with more memory; then start the job again."
)


def test_why_a_job_failed_is_stored_in_english_and_answered_in_german(client, services):
    job_id = services.queue.enqueue("train_images", {"message": "The disk"}).job_id
    services.queue.claim("w")
    services.queue.fail(job_id, FAILED, worker_id="w")
    said = client.get(f"/api/cv/jobs/{job_id}", headers=GERMAN).json()
    assert said["error"].startswith("Der Speicher der Maschine war aufgebraucht.")
    assert said["state"] == "failed"
    assert client.get(f"/api/cv/jobs/{job_id}").json()["error"] == FAILED == services.queue.get(job_id).error
    waited = client.get(f"/api/cv/jobs/{job_id}/results", headers=GERMAN).json()["detail"]
    assert waited.startswith(f"Auftrag '{job_id}' ist fehlgeschlagen und hat keine Ergebnisse: Der Speicher")


def test_why_a_network_was_skipped_and_the_notes_are_german(client, services, shapes_zip):
    dataset_id = client.post("/api/cv/upload", files={"file": ("shapes.zip", shapes_zip)}).json()["dataset_id"]
    reason = (
        "A refinement would take about 12 min; 30 s of the budget of 60 s are left for it. A larger time budget "
        "(time_budget_s) makes room."
    )
    rows = (
        LeaderboardRow(rank=1, name="resnet18", strategy="probe", status="ok", accuracy=0.9),
        LeaderboardRow(rank=2, name="The disk is full", strategy="probe", status="skipped", reason=reason),
    )
    notes = ("Only 12 test images: the scores are rough. More pictures make them sharper.",)
    record = results_record(dataset_id=dataset_id, leaderboard=rows, notes=notes, recipe={"message": "Not found"})
    services.catalog.publish(record, model_info(dataset_id=dataset_id))
    said = client.get(f"/api/cv/results/{dataset_id}", headers=GERMAN).json()
    assert said["leaderboard"][1]["reason"] == (
        "Eine Verfeinerung würde etwa 12 min dauern; von der Zeitvorgabe von 60 s ist dafür noch 30 s übrig. Mehr Zeit "
        "(time_budget_s) schafft Platz."
    )
    assert said["leaderboard"][1]["name"] == "The disk is full"
    assert said["recipe"] == {"message": "Not found"}
    assert said["notes"] == ["Nur 12 Testbilder: Die Werte sind grob. Mehr Bilder machen sie schärfer."]
    english = client.get(f"/api/cv/results/{dataset_id}").json()
    assert {**said, "leaderboard": 0, "notes": 0} == {**english, "leaderboard": 0, "notes": 0}, "nothing else differs"


def test_what_was_skipped_of_an_upload_is_german(client, shapes_zip):
    buffer = io.BytesIO(shapes_zip)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("shapes/circle/Not found.txt", b"x")
    answer = client.post("/api/cv/upload", files={"file": ("shapes.zip", buffer.getvalue())}, headers=GERMAN).json()
    reason = "kein Bild: '.txt' ist kein Format, das hier gelesen wird"
    assert answer["skipped"] == [SkippedFile(file="shapes/circle/Not found.txt", reason=reason).model_dump()]


def test_events_are_german_for_who_asks_and_english_for_others(client, services):
    job_id = services.queue.enqueue("train_images", {}).job_id
    services.queue.claim("w")
    services.queue.update_progress(
        job_id, Progress(stage="preparing", message="Dividing and decoding the images", progress=0.1), worker_id="w"
    )
    services.queue.finish(job_id, worker_id="w", message="Done.")

    def messages(headers):
        lines = client.get(f"/api/cv/jobs/{job_id}/events", headers=headers).text.splitlines()
        return [json.loads(line.removeprefix("data: "))["message"] for line in lines if line.startswith("data: ")]

    assert messages(GERMAN) == [
        "Wartet auf einen Worker.",
        "Beginnt.",
        "Bilder werden aufgeteilt und dekodiert",
        "Fertig.",
    ]
    assert messages({})[-1] == "Done."


def test_a_column_called_message_keeps_its_cells(client):
    table = "message,detail,answer\n" + "\n".join(f"Not found,The disk is full.,{n % 2}" for n in range(40))
    sent = client.post("/api/tabular/upload", files={"file": ("a.csv", table.encode())}, headers=GERMAN)
    assert sent.status_code == 201, sent.text
    body = client.get(f"/api/tabular/datasets/{sent.json()['dataset_id']}", headers=GERMAN).json()
    assert "Not found" in json.dumps(body)
    assert "Nicht gefunden" not in json.dumps(body)


def test_the_document_of_the_api_stays_english(shared_client):
    assert shared_client.get("/openapi.json", headers=GERMAN).content == shared_client.get("/openapi.json").content


def test_a_large_answer_is_whole(client, services):
    for _ in range(200):
        services.queue.enqueue("train_images", {"filler": "x" * 500})
    english = client.get("/api/cv/jobs?limit=200").json()
    german = client.get("/api/cv/jobs?limit=200", headers=GERMAN)
    assert len(german.content) > 64 * 1024
    assert [{**row, "message": 0} for row in german.json()] == [{**row, "message": 0} for row in english]
    assert {row["message"] for row in german.json()} == {"Wartet auf einen Worker."}
