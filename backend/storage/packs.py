"""How a folder's files become few large objects: packs, and the commit that lists what lies in them. Pure.

A pack is its files' bytes, one after the other; a commit says which files, in which order, of which size and digest.
50,000 images of 40 kB make 60 packs and one commit: 61 requests where a request an image would be 50,000. Neither ever
changes. A later commit's files stand above an earlier one's of the same path.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from backend.errors import UnavailableError

# Large enough that a request's 10-50 ms do not count beside its bytes, small enough for several in memory.
PACK_BYTES = 32 * 2**20
# Below such a folder lie the many files that only training needs; the others (lists, insights) are wanted by everybody.
BULK_FOLDER = "images"
LAST_FILES = ("dataset.json", "model.json")  # where one of these stands, readers take the folder for whole
COMMIT_FORMAT = 1


class StoredFile(NamedTuple):
    """A file of a folder. `path` is relative to it, with forward slashes; `digest` is SHA-256."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Pack:
    """One object and the files in it, in their order."""

    name: str
    files: tuple[StoredFile, ...]

    def offset(self, path: str) -> int:
        """Where a file begins in the object."""
        before = 0
        for file in self.files:
            if file.path == path:
                return before
            before += file.size
        raise KeyError(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one publication added to a folder, all of it visible at once."""

    commit_id: str
    tree: str
    packs: tuple[Pack, ...]
    format: int = COMMIT_FORMAT


Placed = dict[str, tuple[Pack, StoredFile, str]]  # by path: where a file lies, and which commit brought it


def is_bulk(path: str) -> bool:
    return BULK_FOLDER in PurePosixPath(path).parts[:-1]


def encode(commit: Commit) -> bytes:
    """The commit as an object."""
    packs = [
        {"name": pack.name, "files": [[file.path, file.size, file.digest] for file in pack.files]}
        for pack in commit.packs
    ]
    whole = {"format": commit.format, "commit_id": commit.commit_id, "tree": commit.tree, "packs": packs}
    return gzip.compress(json.dumps(whole, separators=(",", ":")).encode(), compresslevel=6, mtime=0)


def decode(data: bytes, *, tree: str) -> Commit:
    """Read a commit back.

    Raises:
        UnavailableError: it is damaged, of another folder, of a newer version, or names a place outside of the folder.
    """
    try:
        raw = json.loads(gzip.decompress(data))
        packs = tuple(
            Pack(
                name=pack["name"],
                files=tuple(StoredFile(path=path, size=size, digest=digest) for path, size, digest in pack["files"]),
            )
            for pack in raw["packs"]
        )
        commit = Commit(format=raw["format"], commit_id=raw["commit_id"], tree=raw["tree"], packs=packs)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"What the object storage holds of '{tree}' is damaged: {type(error).__name__}."
        ) from error
    if commit.format != COMMIT_FORMAT:
        raise UnavailableError(f"A newer Sightglass stored '{tree}' (format {commit.format}); update this one.")
    if commit.tree != tree or not all(_is_sound(file) for pack in packs for file in pack.files):
        raise UnavailableError(f"What the object storage holds of '{tree}' is not what was stored; nothing was read.")
    return commit


def union(commits: Iterable[Commit]) -> Placed:
    """All files of a folder."""
    found: Placed = {}
    for commit in commits:
        for pack in commit.packs:
            for file in pack.files:
                found[file.path] = (pack, file, commit.commit_id)
    return found


def batches(files: Sequence[tuple[str, int]], *, below: str = "") -> Iterator[list[tuple[str, int]]]:
    """Divide (path, size) into packs: images and the rest apart, each at most `PACK_BYTES` unless it is one file."""
    for bulk in (False, True):
        batch: list[tuple[str, int]] = []
        total = 0
        for path, size in files:
            if is_bulk(below + path) is not bulk:
                continue
            if batch and total + size > PACK_BYTES:
                yield batch
                batch, total = [], 0
            batch.append((path, size))
            total += size
        if batch:
            yield batch


def split(packed: Path, pack: Pack, wanted: set[str], into: Path) -> None:
    """Write the wanted files of a pack that lies on the disk below a folder.

    Raises:
        UnavailableError: a file is not what was stored.
    """
    with packed.open("rb") as source:
        for file in pack.files:
            if file.path not in wanted:
                source.seek(file.size, 1)
                continue
            target = into / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if _copy(source, target, file.size) != file.digest:
                raise damaged(file.path)


def damaged(path: str) -> UnavailableError:
    return UnavailableError(f"'{path}' came from the object storage otherwise than it was stored; try again.")


def _copy(source: object, target: Path, size: int) -> str:
    digest, left = hashlib.sha256(), size
    with target.open("wb") as file:
        while left > 0 and (part := source.read(min(left, 2**20))):  # type: ignore[attr-defined]
            digest.update(part)
            file.write(part)
            left -= len(part)
    return digest.hexdigest()


def _is_sound(file: StoredFile) -> bool:
    return isinstance(file.path, str) and isinstance(file.size, int) and file.size >= 0 and _stays_inside(file.path)


def _stays_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and not path.startswith("/")
        and not {"..", "."} & set(parts)
        and "\\" not in path
        and ":" not in path
    )


def pack_key(tree: str, name: str) -> str:
    return f"{tree}/packs/{name}"


def commit_key(tree: str, commit_id: str) -> str:
    return f"{tree}/commits/{commit_id}.json.gz"
