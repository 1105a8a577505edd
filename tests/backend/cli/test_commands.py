"""Every command line either works or says in one sentence why not: exit code 2, no traceback."""

import json

import pytest

from backend.cli import app as application
from backend.cli.app import COMMANDS, run
from backend.errors import InputError, UnavailableError


@pytest.fixture
def refused(capsys):
    """Run a command line that must be refused; returns its one sentence."""

    def check(*arguments):
        assert run([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        assert captured.err.count("\n") == 1
        return captured.err.strip()

    return check


def test_help_names_every_command(capsys):
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert [command.__name__ for command in COMMANDS if command.__name__ not in text] == []


def test_nothing_typed_shows_the_help(capsys):
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_command_has_help_and_says_what_it_is_for(command, capsys):
    assert run([command.__name__, "--help"]) == 0
    assert command.__doc__.splitlines()[0].split(";")[0] in " ".join(capsys.readouterr().out.split())


def test_the_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == "0.1.0\n"


def test_an_unknown_command_suggests_the_nearest(refused):
    assert "Did you mean 'train'?" in refused("trian")


def test_a_missing_argument_is_named(refused):
    assert refused("train").startswith("Missing argument 'ZIP'.")


def test_a_value_of_the_wrong_kind_is_named(refused):
    assert "'--epochs'" in refused("train", "x.zip", "--epochs", "two")


def test_a_missing_archive_is_named(refused, tmp_path):
    assert "There is no" in refused("train", tmp_path / "nope.zip")


def test_a_file_that_is_no_archive_is_refused(refused, tmp_path):
    text = tmp_path / "letter.zip"
    text.write_text("Dear reader")
    message = refused("train", text, "--out", tmp_path / "out")
    assert "ZIP" in message


def test_a_text_that_is_no_expert_setting_is_refused(refused, tmp_path, make_zip):
    message = refused("train", make_zip({"circle": 3, "square": 3}), "fast", "--out", tmp_path / "out")
    assert message == "'fast' is no expert setting; write KEY=VALUE, such as finetune.backbone_lr=1e-4."


def test_a_bad_environment_is_named(refused, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_PORT", "many")
    assert refused("doctor").startswith("SIGHTGLASS_PORT is 'many': ")


def test_a_folder_without_a_model_is_refused(refused, tmp_path, make_zip):
    assert "There is no model in" in refused("predict", "cat.png", "--model", tmp_path)
    assert "There is no model in" in refused(
        "evaluate", tmp_path, make_zip({"circle": 3, "square": 3}), "--out", tmp_path / "report"
    )


def test_an_out_that_is_a_file_is_refused(refused, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    assert "cannot be a folder" in refused("predict", "cat.png", "--model", tmp_path, "--out", taken)


def boom(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("Send a ZIP."), 2, "Send a ZIP."),
        (InputError("Two\n  lines."), 2, "Two lines."),
        (InputError("[red]no markup[/red]"), 2, "[red]no markup[/red]"),
        (UnavailableError("It did not answer."), 1, "It did not answer."),
        (FileExistsError(17, "File exists", "model"), 2, "model: File exists."),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
    ids=str,
)
def test_an_error_becomes_one_line_and_an_exit_code(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr(application, "app", lambda *_, **__: boom(error)())
    assert run(["anything"]) == code
    assert capsys.readouterr().err == f"{said}\n"


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(application, "app", lambda *_, **__: boom(ZeroDivisionError())())
    with pytest.raises(ZeroDivisionError):
        run(["anything"])


def test_doctor_prints_json_and_exits_1_on_a_problem(monkeypatch, capsys):
    from backend.workflows import diagnose as diagnosing

    finding = diagnosing.Finding(subject="disk", state="problem", detail="full")
    monkeypatch.setattr(diagnosing, "diagnose", lambda settings, *, quick: [finding])
    assert run(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [{"subject": "disk", "state": "problem", "detail": "full"}]
    assert run(["doctor"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.split() == ["problem", "disk:", "full"]
    assert last == "1 in the way, 0 to know of."


def test_serving_others_without_a_key_is_refused_before_anything_starts(capsys):
    assert run(["serve", "--host", "0.0.0.0"]) == 2
    assert "SIGHTGLASS_API_KEYS" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["", "other", "ada:s3cret"])
def test_a_page_that_could_not_talk_to_the_api_is_not_started(monkeypatch, capsys, key):
    monkeypatch.setenv("SIGHTGLASS_API_KEYS", "ada:s3cret,second")
    monkeypatch.setenv("SIGHTGLASS_API_KEY", key)
    assert run(["serve", "--ui"]) == 2
    assert "SIGHTGLASS_API_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_an_executor_that_cannot_work_is_refused_before_anything_starts(command, refused, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_EXECUTOR", "ray")
    monkeypatch.setenv("SIGHTGLASS_RAY_ADDRESS", "nonsense")
    assert "nonsense" in refused(command) or "Ray is not installed" in refused(command)


def test_an_address_of_the_api_that_is_none_is_refused(refused):
    assert "http://host:8000" in refused("ui", "--api", "api:8000")


def test_the_browser_half_becomes_streamlit_with_the_api_s_address(monkeypatch):
    from backend.cli import ui as module

    became = []
    monkeypatch.setattr(module.os, "chdir", became.append)
    monkeypatch.setattr(module.os, "execve", lambda *call: became.append(call))
    assert run(["ui", "--api", "http://api:8000", "--host", "0.0.0.0", "--port", "8600"]) == 0
    folder, (program, arguments, environment) = became
    assert (folder / ".streamlit" / "config.toml").is_file()
    assert arguments[0] == program
    assert arguments[arguments.index("--server.port") + 1] == "8600"
    assert arguments[arguments.index("--server.address") + 1] == "0.0.0.0"
    assert environment["SIGHTGLASS_API_URL"] == "http://api:8000"


def test_a_worker_s_health_is_that_of_this_host_alone(tmp_path, monkeypatch, capsys):
    import socket

    from backend.config import Settings
    from backend.jobs.presence import Presence, worker_prefix
    from backend.storage.database import Database

    monkeypatch.setenv("SIGHTGLASS_DATA_DIR", str(tmp_path))
    database = Database(Settings().resolved_database_url)
    database.migrate()
    presence = Presence(database)
    presence.sign(f"{worker_prefix('another-host')}1-w")
    assert run(["worker", "--check"]) == 1
    assert "No worker of" in capsys.readouterr().err
    presence.sign(f"{worker_prefix(socket.gethostname())}1-w")
    database.close()
    assert run(["worker", "--check"]) == 0
    assert "was heard of" in capsys.readouterr().out
