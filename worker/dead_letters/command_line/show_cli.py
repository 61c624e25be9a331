"""`dead-letters show`: letters with their bodies, one after the other."""

from collections.abc import Sequence

from shared.command_line.cli import with_database
from shared.command_line.output import print_json, print_line
from shared.errors import UserError
from shared.postgres.database import Database
from worker.dead_letters import store as letter_store
from worker.dead_letters.command_line import reports
from worker.dead_letters.selection import Chosen
from worker.dead_letters.wanted import Filter


def show(chosen: Chosen, limit: int, *, as_hex: bool, as_json: bool) -> None:
    """Print letters; of a filter, the newest `limit`. Raises UserError if an id has none.

    As JSON, a single id is one object, and all else a list.
    """

    async def work(database: Database) -> None:
        ids = await _ids(database, chosen, limit)
        one = not isinstance(chosen, Filter) and len(ids) == 1
        described = []
        # One by one: all bodies at once may be hundreds of megabytes.
        for number, letter_id in enumerate(ids):
            found = await letter_store.find_one(database, letter_id)
            if found is None:
                raise UserError(f"dead letter {letter_id} not found")
            if as_json:
                described.append(reports.described(*found, as_hex=as_hex))
                continue
            if number:
                print_line("")
            reports.print_letter(*found, as_hex=as_hex)
        if as_json:
            print_json(described[0] if one else described)

    with_database(work)


async def _ids(database: Database, chosen: Chosen, limit: int) -> Sequence[int]:
    if isinstance(chosen, Filter):
        return [row["letter_id"] for row in await letter_store.find(database, chosen, limit)]
    ids = list(dict.fromkeys(chosen))
    if missing := await letter_store.missing(database, ids):
        raise UserError("; ".join(f"dead letter {letter_id} not found" for letter_id in missing))
    return ids
