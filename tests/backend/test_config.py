"""Settings come from SIGHTGLASS_* alone, and a bad value stops the start."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.config import Settings, available_cores


def test_defaults_serve_loopback_only_without_keys():
    settings = Settings()
    assert (settings.host, settings.port, settings.api_keys) == ("127.0.0.1", 8000, ())


def test_a_variable_sets_its_field(monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_PORT", "9000")
    monkeypatch.setenv("SIGHTGLASS_OFFLINE", "1")
    settings = Settings()
    assert settings.port == 9000
    assert settings.offline is True


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_PORT", "")
    assert Settings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "many"),
        ("HUB_TIMEOUT_S", "0"),
        ("LOG_LEVEL", "loud"),
        ("TORCH_THREADS", "-1"),
        ("OFFLINE", "maybe"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_the_field(monkeypatch, name, value):
    monkeypatch.setenv(f"SIGHTGLASS_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert refused.value.errors()[0]["loc"] == (name.lower(),)


def test_keys_are_split_at_commas_and_trimmed(monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_API_KEYS", " one, two,,")
    assert Settings().api_keys == ("one", "two")


def test_databases_lie_in_the_data_folder_unless_named(tmp_path):
    settings = Settings(data_dir=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path / 'sightglass.db'}"
    assert settings.resolved_mlflow_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    named = Settings(database_url="sqlite:///elsewhere.db", mlflow_tracking_uri="http://mlflow:5000")
    assert named.resolved_database_url == "sqlite:///elsewhere.db"
    assert named.resolved_mlflow_uri == "http://mlflow:5000"


def test_off_writes_no_runs():
    assert Settings(mlflow_tracking_uri="off").resolved_mlflow_uri is None


def test_every_folder_lies_below_the_data_folder():
    settings = Settings(data_dir=Path("somewhere"))
    folders = [settings.datasets_dir, settings.models_dir, settings.jobs_dir, settings.cache_dir]
    assert all(folder.parent == Path("somewhere") for folder in folders)
    assert len(set(folders)) == 4


def test_settings_do_not_change_after_the_start():
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_every_field_says_what_it_is_for():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_threads_are_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.delenv("SIGHTGLASS_TORCH_THREADS", raising=False)  # one worker of several has it set
    assert Settings().torch_threads == available_cores() >= 1


@pytest.mark.parametrize(
    "origin", ["*", "https://*", "lab.example", "https://lab.example/", "null", "file://x", "https://a b"]
)
def test_an_origin_that_is_none_stops_the_start(origin):
    with pytest.raises(ValidationError, match="is no origin"):
        Settings(cors_origins=origin)


def test_origins_hosts_and_proxies_are_split_at_commas(monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_CORS_ORIGINS", "https://Lab.example, http://localhost:3000,http://[::1]:3000")
    monkeypatch.setenv("SIGHTGLASS_ALLOWED_HOSTS", "lab.example,")
    monkeypatch.setenv("SIGHTGLASS_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    settings = Settings()
    assert settings.cors_origins == ("https://lab.example", "http://localhost:3000", "http://[::1]:3000")
    assert settings.allowed_hosts == ("lab.example",)
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.300", "10.0.0.0/40"])
def test_a_proxy_that_is_no_address_stops_the_start(proxy):
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies=proxy)
