"""`sightglass models` and `audit` against the real API in this process."""

import dataclasses
import json

import httpx2
import pytest
import service_fakes
from inline_pool import InlinePool
from service_fakes import dataset_info, model_info, results_record
from starlette.testclient import TestClient

from backend.cli import models as module
from backend.cli.app import run
from backend.cli.service import Service
from backend.contracts.table import TableColumn, TableMember, TableModelInfo, TableResults, TableTestScores
from backend.main import VERBS, create_app


@pytest.fixture
def services(settings, monkeypatch):
    """The commands reach a real application, without a port between."""
    app = create_app(settings, verbs=dataclasses.replace(VERBS, warm_up=service_fakes.do_nothing), pool=InlinePool())
    with TestClient(app, raise_server_exceptions=False) as client:

        def pass_on(request):
            path = request.url.raw_path.decode()
            answer = client.request(request.method, path, content=request.read(), headers=dict(request.headers))
            return httpx2.Response(answer.status_code, content=answer.content)

        monkeypatch.setattr(
            module, "service_at", lambda *_: Service("http://127.0.0.1", transport=httpx2.MockTransport(pass_on))
        )
        services = app.state.services
        services.catalog.add_dataset(dataset_info(name="pets"))
        for number in (1, 2):
            metrics = {"test": results_record().test.model_dump(mode="json")}
            model = model_info(f"md-{number}", job_id=f"job-{number}", metrics=metrics)
            services.catalog.publish(results_record(f"job-{number}", model_id=f"md-{number}"), model)
        yield services


def test_models_are_listed_newest_last(services, capsys):
    assert run(["models", "promote", "md-1"]) == 0
    capsys.readouterr()
    assert run(["models", "list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["model", "state", "network", "test", "95%", "F1", "dataset", "MB", "made"]
    assert [line[:5] for line in lines[1:]] == [
        ["md-1", "promoted", "resnet18", "90.0%", "50-100%"],
        ["md-2", "candidate", "resnet18", "90.0%", "50-100%"],
    ]
    assert run(["models", "list", "--state", "archived"]) == 0
    assert capsys.readouterr().out == "No model.\n"
    assert run(["models", "list", "--state", "candidate", "--json"]) == 0
    assert [model["model_id"] for model in json.loads(capsys.readouterr().out)] == ["md-2"]


def test_models_of_tables_are_listed_shown_and_promoted_too(services, capsys):
    column = TableColumn(name="age", kind="number")
    model = TableModelInfo(
        model_id="md-t",
        dataset_id="ds-t",
        job_id="job-t",
        name="Linear model",
        target="buys",
        task="classification",
        metric="accuracy",
        score=0.912,
        score_ci95=(0.87, 0.94),
        columns=(column,),
        members=(TableMember(name="linear", title="Linear model", tried="C 1.0", file="member_1.skops", weight=1.0),),
    )
    test = TableTestScores(rows=20, score=0.912, score_ci95=(0.87, 0.94), baseline=0.6)
    results = TableResults(
        job_id="job-t",
        dataset_id="ds-t",
        model_id="md-t",
        target="buys",
        task="classification",
        metric="accuracy",
        best_model="linear",
        leaderboard=(),
        test=test,
        used_columns=("age",),
        split={},
        recipe={},
        total_seconds=1.0,
    )
    services.tables.publish(results, model)
    assert run(["models", "list"]) == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("md-t") :][:3] == ["md-t", "candidate", "buys"]
    assert run(["models", "promote", "md-t"]) == 0
    assert capsys.readouterr().out == "md-t answers for ds-t now.\n"
    assert run(["models", "show", "md-t"]) == 0
    assert "predicts  buys of table ds-t" in capsys.readouterr().out
    assert run(["models", "list", "--json"]) == 0
    assert {one["model_id"] for one in json.loads(capsys.readouterr().out)} == {"md-1", "md-2", "md-t"}
    assert run(["models", "delete", "md-t", "--yes"]) != 0  # promoted


def test_one_model_is_shown_with_where_a_rollback_leads(services, capsys):
    for name in ("md-1", "md-2"):
        run(["models", "promote", name])
    capsys.readouterr()
    assert run(["models", "show", "md-2"]) == 0
    shown = capsys.readouterr().out
    assert "md-2: resnet18, promoted since " in shown
    assert "pets (ds-1), version 1" in shown
    assert "2 train, 1 validation, 1 test" in shown
    assert "brings back md-1" in shown
    assert "0 predictions since" in shown
    assert run(["models", "show", "md-2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drift"]["verdict"] == "no_yardstick"


def test_states_change_and_say_so(services, capsys):
    steps = [
        (["promote", "md-1"], "md-1 answers for ds-1 and POST /predict now."),
        (["promote", "md-2"], "md-2 answers for ds-1 and POST /predict now."),
        (["rollback", "ds-1"], "md-1 answers for ds-1 again."),
        (["archive", "md-2"], "md-2 is archived; it answers by its own id alone."),
        (["restore", "md-2"], "md-2 is a candidate."),
        (["delete", "md-2", "--yes"], "md-2 is gone."),
    ]
    for arguments, said in steps:
        assert run(["models", *arguments]) == 0
        assert capsys.readouterr().out.strip() == said
    assert [model.model_id for model in services.registry.models()] == ["md-1"]


@pytest.mark.parametrize(
    "arguments", [["archive", "md-1"], ["rollback", "md-2"], ["show", "md-none"], ["list", "--state", "x"]]
)
def test_a_refusal_is_one_sentence_and_exit_code_2(services, capsys, arguments):
    run(["models", "promote", "md-1"])
    capsys.readouterr()
    assert run(["models", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_deleting_asks_first(services, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    monkeypatch.setattr("typer.confirm", refuse)
    assert run(["models", "delete", "md-2"]) == 130
    assert services.registry.model("md-2")


def refuse(*_, abort):
    from typer.exceptions import Abort

    assert abort
    raise Abort


def test_the_audit_log_is_read_page_by_page(services, capsys):
    assert run(["audit"]) == 0
    assert capsys.readouterr().out == "Nothing has been written down.\n"
    for name in ("md-1", "md-2"):
        run(["models", "promote", name])
    run(["models", "rollback", "md-2"])
    capsys.readouterr()
    assert run(["audit", "--limit", "2"]) == 0
    said = capsys.readouterr().out
    assert said.index("promoted") < said.index("rolled_back")
    assert said.endswith("There is more: --before 2\n")
    assert run(["audit", "--before", "2", "--json"]) == 0
    assert [entry["subject"] for entry in json.loads(capsys.readouterr().out)["entries"]] == ["md-1"]
