"""Where the dumps are. Those that are there are the released schemas."""

from pathlib import Path
from typing import Final

SCHEMAS: Final = Path(__file__).parents[2] / "tests/integration/postgres/schemas"


def dump_file(number: int) -> Path:
    """The dump of the schema whose newest migration is `number`."""
    return SCHEMAS / f"{number:04}.sql"


def released() -> list[int]:
    """The number of the newest migration of each released schema, in order."""
    return sorted(int(file.stem) for file in SCHEMAS.glob("*.sql"))
