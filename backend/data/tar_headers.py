"""The headers of a TAR, one after the other: ustar, GNU long names, PAX paths and sizes. It reads no contents.

Formats: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".
Every number is bounded before it is used: a size is at least 0, a name at most `MAX_NAME_BYTES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 512
MAX_NAME_BYTES = 64 * 1024
# Headers that only say something of the next one; more in a row than a path, a size and a comment is an attack.
MAX_EXTENSIONS = 16
# "D" is an index that GNU tar writes for incremental backups, "V" a volume's label, "S" a file with holes.
FILE_TYPES = frozenset({"0", "\0", "7"})
LINK_TYPES = frozenset({"1", "2"})
FOLDER_TYPE = "5"
LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = "L", "K", "x", "g"
CHECKSUM_AT, CHECKSUM_END = 148, 156


class TarError(ValueError):
    """What is read is no TAR, or a damaged one."""


class Stream(Protocol):
    """Goes forwards only; `position` counts bytes from the start."""

    position: int

    def read(self, count: int) -> bytes: ...

    def skip(self, count: int) -> None: ...


@dataclass(frozen=True)
class TarHeader:
    """One entry. `offset` is where its `size` bytes begin."""

    name: str
    kind: str
    size: int
    offset: int

    @staticmethod
    def is_one(block: bytes) -> bool:
        """Whether 512 bytes are a header, by their checksum; a block of zeros, the end, is none."""
        if len(block) < BLOCK or not any(block):
            return False
        try:
            declared = _number(block[CHECKSUM_AT:CHECKSUM_END])
        except TarError:
            return False
        return declared == sum(block) - sum(block[CHECKSUM_AT:CHECKSUM_END]) + 8 * ord(" ")


def read_headers(stream: Stream) -> Iterator[TarHeader]:
    """Yield each entry's header; contents are skipped. Ends at a block of zeros or at the end of the stream.

    Raises:
        TarError: a block is no header, or says what cannot be.
        EOFError: the stream ends within an entry.
    """
    said: dict[str, str] = {}
    extensions = 0
    while block := stream.read(BLOCK):
        if not any(block):
            return
        if not TarHeader.is_one(block):
            raise TarError(f"no header where one should be, {stream.position - len(block)} bytes in")
        kind, size = chr(block[156]), _number(block[124:136])
        if kind in (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL):
            extensions += 1
            if extensions > MAX_EXTENSIONS:
                raise TarError(f"more than {MAX_EXTENSIONS} extensions of one entry")
            _extend(said, kind, _contents(stream, size))
            continue
        if "size" in said:
            size = _decimal(said["size"])
        name = said.get("path") or _short_name(block)
        # what older tar programs wrote for a folder
        kind = FOLDER_TYPE if kind in FILE_TYPES and name.endswith("/") else kind
        yield TarHeader(name=name, kind=kind, size=size, offset=stream.position)
        stream.skip(-(-size // BLOCK) * BLOCK if _has_contents(kind) else 0)
        said, extensions = {}, 0


def _has_contents(kind: str) -> bool:
    return kind not in LINK_TYPES and kind not in "3456"


def _extend(said: dict[str, str], kind: str, contents: bytes) -> None:
    if kind == LONG_NAME:
        said["path"] = _text(contents.split(b"\0", 1)[0])
    elif kind == PAX:
        said.update(_pax(contents))


def _contents(stream: Stream, size: int) -> bytes:
    if size > MAX_NAME_BYTES:
        raise TarError(f"an extension of {size} bytes; at most {MAX_NAME_BYTES} are read")
    data = stream.read(-(-size // BLOCK) * BLOCK)
    if len(data) < size:
        raise EOFError("the archive ends within a header")
    return data[:size]


def _pax(contents: bytes) -> dict[str, str]:
    """The records `<length> <key>=<value>` that count here: path and size."""
    found: dict[str, str] = {}
    while contents:
        length_text, space, _ = contents.partition(b" ")
        if not space or not length_text.isdigit() or len(length_text) > 8:
            break
        length = int(length_text)
        if length <= len(length_text) + 1 or length > len(contents):
            raise TarError("a PAX record of a wrong length")
        key, _, value = contents[len(length_text) + 1 : length].partition(b"=")
        if key in (b"path", b"size"):
            found[key.decode()] = _text(value.rstrip(b"\n"))
        elif key.startswith(b"GNU.sparse."):
            raise TarError("a file with holes (sparse); pack without --sparse")
        contents = contents[length:]
    return found


def _short_name(block: bytes) -> str:
    name = _text(block[:100].split(b"\0", 1)[0])
    if block[257:263] != b"ustar\0":  # GNU keeps other things in the place of the prefix
        return name
    prefix = _text(block[345:500].split(b"\0", 1)[0])
    return f"{prefix}/{name}" if prefix else name


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 where the first bit is set; never negative."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise TarError("a negative or enormous number")
        value = int.from_bytes(field[1:], "big")
        if value > 2**48:
            raise TarError("an enormous number")
        return value
    text = field.split(b"\0", 1)[0].strip()
    if not text:
        return 0
    if not all(byte in b"01234567" for byte in text):
        raise TarError("a number that is none")
    return int(text, 8)


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise TarError("a size that is no number")
    return int(text)
