"""Which letters a replay or discard is about, while others are stored."""

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from tests.support.records.letters import kept
from tools.support.system import System
from worker.dead_letters.selection import select
from worker.dead_letters.wanted import Filter


async def test_letters_that_are_stored_meanwhile_are_left_out(system: System) -> None:
    """A letter that dies again during its replay would be replayed again."""
    before = [(await kept(system, None)).letter_id for _ in range(3)]
    settings = DatabaseSettings.model_validate({"DATABASE_URL": system.database_url})
    async with connected(settings) as database:
        selection = await select(database, Filter())
        await kept(system, None)

        selected = [letter["letter_id"] async for letter in selection.letters]

    assert selected == before
    assert selection.total == 3
