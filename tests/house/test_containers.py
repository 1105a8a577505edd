"""Dockerfile and Compose say what the code says. No engine runs here: they are read, not built."""

import re
from pathlib import Path

import pytest
import yaml

from backend.cli.app import COMMANDS
from backend.config import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
# Compose's own: they choose ports, folders and images, and no Sightglass reads them.
OF_COMPOSE = {
    "SIGHTGLASS_UI_API_KEY",
    "SIGHTGLASS_PUBLISH",
    "SIGHTGLASS_API_PORT",
    "SIGHTGLASS_UI_PORT",
    "SIGHTGLASS_WEIGHTS_FOLDER",
    "SIGHTGLASS_IMAGE_TAG",
    "SIGHTGLASS_SHM_SIZE",
    "SIGHTGLASS_GPUS",
}
SETTINGS = {f"SIGHTGLASS_{name.upper()}" for name in Settings.model_fields}


def compose(name="docker-compose.yml"):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def stages():
    """Target -> its lines."""
    parts = re.split(r"^FROM \S+ AS (\w+)\n", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands_in(text):
    """Every `sightglass ...` of exec-form lists."""
    return re.findall(r'"sightglass", "(\w+)"', text)


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.cuda.yml"])
def test_compose_sets_only_settings_that_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"SIGHTGLASS_[A-Z0-9_]+", text))
    known = SETTINGS | OF_COMPOSE
    assert named - known == set()


def test_the_dockerfile_and_the_example_name_only_settings_that_exist():
    named = set(re.findall(r"SIGHTGLASS_[A-Z0-9_]+", DOCKERFILE + EXAMPLE))
    assert named - SETTINGS - OF_COMPOSE == set()


def test_every_variable_of_the_example_is_read_by_compose():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
    assert len(named) > 10
    assert [name for name in named if f"${{{name}" not in text] == []


def test_every_service_builds_a_stage_that_exists_and_has_a_health_check():
    for name, service in compose()["services"].items():
        if "build" in service:
            assert service["build"]["target"] in stages(), name
            assert "HEALTHCHECK" in stages()[service["build"]["target"]], name
        elif name != "make-bucket":
            assert "healthcheck" in service, name


def test_every_command_of_a_stage_exists():
    known = {command.__name__ for command in COMMANDS}
    named = commands_in(DOCKERFILE)
    assert {"serve", "worker", "ui"} <= set(named)
    assert set(named) - known == set()


def test_without_a_profile_there_are_api_worker_and_ui():
    plain = {name for name, service in compose()["services"].items() if "profiles" not in service}
    assert plain == {"api", "worker", "ui"}
    profiles = {profile for service in compose()["services"].values() for profile in service.get("profiles", ())}
    assert profiles == {"postgres", "s3", "mlflow"}


def test_what_a_service_waits_for_exists_and_a_profile_s_may_be_absent():
    services = compose()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            same_profile = services[other].get("profiles") in (None, service.get("profiles"))
            assert same_profile or how["required"] is False, f"{name} cannot start without {other}"


def test_nothing_is_published_beyond_this_machine_unless_asked():
    for name, service in compose()["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("${SIGHTGLASS_PUBLISH:-127.0.0.1}:"), name


def test_keys_are_required_with_a_sentence():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.search(r"\$\{SIGHTGLASS_API_KEYS:\?Set SIGHTGLASS_API_KEYS in \.env", text)
    assert re.search(r"\$\{SIGHTGLASS_UI_API_KEY:\?Set SIGHTGLASS_UI_API_KEY in \.env", text)


def test_whoever_runs_is_not_root():
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
    final = DOCKERFILE.split("AS sightglass\n")[1]
    assert final.index("USER 10001") < final.index("AS api")


def test_what_is_copied_exists_and_the_builder_gets_it():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in lines for source in line.split()[:-1]]
    assert {"backend", "frontend", "requirements/base.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        top = source.split("/")[0]
        assert re.search(rf"^!{re.escape(top)}", ignored, re.MULTILINE), f"{source} is ignored by .dockerignore"


def test_python_and_uv_are_those_of_the_project():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"UV_VERSION=(\S+)", DOCKERFILE)[1] == re.search(r"UV_VERSION := (\S+)", makefile)[1]
    python = re.search(r"PYTHON_VERSION=(\S+)", DOCKERFILE)[1]
    assert f"--python-version {python}" in makefile


def test_without_cuda_no_package_of_cuda_is_left_and_torch_is():
    pattern = re.search(r"grep -vE '([^']+)' requirements/base\.txt", DOCKERFILE)[1]
    lines = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not re.search(pattern, line)]
    names = {line.split("==")[0] for line in kept if re.match(r"\w", line)}
    assert {"torch", "torchvision", "numpy"} <= names
    assert [name for name in names if name.startswith(("nvidia", "cuda", "triton"))] == []
