"""What is uploaded never comes back as something that a browser runs."""

import io
import zipfile

import pytest
from PIL import Image

SCRIPT = b"<script>alert(document.domain)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">' + SCRIPT + b"</svg>"


def picture(number, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), (number * 20, 60, 90)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def hostile(client):
    """A dataset whose pictures carry a page behind their last byte, in their comments, or are one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(8):
            archive.writestr(f"a/{number}.jpg", picture(number, "JPEG", comment=SCRIPT) + SCRIPT)
            archive.writestr(f"b/{number}.gif", picture(number + 100, "GIF", comment=SCRIPT) + SCRIPT)
        archive.writestr("a/x.svg", SVG)
        archive.writestr("a/x.html", SCRIPT)
        archive.writestr("b/page.png", b"<!doctype html>" + SCRIPT)
        archive.writestr("b/x.svg.png", SVG)
    answer = client.post("/api/cv/upload", files={"file": ("x.zip", buffer.getvalue())})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_pages_among_pictures_are_left_out(hostile):
    assert hostile["total_images"] == 16
    skipped = {entry["file"].rpartition("/")[2] for entry in hostile["skipped"]}
    assert {"page.png", "x.svg.png"} <= skipped


@pytest.mark.parametrize("size", [16, 256, 2048])
def test_every_thumbnail_is_drawn_anew(client, hostile, size):
    address = f"/api/cv/datasets/{hostile['dataset_id']}/images"
    images = client.get(address).json()["images"]
    assert len(images) == 16
    for image in images:
        answer = client.get(f"{address}/{image['image_id']}", params={"size": size})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert b"script" not in answer.content


@pytest.mark.parametrize("name", ["x.svg", "x.html", "x.png"])
@pytest.mark.parametrize("path", ["/predict", "/api/cv/predict/md-1", "/api/cv/explain/md-1"])
def test_a_page_is_no_picture_whatever_it_is_called(shared_client, shared_model_id, path, name):
    for content in (SVG, SCRIPT):
        answer = shared_client.post(path, files={"file": (name, content, "image/svg+xml")})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert "<script>" not in answer.json()["detail"] or answer.headers["x-content-type-options"] == "nosniff"


def test_a_model_is_sent_to_be_kept_and_not_to_be_shown(shared_client, shared_model_id):
    answer = shared_client.get(f"/api/cv/models/{shared_model_id}/download")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
