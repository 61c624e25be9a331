"""Learning of a commit the moment it happens, at the same price for all that are measured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import asyncpg

_CHANNEL = "bench_canceled"
# Once a commit that notifies is in, the listener is told. Such commits take turns, so this is for
# measuring one at a time.
_TRIGGER = f"""
    CREATE OR REPLACE FUNCTION {_CHANNEL}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('{_CHANNEL}', NEW.run_id::text);
        RETURN NULL;
    END $$;
    CREATE OR REPLACE TRIGGER {_CHANNEL} AFTER UPDATE OF status ON runs
        FOR EACH ROW WHEN (NEW.status = 'canceled') EXECUTE FUNCTION {_CHANNEL}()
"""
_NO_TRIGGER = f"DROP TRIGGER IF EXISTS {_CHANNEL} ON runs"


class Commits:
    """Tells when a run became `canceled`, by perf_counter."""

    def __init__(self) -> None:
        self._seen: dict[int, asyncio.Future[float]] = {}

    def of(self, run_id: int) -> asyncio.Future[float]:
        return self._seen.setdefault(run_id, asyncio.get_running_loop().create_future())

    def notified(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        seen = self.of(int(str(payload)))
        if not seen.done():
            seen.set_result(perf_counter())


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Commits]:
    connection = await asyncpg.connect(url)
    commits = Commits()
    try:
        await connection.execute(_TRIGGER)
        await connection.add_listener(_CHANNEL, commits.notified)
        yield commits
        await connection.execute(_NO_TRIGGER)
    finally:
        await connection.close()
