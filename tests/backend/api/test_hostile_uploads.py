"""Hostile archives over HTTP, whole and in pieces: a dataset or a problem, never a 5xx, and nothing is left behind."""

from __future__ import annotations

import io
import zipfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
CASES = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)
NAMES = st.one_of(
    st.text(max_size=30), st.sampled_from(["../../x.zip", "C:\\x.zip", "a" * 300 + ".tar.gz", ".zip", ""])
)


def damaged(data: bytes, edits, cut: float) -> bytes:
    changed = bytearray(data)
    for place, value in edits:
        changed[int(place * len(changed))] = value
    return bytes(changed[: int(cut * len(changed))])


@CASES
@given(edits=EDITS, cut=st.sampled_from([1.0, 1.0, 0.99, 0.3, 0.0]), name=NAMES)
def test_no_upload_ends_in_a_5xx(shared_client, shapes_zip, edits, cut, name):
    settings_used = shared_client.app.state.services.settings
    filename = name.encode("utf-8", "replace").decode().replace("\r", "").replace("\n", "") or "x"
    answer = shared_client.post("/api/cv/upload", files={"file": (filename, damaged(shapes_zip, edits, cut))})
    assert answer.status_code < 500, answer.text
    if answer.status_code == 201:
        shared_client.delete(f"/api/cv/datasets/{answer.json()['dataset_id']}")
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert not [path for path in settings_used.uploads_dir.iterdir() if path.name.startswith(".tmp")]


@CASES
@given(
    offset=st.one_of(st.integers(-5, 40), st.sampled_from(["", "x", "9" * 40, "1.0"])),
    length=st.one_of(st.integers(-2, 60), st.sampled_from(["", "two", "9" * 40])),
    body=st.binary(max_size=50),
    metadata=st.one_of(
        st.sampled_from(["", "filename", "filename ====", "name YQ==,filename Yi56aXA="]), st.text(max_size=20)
    ),
)
def test_no_piece_ends_in_a_5xx(shared_client, offset, length, body, metadata):
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata.encode("utf-8", "replace")}
    headers = {key: value for key, value in headers.items() if key != "Content-Type"}
    begun = shared_client.post("/api/cv/uploads", headers=headers)
    assert begun.status_code in (201, 400, 413), begun.text
    if begun.status_code != 201:
        return
    place = begun.headers["Location"]
    answer = shared_client.patch(place, content=body, headers={**TUS, "Upload-Offset": str(offset)})
    assert answer.status_code in (204, 400, 409, 413), answer.text
    true = int(shared_client.head(place, headers=TUS).headers["Upload-Offset"])
    assert 0 <= true <= int(length)
    shared_client.delete(place, headers=TUS)


def test_a_member_that_leads_out_writes_nothing(shared_client, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../../../../../tmp/evil.png", b"x")
    answer = shared_client.post("/api/cv/upload", files={"file": ("x.zip", file.getvalue())})
    assert answer.status_code == 422
    assert "leads out" in answer.json()["detail"]
