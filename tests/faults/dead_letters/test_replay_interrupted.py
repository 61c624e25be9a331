"""A replay of thousands that is cut short: each letter went out, or is still there."""

import asyncio
import os
import signal
import sys
from collections import Counter
from operator import not_

import pytest

from shared.commands import CANCEL_TYPE
from tests.support.records.letters import kept, latest
from tools.support.program import DEADLINE, Program
from tools.support.system import System
from tools.support.waiting import eventually

LETTERS = 3000


async def _bury(system: System, letters: int) -> None:
    """Letters of commands for queued runs, as the keeper would have written them."""
    await system.database.execute(
        "INSERT INTO runs (run_id) SELECT generate_series(1, $1::bigint)", letters
    )
    await system.database.execute(
        """
        INSERT INTO dead_letters
               (letter_key, digest, reason, error, attempts, exchange, routing_key, via, run_id,
                command_id, message_id, type, body)
        SELECT n::text, 'x', 'unknown_run', 'unknown', 4, 'e', 'run.cancel', 'direct', n, id,
               id::text, $2,
               convert_to(json_build_object('command_id', id, 'run_id', n)::text, 'UTF8')
          FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1::bigint) AS n) AS made
        """,
        letters,
        CANCEL_TYPE,
    )


async def _replaying(system: System) -> Program:
    """A replay that has begun: some letters went out."""
    program = await system.program("worker", "dead-letters", "replay", "--all")
    while await system.depth(system.topology.cancel) < LETTERS / 20:
        assert program.process.returncode is None, program.log()
        await asyncio.sleep(0.01)  # a poll, until the program ends
    return program


async def _states(system: System) -> Counter[str]:
    rows = await system.database.fetch("SELECT state, count(*) FROM dead_letters GROUP BY 1")
    return Counter({row["state"]: row["count"] for row in rows})


async def _all_canceled_once(system: System) -> None:
    await system.worker()
    query = "SELECT count(*) FROM runs WHERE status <> 'canceled'"
    await eventually(lambda: system.database.fetchval(query), not_, deadline=60)
    assert await system.database.fetchval("SELECT count(*) FROM cancellations") == LETTERS
    assert await system.database.fetchval("SELECT count(DISTINCT run_id) FROM cancellations") == (
        LETTERS
    )


async def test_interrupted_it_ends_what_is_in_flight_and_says_how_far_it_came(
    system: System,
) -> None:
    await _bury(system, LETTERS)
    replaying = await _replaying(system)

    code = await replaying.stop(signal.SIGINT)

    assert code == 130
    states = await _states(system)
    assert 0 < states["replayed"] < LETTERS
    assert states["replayed"] + states["waiting"] == LETTERS
    # Not one went out without its mark, and not one has the mark without having gone out.
    assert await system.depth(system.topology.cancel) == states["replayed"]
    assert (await system.cli("worker", "dead-letters", "replay", "--all"))[0] == 0
    assert await _states(system) == {"replayed": LETTERS}
    await _all_canceled_once(system)


@pytest.mark.timeout(180)
async def test_killed_it_may_send_some_again_and_to_no_effect(system: System) -> None:
    await _bury(system, LETTERS)

    for _ in range(3):
        replaying = await _replaying(system)
        await replaying.kill()
    states = await _states(system)
    assert await system.depth(system.topology.cancel) >= states["replayed"]
    code, out, err = await system.cli("worker", "dead-letters", "replay", "--all")

    assert (code, err) == (0, "")
    # What the killed one had asked of Postgres last may have been done after that look.
    assert 0 < int(out.split()[1]) <= states["waiting"]
    marks = await system.database.fetchval("SELECT count(*) FROM dead_letter_actions")
    assert (await _states(system), marks) == ({"replayed": LETTERS}, LETTERS)
    await _all_canceled_once(system)


async def test_interrupted_while_it_waits_it_tells_what_became_of_letters_by_then(
    system: System,
) -> None:
    await system.worker(keep_dead_letters="true")
    open_still = (await kept(system, 1)).letter_id
    dead = (await kept(system, None, "malformed")).letter_id
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "dead-letters", "replay"),
        *(str(open_still), str(dead), "--wait", "600"),
        env={**os.environ, **system.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    again = await latest(system, "replay_of", dead)
    await _marked(system, open_still)

    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(DEADLINE):
        out, err = await process.communicate()

    assert (process.returncode, err) == (130, b"")
    assert out.decode().splitlines() == [
        "replayed 2",
        f"letter {open_still}: not decided in time: run 1 is still unknown",
        f"letter {dead}: dead again as letter {again['letter_id']} (malformed): {again['error']}",
        "settled 0, dead again 1, not decided in time 1",
    ]


async def _marked(system: System, letter_id: int) -> None:
    query = "SELECT true FROM dead_letters WHERE letter_id = $1 AND state = 'replayed'"
    await eventually(lambda: system.database.fetchval(query, letter_id))
