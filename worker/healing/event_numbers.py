"""Numbers of events that were published, and that a failover gives out once more."""

import structlog
from asyncpg import PostgresError

from shared.aio.retry import until_available
from shared.postgres import sql
from shared.postgres.database import Database

log = structlog.get_logger(__name__)


async def pass_published_numbers(database: Database, latest: int) -> None:
    """Let the next event have a number above `latest`.

    Consumers ignore events whose number they have seen.
    """

    async def give_out() -> int:
        (row,) = await database.fetch(sql.healing.PASS_EVENT_NUMBERS, latest)
        passed: int = row["passed"]
        return passed

    try:
        passed = await until_available(give_out)
    except PostgresError as error:  # as without the privilege; what was undone matters more
        log.warning("event_numbers_not_passed", latest=latest, error=str(error))
    else:
        if passed:
            log.info("event_numbers_passed", latest=latest, count=passed)
