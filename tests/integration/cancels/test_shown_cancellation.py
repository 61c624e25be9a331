"""Which of a run's commands its status shows, over all histories that a few commands can have."""

import json
from collections.abc import AsyncIterator, Sequence
from itertools import count, permutations, product
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.postgres import sql
from tools.services import Services
from tools.services.databases import new_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
History: TypeAlias = Sequence[str | None]
"""The outcomes of a run's commands, in the order in which a worker had them; None: open."""

NEVER: Final = frozenset({"no_op", "forced"})
GIVEN_UP: Final = frozenset({"abandoned", "not_proved"})
# Some of them are of versions to come, so that Postgres does not know them yet.
OUTCOMES: Final[tuple[str | None, ...]] = (
    *(None, "canceled", "leftovers_stopped", "stop_failed"),
    *sorted(GIVEN_UP | NEVER),
)

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(services: Services, template: str) -> AsyncIterator[Pool]:
    async with new_database(services, template) as url, asyncpg.create_pool(url) as opened:
        await opened.execute(
            "ALTER TABLE cancellations DROP CONSTRAINT cancellations_outcome_check"
        )
        yield opened


async def _write(pool: Pool, histories: Sequence[History]) -> dict[int, History]:
    """Write a run for each history; the command's number in it is the last part of its id."""
    written = dict(zip(run_ids, histories, strict=False))
    await pool.execute("INSERT INTO runs (run_id) SELECT unnest($1::bigint[])", list(written))
    await pool.executemany(
        """
        INSERT INTO cancellations (command_id, run_id, via, force, received_at, outcome,
                                   finished_at, evidence)
        VALUES ($1, $2, 'rest', false, now() + make_interval(secs => $3), $4::text,
                CASE WHEN $4 IS NOT NULL THEN now() END, '{"proof": "cgroup_empty"}')
        """,
        [
            (_id(run_id, number), run_id, number, outcome)
            for run_id, history in written.items()
            # Written in another order than received in.
            for number, outcome in reversed(list(enumerate(history)))
        ],
    )
    return written


def _id(run_id: int, number: int) -> UUID:
    # Ids are random: their order says nothing, and here the wrong thing.
    return UUID(int=(99 - number) << 96 | run_id << 32 | number)


async def _shown(
    pool: Pool, written: dict[int, History]
) -> dict[tuple[str | None, ...], int | None]:
    """The number of the command that is shown, by history."""
    shown = {}
    for run_id, history in written.items():
        row = await pool.fetchrow(sql.requests.FIND_RUN_SUMMARY, run_id)
        assert row is not None
        command_id: UUID | None = row["command_id"]
        shown[tuple(history)] = None if command_id is None else command_id.int & 0xFFFFFFFF
    return shown


@pytest.mark.parametrize(
    ("history", "number"),
    [
        ((), None),
        ((None,), 0),
        (("canceled",), 0),
        (("no_op",), None),  # the run was over
        (("no_op", "no_op"), None),
        ((None, "no_op"), 0),  # repeated during the stop
        ((None, "forced", "no_op"), 0),
        (("canceled", "forced", "no_op"), 0),
        (("no_op", "canceled"), 1),  # begun at the same moment, and decided the other way round
        ((None, None), 0),  # the second came between two workers
        (("canceled", "canceled"), 0),  # both were open, and one stop answered them
        (("stop_failed",), 0),
        (("stop_failed", "no_op"), 0),
        (("stop_failed", "stop_failed"), 0),
        (("stop_failed", None), 1),  # a new cancel takes it up again
        ((None, "stop_failed"), 0),  # replayed
        (("canceled", "canceled", "no_op"), 0),  # that went well, and answered both
        (("abandoned",), 0),
        (("abandoned", "no_op"), 0),
        (("not_proved", "no_op"), 0),
        (("abandoned", None), 1),  # its host is back, and something of the run lives
        (("abandoned", "leftovers_stopped"), 1),
        (("abandoned", "stop_failed"), 1),  # something outlives it: known, and not given up
        (("abandoned", "not_proved"), 0),
        (("leftovers_stopped",), 0),  # the run was lost before
        (("leftovers_stopped", "no_op"), 0),
        (("leftovers_stopped", "leftovers_stopped"), 0),
        (("no_op", "leftovers_stopped"), 1),
        (("stop_failed", "leftovers_stopped"), 1),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
async def test_the_one_that_ended_the_run_or_is_to_end_it_is_shown(
    pool: Pool, history: History, number: int | None
) -> None:
    assert await _shown(pool, await _write(pool, [history])) == {tuple(history): number}


async def test_no_later_command_without_effect_changes_what_is_shown(pool: Pool) -> None:
    before = [history for length in range(4) for history in product(OUTCOMES, repeat=length)]
    shown = await _shown(pool, await _write(pool, before))
    repeats = [(*history, repeat) for history in before for repeat in sorted(NEVER)]

    repeated = await _shown(pool, await _write(pool, repeats))

    assert {history: shown[history[:-1]] for history in repeated} == repeated
    for history, number in shown.items():
        effective = [at for at, outcome in enumerate(history) if outcome not in NEVER]
        assert (number in effective) if effective else (number is None), (history, number)


@pytest.mark.parametrize("outcome", ["canceled", "leftovers_stopped", None, "stop_failed"])
async def test_where_several_are_alike_the_first_is_shown(pool: Pool, outcome: str | None) -> None:
    later = [it for it in OUTCOMES if it in {*NEVER, *GIVEN_UP}]
    histories = set(permutations((outcome, outcome, *later[:2]))) | set(
        permutations((outcome, outcome, *later[2:]))
    )

    shown = await _shown(pool, await _write(pool, sorted(histories, key=str)))

    assert {history: history.index(outcome) for history in shown} == shown


async def test_the_index_by_run_is_looked_at_once(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        explained = await connection.fetchval(
            "EXPLAIN (FORMAT json) " + sql.requests.FIND_RUN_SUMMARY, 1
        )

    plan = json.dumps(json.loads(explained))
    assert plan.count('"Relation Name": "cancellations"') == 1
    assert plan.count('"Index Name": "cancellations_by_run"') == 1
