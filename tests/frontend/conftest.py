"""The stand-in service on a real port, and the whole page under Streamlit's AppTest against it."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from frontend.client import Client

# Tests are no package; the stand-in beside this file is imported by its own name.
sys.path.insert(0, str(Path(__file__).parent))

from stand_in_api import RunningStandIn, Service

APP = Path(__file__).resolve().parents[2] / "frontend" / "app.py"
Page = Callable[..., AppTest]


@pytest.fixture(scope="session")
def _running() -> Iterator[RunningStandIn]:
    with RunningStandIn() as running:
        yield running


@pytest.fixture
def service(_running: RunningStandIn) -> Service:
    """The stand-in's state, empty."""
    _running.service.reset()
    return _running.service


@pytest.fixture
def api(_running: RunningStandIn, service: Service) -> Iterator[Client]:
    client = Client(_running.url)
    yield client
    client.close()


@pytest.fixture
def open_page(_running: RunningStandIn, service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Open the page at a URL: `open_page(tab="train", dataset="ds-...")`."""
    monkeypatch.setenv("SIGHTGLASS_API_URL", _running.url)
    # AppTest looks through the metadata of every installed package for custom components, anew for each run: 0.3 s of
    # 0.32 s (Streamlit 1.67). The page has none.
    monkeypatch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list)

    def open_at(**query: str) -> AppTest:
        page = AppTest.from_file(APP, default_timeout=120)
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    yield open_at
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "#0072B2").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(picture: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as members:
        for label in ("circle", "square"):
            members.writestr(f"{label}/1.png", picture)
        members.writestr("notes.txt", "hello")
    return buffer.getvalue()
