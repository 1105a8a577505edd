"""How long the gallery takes for another page at 50,000 images, in real Chromium: from the click to the last picture.

    python -m benchmarks.gallery --archive cifar.zip    an archive made by benchmarks.ingest; else one is made

The real service and the real page, in processes of their own. A page counts as there when every picture of the gallery
is another than before and is drawn. Beside it: what the API alone takes for the page's list and for its thumbnails, one
after another on one connection. Needs Chromium (SIGHTGLASS_CHROMIUM, or on the path) and Playwright.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.ingest import cpu_s, make_archive
from benchmarks.parts import ROOT
from benchmarks.ports import free_port
from benchmarks.service import running_service, upload

IMAGES_A_PAGE = 24
# Sources of the pictures below the gallery's heading, none while one of them is not drawn yet.
DRAWN = """() => {
  const heading = [...document.querySelectorAll('h3')].find(one => one.innerText.trim() === 'All images');
  if (!heading) return [];
  const shown = [...document.querySelectorAll('[data-testid="stImage"] img')]
    .filter(one => heading.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING);
  return shown.every(one => one.complete && one.naturalWidth > 0) ? shown.map(one => one.src) : [];
}"""
CHANGED = f"before => {{ const now = ({DRAWN})(); return now.length && now.every(one => !before.includes(one)); }}"


@contextmanager
def running_page(api_url: str, log: Path) -> Iterator[str]:
    """The address of a page that speaks to this API."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "streamlit", "run", "frontend/app.py", "--server.headless=true"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, f"--server.port={port}"],
            cwd=ROOT,
            env={**os.environ, "SIGHTGLASS_API_URL": api_url},
            stdout=file,
            stderr=file,
        )
    try:
        _wait_for(f"{url}/_stcore/health", log)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def page_changes(url: str, chromium: str, *, pages: int) -> tuple[list[float], float]:
    """Seconds from a click on the gallery's next page to its last picture; and processor seconds of all of our
    processes (page, API, workers; the browser too) for one, which other work on the machine does not change.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--lang=en-US"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, locale="en-US")
        page.set_default_timeout(120_000)
        page.goto(url)
        page.wait_for_function(f"() => ({DRAWN})().length === {IMAGES_A_PAGE}")
        pagination = page.get_by_test_id("stPagination").last
        found, used = [], cpu_s()
        for number in range(2, pages + 2):
            pagination.scroll_into_view_if_needed()
            before = page.evaluate(DRAWN)
            started = time.perf_counter()
            pagination.get_by_text(str(number), exact=True).click()
            page.wait_for_function(CHANGED, arg=before, polling=20)
            found.append(time.perf_counter() - started)
        used = (cpu_s() - used) / pages
        browser.close()
    return found, used


def of_api(client: httpx2.Client, dataset_id: str, *, pages: int) -> tuple[list[float], list[float]]:
    """Seconds for the list of a page, and for its thumbnails; of pages that the browser does not open."""
    listed, pictured = [], []
    for number in range(100, 100 + pages):
        started = time.perf_counter()
        where = {"offset": number * IMAGES_A_PAGE, "limit": IMAGES_A_PAGE}
        images = client.get(f"/api/cv/datasets/{dataset_id}/images", params=where).raise_for_status().json()["images"]
        listed.append(time.perf_counter() - started)
        for one in images:
            client.get(f"/api/cv/datasets/{dataset_id}/images/{one['image_id']}?size=192").raise_for_status()
        pictured.append(time.perf_counter() - started - listed[-1])
    return listed, pictured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--archive", type=Path, help="keep the archive here, or take the one that lies here")
    parser.add_argument("--pages", type=int, default=4)
    chosen = parser.parse_args()
    chromium = os.environ.get("SIGHTGLASS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("There is no Chromium on the path; set SIGHTGLASS_CHROMIUM to where one lies.")
    with tempfile.TemporaryDirectory() as folder, running_service() as client:
        archive = chosen.archive or Path(folder) / "cifar.zip"
        if not archive.exists():
            make_archive(archive, images=chosen.images, side=32)
        dataset_id = upload(client, archive)
        _wait_until_checked(client, dataset_id)
        listed, pictured = of_api(client, dataset_id, pages=chosen.pages)
        with running_page(str(client.base_url), Path(folder) / "page.log") as url:
            found, used = page_changes(f"{url}/?tab=insights&dataset={dataset_id}", chromium, pages=chosen.pages)
    told = {"page_change_s": found, "api_list_s": listed, "api_thumbnails_s": pictured}
    medians = {f"{name}_median": round(float(np.median(values)), 3) for name, values in told.items()}
    medians["page_change_processor_s"] = round(used, 3)
    print(json.dumps({name: [round(one, 3) for one in values] for name, values in told.items()} | medians, indent=2))


def _wait_until_checked(client: httpx2.Client, dataset_id: str) -> None:
    """The check of quality takes a core for seconds, which a person who browses does not have beside them."""
    for _ in range(600):
        if client.get(f"/api/cv/datasets/{dataset_id}/insights").raise_for_status().json()["quality"] == "checked":
            return
        time.sleep(0.5)
    raise SystemExit("The dataset was not checked within five minutes.")


def _wait_for(address: str, log: Path) -> None:
    for _ in range(600):
        try:
            if httpx2.get(address, timeout=2).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise SystemExit(f"The page did not come up:\n{log.read_text(errors='replace')[-3000:]}")


if __name__ == "__main__":
    main()
