"""Dead letters that a test puts on record, and what is then done with them."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from yarl import URL

from shared.commands import CANCEL_TYPE
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually


async def dead_letters(system: System, *arguments: str, **env: str) -> tuple[int, str, str]:
    """`cancel-worker dead-letters …`: exit code, stdout, stderr."""
    return await system.cli("worker", "dead-letters", *arguments, env=env)


async def buried(system: System, **fields: Any) -> tuple[int, str]:
    """A dead letter of a command for a run that was not there: its number, the command's id."""
    command_id = str(uuid4())
    body = json.dumps({"command_id": command_id, **fields}).encode()
    await system.publish_raw(
        body,
        type=CANCEL_TYPE,
        message_id=command_id,
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": 4, "mine": "1"},
    )
    return (await latest(system, "command_id", command_id))["letter_id"], command_id


def editor_that(directory: Path, change: str) -> str:
    """For EDITOR: a program that writes into the file what `change`, of its `text`, comes to."""
    script = directory / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "text = path.read_text()\n"
        f"path.write_text({change})\n"
    )
    return f"{sys.executable} {script}"


async def latest(system: System, column: str, value: object) -> Json:
    """Wait for the latest letter with this in its column."""
    query = f"SELECT * FROM dead_letters WHERE {column}::text = $1 ORDER BY 1 DESC"  # noqa: S608
    row = await eventually(
        lambda: system.database.fetchrow(query, str(value)), what=f"a letter with {column} {value}"
    )
    assert row is not None
    return dict(row)


class Kept(NamedTuple):
    letter_id: int
    command_id: str | None


async def kept(system: System, run_id: int | None, reason: str = "unknown_run") -> Kept:
    """A letter as the keeper would have written it; without a run its body is no command."""
    command_id = None if run_id is None else str(uuid4())
    body = {"command_id": command_id, "run_id": run_id} if run_id else {"no": uuid4().hex}
    letter_id = await system.database.fetchval(
        """
        INSERT INTO dead_letters
               (letter_key, digest, reason, error, attempts, exchange, routing_key, via, run_id,
                command_id, message_id, type, body)
        VALUES ($1, 'x', $2, 'it was so', 4, 'e', 'run.cancel', 'direct', $3, $4::text::uuid, $4,
                $5, $6)
        RETURNING letter_id
        """,
        *(uuid4().hex, reason, run_id, command_id, CANCEL_TYPE, json.dumps(body).encode()),
    )
    return Kept(letter_id, command_id)
