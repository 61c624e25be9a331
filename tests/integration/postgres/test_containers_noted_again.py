"""It was undone that a run may have containers."""

import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres import sql
from shared.postgres.database import connected
from tools.support.rows import CANCELING, RUNNING, Row, insert
from tools.support.system import System
from worker.healing.containers import note_again


@pytest.mark.parametrize(
    ("row", "asked", "noted"),
    [
        (RUNNING, "/parent", "/parent"),
        (RUNNING, None, None),
        ({**RUNNING, "containers_in": "/earlier"}, "/parent", "/earlier"),
        # It may start no more, and its stop knows of them.
        (CANCELING, "/parent", None),
    ],
    ids=["asked", "not asked", "on record", "being stopped"],
)
async def test_it_is_noted_again_while_the_run_is_running(
    system: System, row: Row, asked: str | None, noted: str | None
) -> None:
    async with system.database.acquire() as connection:
        await insert(connection, "runs", {"run_id": 1, "stop_signal": "SIGTERM", **row})
    settings = DatabaseSettings.model_validate({"DATABASE_URL": system.database_url})
    async with connected(settings) as database:
        (run,) = await database.fetch(sql.healing.FIND_RUNS, [1])

        await note_again(database, run, lambda _: asked)

    assert (await system.run(1))["containers_in"] == noted
