import json
import subprocess
import sys

import pytest

from backend.config import Settings
from backend.errors import InputError
from backend.main import _run_server, check_exposure, prepare

HEAVY = ("torch", "torchvision", "timm", "mlflow", "sklearn", "ray", "pandas", "matplotlib", "streamlit")


def test_the_apis_process_loads_no_heavy_library(tmp_path):
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "import backend.main\n"
        "from backend.config import Settings\n"
        "app = backend.main.create_app(Settings(data_dir=Path(sys.argv[1])))\n"
        "app.openapi()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data")], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_needs_no_key(host):
    check_exposure(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_address_open_to_others_needs_a_key(host):
    with pytest.raises(InputError, match="SIGHTGLASS_API_KEYS"):
        check_exposure(Settings(host=host))
    check_exposure(Settings(host=host, api_keys=("key",)))


def test_preparing_makes_folders_and_tables_and_may_be_done_again(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    prepare(settings)
    prepare(settings)
    assert settings.datasets_dir.is_dir()
    assert (tmp_path / "data" / "sightglass.db").is_file()


def test_every_route_documents_its_problems(app):
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)


@pytest.mark.parametrize(("proxies", "believed"), [((), False), (("10.0.0.0/8",), True)])
def test_forwarded_headers_are_believed_from_named_proxies_alone(tmp_path, monkeypatch, proxies, believed):
    asked = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **options: asked.update(options))
    _run_server(Settings(data_dir=tmp_path / "data", trusted_proxies=proxies), reload=False)
    assert asked["proxy_headers"] is believed
    assert asked["forwarded_allow_ips"] == list(proxies)
    assert asked["server_header"] is False
