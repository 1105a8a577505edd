import httpx2
import pytest

from backend.api.plain_form import boundary_of, only_file

FILE = b"PNG\r\n\x1a\n--B\r\n\r\n--"
NAMED = b'Content-Disposition: form-data; name="file"; filename="a.png"'
HEADERS = NAMED + b"\r\nContent-Type: image/png"


def form(headers=HEADERS, content=b"one--B\r\n", end=b"\r\n--B--\r\n"):
    return b"--B\r\n" + headers + b"\r\n\r\n" + content + end


@pytest.mark.parametrize(
    "body",
    [
        form(),
        form(end=b"\r\n--B--"),
        form(headers=b'content-disposition: form-data; name="file"; filename="a b (1).jpg"'),
    ],
)
def test_one_file_is_taken_out(body):
    assert only_file(body, b"B") == b"one--B\r\n"


@pytest.mark.parametrize("content", [b"", b"\r\n", b"x" * 70_000], ids=["empty", "line", "long"])
def test_whatever_bytes_it_has(content):
    assert only_file(form(content=content), b"B") == content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B--\r\n",
        form()[:-4],
        form(end=b""),
        form() + b"trailing",
        b"preamble\r\n" + form(),
        form(content=b"one\r\n" + form()),
        form(content=b'one\r\n--B\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n1'),
        form(content=b"one\r\n--Bee"),
        form(headers=NAMED.replace(b'"file"', b'"other"')),
        form(headers=b'Content-Disposition: form-data; name="file"'),
        form(headers=NAMED.replace(b"a.png", b"")),
        form(headers=NAMED.replace(b"a.png", b'a\\"b')),
        form(headers=b"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a"),
        form(headers=HEADERS + b"\r\nContent-Transfer-Encoding: base64"),
        form(headers=b"Content-Type: image/png\r\n" + NAMED),
        form(headers=b"Content-Type: image/png"),
        form(headers=b"x" * 5000),
    ],
)
def test_anything_else_is_left_to_the_framework(body):
    assert only_file(body, b"B") is None


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'multipart/form-data; boundary="a b"', None),
        (b'Multipart/Form-Data;boundary="----WebKit-1_2"', b"----WebKit-1_2"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; charset=utf-8; boundary=abc", None),
        (b"multipart/mixed; boundary=abc", None),
        (b"application/json", None),
    ],
)
def test_the_mark_between_parts(content_type, boundary):
    assert boundary_of(content_type) == boundary


def test_what_a_client_library_sends_goes_the_short_way():
    request = httpx2.Request("POST", "http://x/predict", files={"file": ("cat.png", FILE, "image/png")})
    boundary = boundary_of(request.headers["content-type"].encode())
    assert boundary is not None
    assert only_file(request.read(), boundary) == FILE
