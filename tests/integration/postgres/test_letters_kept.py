"""Which letters are kept: a repeat of one that waits is none, and whatever differs is another."""

from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY
from shared.postgres import sql
from shared.states import DeadReason, Via
from tools.support.rows import Connection
from worker.dead_letters.keeping.letter import Letter

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMAND: Final = Letter(
    letter_key="first",
    digest=b"first",
    reason=DeadReason.UNKNOWN_RUN,
    error="run 1 is unknown",
    attempts=4,
    first_failed_at=None,
    last_failed_at=datetime(2026, 1, 2, tzinfo=UTC),
    exchange="runs.commands",
    routing_key=CANCEL_KEY,
    via=Via.DIRECT,
    publisher="scheduler",
    command_id=UUID(int=1),
    run_id=1,
    requested_by="alice",
    body=b'{"run_id": 1, "force": true}',
    message_id=None,
    correlation_id=None,
    type=None,
    app_id=None,
    content_type=None,
    content_encoding=None,
    headers="{}",
    replays=0,
    replay_of=None,
    may_be_known=False,
    is_valid=True,
    full_size=None,
    reply_to=None,
)
REGISTRATION: Final = replace(
    COMMAND, reason=DeadReason.RUN_CONFLICT, routing_key=QUEUED_KEY, command_id=None
)
# It cannot be told what these ask for.
UNREADABLE: Final = replace(
    COMMAND, reason=DeadReason.MALFORMED, command_id=None, run_id=None, is_valid=False
)


async def _keep(database: Connection, letter: Letter) -> None:
    await database.execute(sql.dead_letters.KEEP, *astuple(letter))


def _second(first: Letter, **changes: Any) -> Letter:
    """The same again, with what each letter has for itself."""
    return replace(first, **{"letter_key": "second", "digest": b"second", **changes})


async def _number(database: Connection) -> int:
    return int(await database.fetchval("SELECT count(*) FROM dead_letters"))


@pytest.mark.parametrize(
    "again",
    [
        _second(COMMAND),
        _second(COMMAND, error="another", attempts=1, publisher="another"),
        _second(REGISTRATION),
        _second(REGISTRATION, error="another"),
        # Delivered again, or sent again by a worker that heard no confirm.
        replace(UNREADABLE, letter_key="second", may_be_known=True),
        replace(UNREADABLE, digest=b"second"),
    ],
    ids=["command", "failed again", "registration", "in conflict again", "redelivered", "key"],
)
async def test_a_repeat_of_a_letter_that_waits_is_not_kept(
    database: Connection, again: Letter
) -> None:
    first = next(
        each for each in (COMMAND, REGISTRATION, UNREADABLE) if each.reason == again.reason
    )
    await _keep(database, first)

    await _keep(database, again)

    assert await _number(database) == 1


@pytest.mark.parametrize(
    ("first", "changes"),
    [
        (COMMAND, {"body": b'{"run_id": 1}'}),
        (COMMAND, {"command_id": UUID(int=2)}),
        (COMMAND, {"reason": DeadReason.HOST_ABANDONED}),
        (COMMAND, {"is_valid": False}),
        (REGISTRATION, {"body": b'{"run_id": 1, "grace_seconds": 5}'}),
        (REGISTRATION, {"run_id": 2}),
        (REGISTRATION, {"reason": DeadReason.INTERNAL_ERROR}),
        (REGISTRATION, {"routing_key": CANCEL_KEY}),
        (REGISTRATION, {"is_valid": False}),
        (UNREADABLE, {}),
        (UNREADABLE, {"digest": UNREADABLE.digest}),
        (UNREADABLE, {"may_be_known": True}),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, dict) else value.reason,
)
async def test_what_differs_from_a_letter_that_waits_is_another_letter(
    database: Connection, first: Letter, changes: dict[str, Any]
) -> None:
    await _keep(database, first)

    await _keep(database, _second(first, **changes))

    assert await _number(database) == 2


@pytest.mark.parametrize("first", [COMMAND, REGISTRATION], ids=["command", "registration"])
async def test_after_a_letter_that_waits_no_more_the_next_one_is_kept(
    database: Connection, first: Letter
) -> None:
    await _keep(database, first)
    await database.execute("UPDATE dead_letters SET state = 'discarded'")

    await _keep(database, _second(first))

    assert await _number(database) == 2


@pytest.mark.parametrize("first", [COMMAND, REGISTRATION], ids=["command", "registration"])
async def test_a_replay_that_failed_before_it_was_marked_is_kept(
    database: Connection, first: Letter
) -> None:
    await _keep(database, first)
    letter_id = await database.fetchval("SELECT letter_id FROM dead_letters")

    await _keep(database, _second(first, replay_of=letter_id))

    assert await _number(database) == 2
