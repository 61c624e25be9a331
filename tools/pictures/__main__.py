"""`python -m tools.pictures [DIRECTORY]`: makes the pictures of the console in docs/ again."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from shared.tokens import Role
from tools.errors import ToolError
from tools.pictures.content import fill
from tools.pictures.shots import take
from tools.services import Services, provide
from tools.services.databases import new_database
from tools.support.chromium import browsing, find_chromium
from tools.support.system import System

_DOCS: Final = Path(__file__).parents[2] / "docs"


def say(line: str) -> None:
    print(f"pictures: {line}", file=sys.stderr, flush=True)


def main() -> int:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else _DOCS
    chromium = find_chromium()
    if chromium is None:
        say("no chromium (Debian, Ubuntu: apt-get install chromium)")
        return 2
    try:
        with provide(say) as services:
            asyncio.run(_make(services, chromium, directory))
    except ToolError as error:
        say(str(error))
        return 2
    return 0


async def _make(services: Services, chromium: Path, directory: Path) -> None:
    with tempfile.TemporaryDirectory() as path:
        async with new_database(services) as url:
            async with connected(
                DatabaseSettings.model_validate({"DATABASE_URL": url})
            ) as database:
                await migrate(database)
            system = System(url, services.amqp_url, Path(path))
            async with system.running(), browsing(chromium) as browser:
                program = await system.program("worker", "console", "--port", "0")
                ready = await program.event("console_ready")
                await fill(system, say)
                token = await system.token(role=Role.ADMIN, subject="olga")
                await take(browser, str(ready["url"]), token, directory, say)


if __name__ == "__main__":
    sys.exit(main())
