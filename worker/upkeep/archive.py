"""The archive of a prune: JSON lines, on disk before the records are deleted."""

import asyncio
import base64
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from shared.errors import ServiceUnavailable, UserError

_KINDS: Final = frozenset({"run", "letter", "host_action", "audit"})
"""Each line has one of these keys."""
_BLOCK: Final = 1 << 16


class FileArchive:
    """Appends to a file. If a write fails, the file is as before it."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    async def write(self, records: Sequence[str]) -> None:
        await asyncio.to_thread(self._write, records)

    def _write(self, records: Sequence[str]) -> None:
        size = os.fstat(self._fd).st_size
        try:
            data = memoryview(b"".join(line(record).encode() for record in records))
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, size)
            raise ServiceUnavailable(
                f"cannot write the archive {str(self._path)!r}: {error.strerror}"
            ) from None


@contextmanager
def file_archive(path: Path) -> Iterator[FileArchive]:
    """Open the archive at `path`, or create it for its owner alone (mode 0600).

    Raises UserError for a file that is no archive, is in use, or cannot be written.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise UserError(f"cannot open the archive {str(path)!r}: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UserError(f"cannot use {str(path)!r} as an archive: it is not a regular file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"the archive {str(path)!r} is in use by another prune") from None
        _require_archive(path, fd)
        _drop_torn_line(fd)
        _sync_directory(path)
        yield FileArchive(path, fd)
    finally:
        os.close(fd)


def line(record: str) -> str:
    """A line of the archive, from a record as Postgres returns it."""
    return json.dumps(_readable(json.loads(record))) + "\n"


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    for letter in [record, *record.get("letters", ())]:
        if "letter" in letter:
            del letter["letter"]["digest"]  # of the body
            _decode_body(letter["letter"])
            for action in letter["actions"]:
                _decode_body(action)
    for command in record.get("cancellations", ()):
        # Of open ones, which are not pruned.
        del command["message_header"], command["message_body"]
    return record


def _decode_body(record: dict[str, Any]) -> None:
    """Replace Postgres' hexadecimal form by text or, if it is not UTF-8, by Base64."""
    if record["body"] is None:
        return
    body = bytes.fromhex(record["body"].removeprefix("\\x"))
    try:
        record["body"], record["body_encoding"] = body.decode(), "utf-8"
    except UnicodeDecodeError:
        record["body"], record["body_encoding"] = base64.b64encode(body).decode(), "base64"


def _require_archive(path: Path, fd: int) -> None:
    """The first line tells whether it is one: nothing is appended to another file by mistake."""
    head = os.pread(fd, _BLOCK, 0)
    if not head:
        return
    # Of a first line that is longer, or was never finished, the beginning has to do.
    if not any(head.startswith(f'{{"{kind}":'.encode()) for kind in _KINDS):
        raise UserError(f"{str(path)!r} is not an archive of `cancel-worker prune`")


def _drop_torn_line(fd: int) -> None:
    """Remove what follows the last whole line: a prune was killed while it wrote.

    The records of that line were not deleted, because they are only once all are on disk.
    """
    size = os.fstat(fd).st_size
    at = size
    while at:
        start = max(0, at - _BLOCK)
        found = os.pread(fd, at - start, start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at < size:
        os.ftruncate(fd, at)


def _sync_directory(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
