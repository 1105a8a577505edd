import subprocess
import sys

import pytest

from backend.errors import NotFoundError, UnavailableError
from backend.storage.bucket import Bucket


@pytest.fixture(params=["s3", "file"])
def bucket(request, tmp_path):
    if request.param == "file":
        return Bucket(f"file://{tmp_path}/store")
    return Bucket(request.getfixturevalue("storage_url"))


def test_objects_come_back_as_they_went_in(bucket, tmp_path):
    (tmp_path / "in").write_bytes(b"0123456789" * 100)
    bucket.put_bytes("a/one", b"")
    bucket.put_file("a/two", tmp_path / "in")
    bucket.get_file("a/two", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert bucket.get_bytes("a/one") == b""
    assert bucket.get_bytes("a/two", start=3, end=7) == b"3456"


def test_what_is_not_there_is_not_found(bucket, tmp_path):
    with pytest.raises(NotFoundError, match="none"):
        bucket.get_bytes("none")
    with pytest.raises(NotFoundError, match="none"):
        bucket.get_file("none", tmp_path / "out")
    bucket.remove("none")


def test_removing_takes_all_below_and_nothing_beside(bucket):
    for key in ("a/b/1", "a/b/2", "a/bc"):
        bucket.put_bytes(key, b"x")
    bucket.remove("a/b")
    with pytest.raises(NotFoundError):
        bucket.get_bytes("a/b/1")
    assert bucket.get_bytes("a/bc") == b"x"


def test_a_sign_of_life_needs_the_right_to_write(bucket):
    bucket.check()
    bucket.check()


def test_a_bucket_that_is_not_there_is_said(storage_url):
    with pytest.raises(UnavailableError, match="s3://no-such-bucket"):
        Bucket("s3://no-such-bucket/x").check()


def test_an_unknown_protocol_names_the_setting():
    with pytest.raises(UnavailableError, match=r"SIGHTGLASS_STORAGE_URL.*'gopher'"):
        Bucket("gopher://user:secret@host/x").check()


def test_the_address_is_shown_without_its_secrets():
    assert Bucket("sftp://ada:secret@host/x?key=1").name == "sftp://host/x"


def test_nothing_is_loaded_before_it_is_needed():
    code = (
        "import sys, backend.main; print([m for m in ('fsspec', 's3fs', 'aiobotocore', 'psycopg') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
