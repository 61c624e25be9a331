"""A file that a setting names, opened for reading or refused in one line."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class NamedFile:
    """At a default path, there is no setting that names it."""

    path: Path | str
    name: str | None = None
    hint: str = ""
    """What to do if it cannot be read."""

    def __str__(self) -> str:
        return f"{self.name}={self.path}" if self.name else str(self.path)

    def open(self) -> BinaryIO:
        """Raises ValueError with the file and the problem."""
        try:
            # Without O_NONBLOCK, opening a FIFO would wait for a writer.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            file = os.fdopen(descriptor, "rb")
        except OSError as error:
            hint = f"; {self.hint}" if self.hint else ""
            raise ValueError(f"cannot read {self}: {error.strerror}{hint}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise ValueError(f"{self}: not a regular file")
        return file
