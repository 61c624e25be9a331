"""Letters as the console changes them."""

import re
from typing import Any

from tests.support.console.operator import Operator, Page
from tools.support.system import System
from tools.support.waiting import eventually


async def changed(system: System, letter_id: int, **columns: Any) -> None:
    for name, value in columns.items():
        await system.database.execute(
            f"UPDATE dead_letters SET {name} = $2 WHERE letter_id = $1",  # noqa: S608 - a test's
            letter_id,
            value,
        )


async def ended(operator: Operator, begun: Page) -> Page:
    """Follow to the page of the work, and wait until it has ended; that page."""
    assert begun.status == 303, begun.text
    address = begun.headers["Location"]
    return await eventually(
        lambda: operator.get(address), lambda page: re.search("Ended", page.text), what=address
    )


async def actions_of(system: System, letter_id: int) -> list[dict[str, Any]]:
    rows = await system.database.fetch(
        "SELECT action, done_by, note FROM dead_letter_actions WHERE letter_id = $1 ORDER BY 1",
        letter_id,
    )
    return [dict(row) for row in rows]


async def state_of(system: System, letter_id: int) -> str:
    state: str = await system.database.fetchval(
        "SELECT state FROM dead_letters WHERE letter_id = $1", letter_id
    )
    return state
