"""The checksums of the migrations: a database that has applied one never sees it changed."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from shared.postgres.migrate import known
from tools.errors import ToolError
from tools.schemas.folder import SCHEMAS

FILE: Final = SCHEMAS / "migrations.sha256"
"""In the format of sha256sum."""


class MigrationChanged(ToolError):
    """A migration is not the one that was recorded."""


def current() -> dict[str, str]:
    """The checksum of each migration, by file name."""
    return {
        f"{migration.name}.sql": sha256(migration.sql.encode()).hexdigest() for migration in known()
    }


def recorded(file: Path = FILE) -> dict[str, str]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: checksum for checksum, name in (line.split() for line in lines)}


def record(file: Path = FILE) -> None:
    """Add the migrations that are new. Raises MigrationChanged."""
    checksums = current()
    for name, checksum in recorded(file).items():
        if checksums.get(name) != checksum:
            raise MigrationChanged(f"{name} has changed: write a new migration instead")
    file.write_text("".join(f"{checksum}  {name}\n" for name, checksum in checksums.items()))
