"""What a member of an archive is, and which members are worth a look. It opens nothing and knows nothing of images.

A member's name is text for people and labels. It is never used as a path: see `backend.data.scan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from backend.contracts import SkippedFile
from backend.data.names import clean_name

ARCHIVE_SUFFIXES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
LITTER_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", "icon", ".localized"})
LITTER_FOLDERS = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", ".trashes", ".spotlight-v100", ".fseventsd", ".appledouble"}
)


class Member(NamedTuple):
    """A file of the source. `name` is cleaned, with forward slashes; `handle` is what the source reads it by."""

    name: str
    size: int
    handle: Any

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.name.split("/"))

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot."""
        stem, dot, end = self.name.rpartition("/")[2].rpartition(".")
        return f".{end}".lower() if dot and stem.strip(".") else ""


class Reader(Protocol):
    """Reads members in any order, from several threads; what has a path travels to other processes as well."""

    def read(self, member: Member) -> bytes:
        """Return the file's bytes, never more than it declared.

        Raises:
            ArchiveError: the file is damaged.
        """
        ...


@runtime_checkable
class HoldingReader(Reader, Protocol):
    """A reader that is quicker when it knows what will be asked for next."""

    def hold(self, members: Sequence[Member]) -> None:
        """These members are read next, most likely in this order."""
        ...


class MemberSource(Protocol):
    """Where files come from: an archive, or a folder."""

    @property
    def shared_reader(self) -> Reader | None:
        """What other processes may read the members by; None where only this one can, best in the members' order."""
        ...

    @property
    def members(self) -> Sequence[Member]: ...

    @property
    def skipped(self) -> Sequence[SkippedFile]: ...

    def read(self, member: Member) -> bytes:
        """Return the file's bytes.

        Raises:
            ArchiveError: the file is damaged.
        """
        ...


def why_not_member(member: Member, *, max_bytes: int) -> str | None:
    """Why a file is no member of a dataset, whatever it holds; None where it may be one."""
    if member.suffix in ARCHIVE_SUFFIXES:
        return "an archive inside the archive is not unpacked; put its folders into the outer one"
    if member.size > max_bytes:
        return f"{member.size} bytes is over the limit of {max_bytes} bytes for one file"
    return None


def clean_path(raw: str) -> str:
    """Return a member's path for people: cleaned parts, forward slashes, no empty parts and no '.'."""
    folder, _, base = raw.replace("\\", "/").rpartition("/")
    cleaned = _clean_folder(folder) if folder else ""
    if base in {"", "."}:
        return cleaned
    name = clean_name(base) or "unnamed"
    return f"{cleaned}/{name}" if cleaned else name


@lru_cache(maxsize=256)  # thousands of files lie in few folders
def _clean_folder(raw: str) -> str:
    return "/".join(clean_name(part) or "unnamed" for part in raw.split("/") if part not in {"", "."})


def is_litter(name: str) -> bool:
    """Whether macOS, Windows or a file server left the file; nobody misses these, so they are not even listed."""
    folder, _, base = name.lower().rpartition("/")
    return base in LITTER_FILES or base.startswith("._") or _holds_litter(folder)


@lru_cache(maxsize=256)
def _holds_litter(folder: str) -> bool:
    return not LITTER_FOLDERS.isdisjoint(folder.split("/"))
