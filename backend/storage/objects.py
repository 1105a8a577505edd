"""Folders in an object storage, so that any machine of one database has them: the seam is `folders.py`.

The data folder is a working copy: what is missing is fetched, whole or not at all, and checked against its digests.

In the storage nothing ever changes: packs and commits are written under new names (`packs.py`), and a folder is what
the database's rows say (`commits.py`). So files are always there before the row that makes them visible, and two
machines that publish at once lose nothing. A folder's files are taken to be immutable below `images/`; all others are
compared by digest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from backend.contracts import RunControl
from backend.errors import UnavailableError
from backend.storage.bucket import Bucket
from backend.storage.commits import CommitLog, add_commit
from backend.storage.files import atomic_write, merged_directory, new_id, remove_tree
from backend.storage.folders import Reveal
from backend.storage.packs import (
    Commit,
    Pack,
    Placed,
    StoredFile,
    batches,
    commit_key,
    damaged,
    decode,
    encode,
    is_bulk,
    pack_key,
    split,
    union,
)
from backend.storage.patience import patiently
from backend.storage.working_copy import MARKS, digest_of, files_of, has, is_marked, lacks, mark, order_of

log = logging.getLogger(__name__)

# Four requests at once fill a line of 1 Gbit/s, and hold at most four packs in memory.
REQUESTS = 4
MOST_KNOWN = 4
# Read in one step, so that digest and bytes are those of one moment: small files are replaced while others publish
# (corrections, insights). Those above are weights, archives and packs of images, which never change.
SMALL_BYTES = 32 * 2**20


class StoredFolders:
    """The data folder is a working copy of an object storage. Thread-safe."""

    def __init__(self, data_dir: Path, bucket: Bucket, commits: CommitLog) -> None:
        self._data_dir = data_dir.resolve()
        self._bucket = bucket
        self._commits = commits
        self._guard = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._known: OrderedDict[tuple[str, ...], Placed] = OrderedDict()

    def fetch(self, folder: Path, *, bulk: bool = True, control: RunControl | None = None) -> Path:
        tree = self._tree(folder)

        def bring() -> None:
            ids = self._commits.of(tree)
            if lacks(folder, ids, bulk=bulk):
                with self._turn(tree):
                    if lacks(folder, ids, bulk=bulk):
                        self._bring(folder, tree, ids, bulk=bulk)

        patiently(bring, control)
        return folder

    def fetch_file(self, folder: Path, path: str) -> Path:
        target = folder / path
        if target.is_file():
            return target
        tree = self._tree(folder)
        found = self._placed(folder, tree, self._commits.of(tree)).get(path)
        if found is None:
            return target
        pack, file, _ = found
        start = pack.offset(path)
        data = self._bucket.get_bytes(pack_key(tree, pack.name), start=start, end=start + file.size)
        if hashlib.sha256(data).hexdigest() != file.digest:
            raise damaged(path)
        atomic_write(target, data)
        return target

    def publish(self, folder: Path, *, control: RunControl | None = None) -> None:
        tree = self._tree(folder)

        def send() -> None:
            with self._turn(tree):
                commit = self._upload(folder, tree)
                if commit is not None:
                    self._commits.add(tree, commit.commit_id)
                    mark(folder, commit, bulk=True)

        patiently(send, control)

    def adopt(self, folder: Path) -> None:
        if folder.is_dir() and not self._commits.of(self._tree(folder)):
            self.publish(folder)

    def stage(self, source: Path, folder: Path, *, at: str) -> Reveal:
        tree = self._tree(folder)
        commit = self._send_all(source, tree, files_of(source), at=f"{at}/")

        def reveal(connection: Any) -> None:
            add_commit(connection, tree, commit.commit_id)
            mark(folder, commit, bulk=True)

        return reveal

    def remove(self, folder: Path) -> None:
        tree = self._tree(folder)
        self._commits.remove(tree)
        remove_tree(folder)
        self._remove_objects(tree)

    def clear_removed(self) -> None:
        for tree in self._commits.removed():
            remove_tree(self._data_dir / tree)
        for tree in self._commits.removed(pending=True):
            self._remove_objects(tree)

    def check(self) -> None:
        self._bucket.check()

    def close(self) -> None:
        self._commits.close()

    def _remove_objects(self, tree: str) -> None:
        try:
            self._bucket.remove(tree)
        except UnavailableError as error:  # nobody sees the objects any more; `clear_removed` comes back to them
            log.warning("objects not removed yet", extra={"tree": tree, "reason": error.detail})
        else:
            self._commits.removal_done(tree)

    # -- up

    def _upload(self, folder: Path, tree: str) -> Commit | None:
        """Store what no commit has yet; None where there is nothing."""
        known = self._placed(folder, tree, self._commits.of(tree))
        digests = {path: file.digest for path, (_, file, _) in known.items()}
        new = [
            (path, size)
            for path, size in files_of(folder)
            if path not in digests or (not is_bulk(path) and digest_of(folder / path) != digests[path])
        ]
        return self._send_all(folder, tree, new) if new else None

    def _send_all(self, source: Path, tree: str, files: list[tuple[str, int]], *, at: str = "") -> Commit:
        """Store files as packs and a commit, which nobody sees yet; in the folder they lie below `at`."""
        with ThreadPoolExecutor(REQUESTS) as pool:
            packs = tuple(pool.map(lambda batch: self._send(source, tree, batch, at), batches(files, below=at)))
        commit = Commit(commit_id=new_id("commit"), tree=tree, packs=packs)
        self._bucket.put_bytes(commit_key(tree, commit.commit_id), encode(commit))
        log.info("stored", extra={"tree": tree, "files": len(files), "objects": len(packs) + 1})
        return commit

    def _send(self, folder: Path, tree: str, batch: list[tuple[str, int]], at: str) -> Pack:
        name = new_id("pack")
        key = pack_key(tree, name)
        if len(batch) == 1 and batch[0][1] > SMALL_BYTES:  # a large one: not through memory
            path = batch[0][0]
            source = folder / path
            file = StoredFile(path=at + path, size=source.stat().st_size, digest=digest_of(source))
            self._bucket.put_file(key, source)
            return Pack(name=name, files=(file,))
        contents = [(at + path, (folder / path).read_bytes()) for path, _ in batch]
        self._bucket.put_bytes(key, b"".join(data for _, data in contents))
        files = (
            StoredFile(path=path, size=len(data), digest=hashlib.sha256(data).hexdigest()) for path, data in contents
        )
        return Pack(name=name, files=tuple(files))

    # -- down

    def _bring(self, folder: Path, tree: str, ids: list[str], *, bulk: bool) -> None:
        commits = [self._commit(folder, tree, one) for one in ids]
        wanted: dict[str, tuple[Pack, set[str]]] = {}
        for path, (pack, file, commit_id) in union(commits).items():
            if not is_bulk(path):
                needed = not is_marked(folder, commit_id, bulk=False)
            else:
                needed = bulk and not has(folder / path, file.size)
            if needed:
                wanted.setdefault(pack.name, (pack, set()))[1].add(path)
        with merged_directory(folder, order=order_of) as staging:
            with ThreadPoolExecutor(REQUESTS) as pool:
                list(pool.map(lambda entry: self._receive(tree, entry[0], entry[1], staging), wanted.values()))
            for commit in commits:
                mark(staging, commit, bulk=bulk)
        log.info("fetched", extra={"tree": tree, "objects": len(wanted), "bulk": bulk})

    def _receive(self, tree: str, pack: Pack, paths: set[str], into: Path) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".pack-", dir=into)
        os.close(descriptor)
        packed = Path(name)
        try:
            self._bucket.get_file(pack_key(tree, pack.name), packed)
            split(packed, pack, paths, into)
        finally:
            packed.unlink(missing_ok=True)

    def _commit(self, folder: Path, tree: str, commit_id: str) -> Commit:
        """A commit, from the working copy where it was read before."""
        try:
            known = (folder / MARKS / f"{commit_id}.gz").read_bytes()
        except (FileNotFoundError, NotADirectoryError):  # never read here, or the folder was removed meanwhile
            known = self._bucket.get_bytes(commit_key(tree, commit_id))
        return decode(known, tree=tree)

    def _placed(self, folder: Path, tree: str, ids: list[str]) -> Placed:
        """Where each file of a folder is stored; the last few are kept, as reading 50,000 lines takes half a second."""
        key = (tree, *ids)
        with self._guard:
            found = self._known.get(key)
        if found is None:
            found = union(self._commit(folder, tree, one) for one in ids)
            with self._guard:
                self._known[key] = found
                while len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
        return found

    def _tree(self, folder: Path) -> str:
        return folder.resolve().relative_to(self._data_dir).as_posix()

    def _turn(self, tree: str) -> threading.Lock:
        with self._guard:
            return self._turns.setdefault(tree, threading.Lock())
