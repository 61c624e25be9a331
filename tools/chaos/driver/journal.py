"""The driver's own log: one JSON object per line, written as things happen."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

NAME: Final = "chaos.jsonl"
Entry = dict[str, Any]


class Journal:
    """Each entry has `kind` and `at`, seconds since the epoch on the clock of Postgres."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Line by line, so that a driver that is killed leaves all that it did.
        self._file = path.open("a", buffering=1)

    def write(self, kind: str, **fields: Any) -> None:
        entry = {"kind": kind, "at": datetime.now(UTC).timestamp(), **fields}
        self._file.write(json.dumps(entry, default=str) + "\n")

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[Entry]:
    with path.open() as lines:
        return [json.loads(line) for line in lines]
