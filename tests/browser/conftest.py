"""The real product for a browser: `run_backend.py` and `streamlit run` as processes, and Chromium in front of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.environment import clean_environment
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Seconds. A start imports torch in the worker; on a busy machine with two cores that takes its time.
# The page speaks the browser's language: English, whatever this machine's is. A container's shared memory is often 64 MB,
# too little for a large page, whose tab would crash.
BROWSER_OPTIONS = ["--no-sandbox", "--lang=en-US", "--disable-dev-shm-usage"]
START_TIMEOUT = 240


class Product(NamedTuple):
    """Where the two halves run, and what the browser half has logged."""

    api_url: str
    page_url: str
    page_log: Path


def find_chromium() -> str | None:
    """SIGHTGLASS_CHROMIUM, or the first Chromium on the path."""
    named = os.environ.get("SIGHTGLASS_CHROMIUM")
    return named or next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium lies; without one the browser tests are left out, in CI they fail."""
    found = find_chromium()
    if found is None:
        reason = "no Chromium on the path (chromium, google-chrome); set SIGHTGLASS_CHROMIUM to where one lies"
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the browser tests: {reason}")
        pytest.skip(reason)
    return found


# A file's, not the session's: Playwright keeps an event loop running in this thread until it is closed, and tests of other
# files that come after it start loops of their own.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=60_000)  # a machine that trains on all its cores draws slowly
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=BROWSER_OPTIONS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def product(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Both halves on free ports, with a data folder of their own and without the network."""
    folder = tmp_path_factory.mktemp("product")
    api_port, page_port = free_port(), free_port()
    found = Product(f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{page_port}", folder / "page.log")
    environment = clean_environment() | {
        "SIGHTGLASS_DATA_DIR": str(folder / "data"),
        "SIGHTGLASS_OFFLINE": "1",
        "SIGHTGLASS_MLFLOW_TRACKING_URI": "off",
        "SIGHTGLASS_API_URL": found.api_url,
    }
    api = [sys.executable, "run_backend.py", "--port", str(api_port)]
    page = [sys.executable, "-m", "streamlit", "run", "frontend/app.py", "--server.headless=true"]
    page += [f"--server.port={page_port}"]
    started = [
        _start(api, folder / "api.log", environment),
        _start(page, found.page_log, environment),
    ]
    try:
        _wait_for(f"{found.api_url}/health", started[0], folder / "api.log")
        _wait_for(f"{found.page_url}/_stcore/health", started[1], found.page_log)
        yield found
    finally:
        for process in started:
            _stop(process)


@pytest.fixture
def page(browser: Browser, product: Product) -> Iterator[Page]:
    """A fresh browser profile at the start page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(120_000)
    opened = context.new_page()
    opened.goto(product.page_url)
    yield opened
    context.close()


def _start(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if httpx2.get(address, timeout=2).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    pytest.fail(f"{address} did not come up within {START_TIMEOUT} s:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """TERM, and KILL for the whole group where that is not enough: no process may outlive its test."""
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
