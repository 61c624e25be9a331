"""Reads passwords from files, and warns of files that jobs may read.

A file is read again for each connection, so that a changed password needs no restart.
"""

import stat
from pathlib import Path
from typing import Final

from shared.deferred_logs import get_logger
from shared.services.named_file import NamedFile

log = get_logger(__name__)

_LONGEST: Final = 4096
"""Bytes. Whatever is longer is another file."""


def read_password(file: NamedFile) -> str:
    """The password in a file of one line, without the newline at its end.

    Raises ValueError with the file and the problem, but nothing of the content.
    """
    with file.open() as opened:
        content = opened.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"{file}: too large for a password")
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    if not password:
        raise ValueError(f"{file}: empty")
    if any(ord(character) < 32 for character in password):
        raise ValueError(f"{file}: must have one line, with the password alone")
    return password


def warn_if_others_may_read(file: NamedFile) -> None:
    """Log a warning if every user of this machine, and so every job, may read the file."""
    path = Path(file.path)
    try:
        readable = bool(path.stat().st_mode & stat.S_IROTH) and _others_may_pass(path)
    except OSError:
        return  # whoever reads it reports that
    if readable:
        log.warning("secret_file_readable", setting=file.name, path=str(path))


def _others_may_pass(path: Path) -> bool:
    """Whether no directory above keeps others out, as that of a unit's credentials does."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
