"""`sightglass table`: a file in, a model out, answers out; what does not fit is one sentence and exit 2."""

import csv
import json

import pytest

from backend.cli.app import run


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.csv"
    rows = [f"{('Ulm', 'Bonn')[n % 2]},{20 + n % 50},{('yes', 'no')[n % 2]}" for n in range(60)]
    path.write_text("\n".join(["city,age,buys", *rows]), encoding="utf-8")
    return path


@pytest.fixture
def trained(people, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["table", "train", str(people), "buys", "--out", str(out), "--model", "linear", "--time-budget", "3"]
    assert run([*arguments, "--json"]) == 0
    return out, json.loads(capsys.readouterr().out)


def test_a_file_becomes_a_model_that_answers_a_file(trained, people, tmp_path, capsys):
    out, results = trained
    assert results["test"]["score"] == 1.0
    assert sorted(path.name for path in out.iterdir()) == ["model"]
    target = tmp_path / "answers.csv"
    assert run(["table", "predict", str(out), str(people), "--output", str(target)]) == 0
    assert "60 rows answered" in capsys.readouterr().out
    with target.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(row["prediction"] == row["buys"] for row in rows)


def test_a_model_that_is_there_is_not_replaced(trained, people, capsys):
    out, _ = trained
    assert (
        run(["table", "train", str(people), "buys", "--out", str(out), "--model", "linear", "--time-budget", "3"]) == 2
    )
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "{people}", "bys"], "Did you mean 'buys'"),
        (["train", "{people}", "buys", "--model", "forrest"], "Did you mean 'forest'"),
        (["train", "{people}", "buys", "--time-budget", "0"], "time_budget_s"),
        (["train", "{people}", "buys", "--task", "guess"], "task"),
        (["train", "nothing.csv", "buys"], "There is no file"),
        (["predict", "nowhere", "{people}"], "no model of a table"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_exit_2(people, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run(["table", *(argument.replace("{people}", str(people)) for argument in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) in (["people.csv"], ["people.csv", "table_run"])
