"""The form that nearly every caller sends, read in one go: one small file named `file`, and nothing else.

Anything unusual is left to the framework's parser, which knows all forms and takes ten times as long. It never guesses:
what it does not know is None, never an error.
"""

from __future__ import annotations

import re

# What browsers, curl, requests and httpx write. A quote or a backslash in a name is escaped in different ways.
_CONTENT_TYPE = re.compile(rb'multipart/form-data; ?boundary="?([A-Za-z0-9\'()+_./:=?-]{1,70})"?', re.IGNORECASE)
_DISPOSITION = re.compile(rb'content-disposition: form-data; name="file"; filename="[^"\\\r\n]+"', re.IGNORECASE)
_TYPE = re.compile(rb"content-type: [^\r\n]{1,200}", re.IGNORECASE)
END_OF_HEADERS = b"\r\n\r\n"


def boundary_of(content_type: bytes) -> bytes | None:
    """The mark between the parts of such a form."""
    found = _CONTENT_TYPE.fullmatch(content_type)
    return found[1] if found else None


def only_file(body: bytes, boundary: bytes) -> bytes | None:
    """The bytes of the file, where the body is one file named `file` and nothing else."""
    start = b"--" + boundary + b"\r\n"
    end = b"\r\n--" + boundary + b"--"
    headers_end = body.find(END_OF_HEADERS, 0, 2048)
    if not body.startswith(start) or headers_end < 0:
        return None
    lines = body[len(start) : headers_end].split(b"\r\n")
    if not 1 <= len(lines) <= 2 or not all(_known(line) for line in lines) or not _DISPOSITION.fullmatch(lines[0]):
        return None
    first = headers_end + len(END_OF_HEADERS)
    last = body.find(end[:-2], first - 2)  # the next mark, whether it is the last or not
    if last < first or body[last:] not in (end, end + b"\r\n"):
        return None
    return body[first:last]


def _known(line: bytes) -> bool:
    return _DISPOSITION.fullmatch(line) is not None or _TYPE.fullmatch(line) is not None
