"""`python -m tools.schemas`: dump the newest schema, and record the checksums of migrations.

With numbers of migrations: dump the schema after each of them instead.
"""

import argparse
import asyncio
import sys

from shared.postgres.migrate import known
from tools.errors import ToolError
from tools.schemas import checksums
from tools.schemas.dumps import dumped, migrate_to
from tools.schemas.folder import dump_file
from tools.services import Services, provide
from tools.services.databases import new_database


async def write(services: Services, number: int) -> None:
    async with new_database(services) as url:
        await migrate_to(url, number)
        dump_file(number).write_text(await dumped(url))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.schemas", description=__doc__)
    numbers = [migration.number for migration in known()]
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER")
    wanted = parser.parse_args().numbers or numbers[-1:]
    if unknown := [number for number in wanted if number not in numbers]:
        parser.error(f"there is no migration {unknown[0]}")
    try:
        checksums.record()
        with provide() as services:
            for number in wanted:
                asyncio.run(write(services, number))
    except ToolError as error:
        print(f"schemas: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
