"""A folder on this machine as a source of members: for the CLI, notebooks and the service, by an archive's rules.

Links are not followed, so that a folder never yields files from elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from backend.contracts import SkippedFile
from backend.data.archive import ArchiveLimits
from backend.data.members import Member, Reader, clean_path, is_litter, why_not_member
from backend.data.names import shown
from backend.errors import ArchiveError, TooLargeError


class FileReader:
    """Reads members that are files, never more than was found when they were listed. A link is not followed."""

    def read(self, member: Member) -> bytes:
        """Return the file's bytes.

        Raises:
            ArchiveError: the file cannot be read, or has changed meanwhile.
        """
        try:
            descriptor = os.open(member.handle, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(member.size + 1)
        except OSError as error:
            raise ArchiveError(f"'{shown(member.name)}' cannot be read: {error.strerror or error}.") from error
        if len(data) != member.size:
            raise ArchiveError(f"'{shown(member.name)}' was changed while it was read; import it again.")
        return data


class Folder:
    """All files below a folder, sorted by name."""

    def __init__(self, root: Path, *, limits: ArchiveLimits | None = None) -> None:
        self._limits = limits or ArchiveLimits()
        self.members: list[Member] = []
        self.skipped: list[SkippedFile] = []
        for path in _files(root):
            self._add(root, path)

    @property
    def shared_reader(self) -> Reader | None:
        return FileReader()

    def read(self, member: Member) -> bytes:
        """Return the file's bytes; as `FileReader`."""
        return FileReader().read(member)

    def _add(self, root: Path, path: Path) -> None:
        name = clean_path(path.relative_to(root.parent).as_posix())
        if is_litter(name):
            return
        if path.is_symlink() or not path.is_file():
            self.skipped.append(SkippedFile(file=shown(name), reason="a link or a special file, which is not followed"))
            return
        member = Member(name=name, size=path.stat().st_size, handle=path)
        reason = why_not_member(member, max_bytes=self._limits.max_member_bytes)
        if reason:
            self.skipped.append(SkippedFile(file=shown(name), reason=reason))
            return
        self.members.append(member)
        if len(self.members) > self._limits.max_files:
            raise TooLargeError(f"'{root}' holds more than {self._limits.max_files} files; import it in parts.")


def _files(root: Path) -> list[Path]:
    found = [Path(folder) / name for folder, _, names in os.walk(root, followlinks=False) for name in names]
    return sorted(found)
