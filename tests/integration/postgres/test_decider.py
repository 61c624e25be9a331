"""Which commands are decided on, and which are left for later: locked, settled or taken up."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from shared.commands import CancelCommand
from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Database, connected
from shared.states import Outcome, Via
from shared.telemetry.tracing import NO_TRACER
from tools.support.rows import CANCELING, FAIL, NOW, PASS, QUEUED, RUNNING, Row, insert
from tools.support.waiting import eventually
from worker.decisions import store as decision_store
from worker.decisions.decider import Decider
from worker.decisions.verdict import Repeat
from worker.messages.request import Origin, Original, Request
from worker.processes.known_launchers import KnownLaunchers
from worker.stop.stops import Stop, Stops

LATER = "2999-01-02T03:04:05+00:00"
WAITS_FOR_A_LOCK = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


class _Original(Original):
    """A message, of which no test here looks at more than what is kept."""

    def __init__(self) -> None:
        pass

    def header_and_body(self) -> tuple[bytes, bytes]:
        return b"header", b"body"


class _NoStops(Stops):
    """None is in progress, and none begins: the runs here are queued."""

    def __init__(self) -> None:
        pass

    def of(self, run_id: int) -> Stop | None:
        return None


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    async with connected(settings) as opened:
        yield opened


@pytest.fixture
def decider(database: Database) -> Decider:
    return Decider(database, "h1", 10.0, KnownLaunchers(), _NoStops(), NO_TRACER)


async def _add(database: Database, *run_ids: int) -> list[Request]:
    """Queued runs; a command for each."""
    async with database.connection() as connection:
        for run_id in run_ids:
            await insert(connection, "runs", {"run_id": run_id, **QUEUED})
    return [
        Request(CancelCommand(command_id=uuid4(), run_id=run_id), Origin(Via.DIRECT), _Original())
        for run_id in run_ids
    ]


async def _on_record(database: Database, request: Request, outcome: Outcome | None) -> None:
    command = request.command
    row: Row = {"command_id": str(command.command_id), "run_id": command.run_id}
    row |= {"via": "direct", "force": False, "evidence": {}}
    async with database.connection() as connection:
        end = {"outcome": outcome, "finished_at": NOW} if outcome else {}
        await insert(connection, "cancellations", row | end)


def _ids(*requests: Request) -> list[UUID]:
    return [each.command.command_id for each in requests]


async def test_many_do_not_wait_for_a_locked_run_and_one_does(
    database: Database, decider: Decider
) -> None:
    locked, free = await _add(database, 1, 2)
    async with database.transaction() as other:
        await other.execute("SELECT FROM runs WHERE run_id = 1 FOR UPDATE")

        async with asyncio.timeout(3):
            assert list(await decider.decide_many([locked, free])) == _ids(free)
            assert await decider.take_up([locked], counts=True) == {}

        waiting = asyncio.create_task(decider.decide(locked))
        await eventually(lambda: other.fetchval(WAITS_FOR_A_LOCK), what="the wait")

    assert await waiting is Outcome.CANCELED


async def test_a_command_that_has_its_outcome_is_repeated_but_not_taken_up(
    database: Database, decider: Decider
) -> None:
    is_open, settled = await _add(database, 1, 2)
    await _on_record(database, is_open, None)
    await _on_record(database, settled, Outcome.NO_OP)

    repeated = await decider.decide_many([settled])
    taken_up = await decider.take_up([is_open, settled], counts=True)

    assert repeated == dict.fromkeys(_ids(settled), Repeat(Outcome.NO_OP))
    assert taken_up == dict.fromkeys(_ids(is_open), Outcome.CANCELED)


@pytest.mark.parametrize(
    ("row", "left"),
    [
        ({**CANCELING, "stop_deadline": LATER}, True),
        ({**CANCELING, "stop_deadline": NOW}, False),
        ({**PASS, "left_behind": {"number": 1, "proof": None, "deadline": LATER}}, True),
        ({**FAIL, "left_behind": {"number": 1, "proof": None, "deadline": LATER}}, True),
        ({**PASS, "left_behind": {"number": 1, "proof": None, "deadline": NOW}}, False),
        ({**PASS, "left_behind": {"number": 1, "proof": None}}, None),
        (RUNNING, None),
    ],
)
async def test_the_grace_period_is_that_of_the_stop_or_of_what_was_left_behind(
    database: Database, row: Row, left: bool | None
) -> None:
    command = CancelCommand(command_id=uuid4(), run_id=1)
    request = Request(command, Origin(Via.DIRECT), _Original())
    async with database.transaction() as connection:
        await insert(connection, "runs", {"run_id": 1, **row})
        found = await decision_store.lock_runs(connection, [request], "h1", waits=True)

    grace_left = found[command.command_id].grace_left
    assert (None if grace_left is None else grace_left > 0) is left
