"""The log of a server: what it says now, and its last lines for a failure."""

from pathlib import Path

from tools.services.sandbox import log_tail


class ServerLog:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        """How many bytes are old."""

    def forget(self) -> None:
        """What is there is old."""
        self._read = self.path.stat().st_size if self.path.exists() else 0

    def says(self, text: str) -> bool:
        """Whether `text` is there, in what is new."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        wanted = text.encode()
        # The end may be the beginning of what is looked for.
        self._read += max(len(new) - len(wanted), 0)
        return wanted in new

    def tail(self) -> str:
        return log_tail(self.path)
