"""What a launcher is told of the cancellation that ended its run, and when that is looked up."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.support.launcher.scripted_launcher import ScriptedLauncher, scripted_launcher
from tools.support.system import System
from worker.launcher import wire


async def complete(launcher: ScriptedLauncher) -> dict[str, Any]:
    status, answer = await launcher.ask(wire.COMPLETIONS, run_id=1, exit_code=0)
    assert status == 200, answer
    return answer


async def requested_by(launcher: ScriptedLauncher) -> object:
    return (await complete(launcher))["cancellation"]["requested_by"]


@pytest.fixture
async def launcher(system: System) -> AsyncIterator[ScriptedLauncher]:
    """That of run 1, which is running."""
    await system.worker()
    await system.add_run(1)
    async with scripted_launcher(system.socket()) as launcher:
        assert (await launcher.claim(1))[0] == 200
        yield launcher


async def cancel(system: System) -> None:
    await system.outcome_of(await system.publish(1, requested_by="alice", reason="old"))


async def test_it_is_told_who_asked_why_and_how_it_ended(
    system: System, launcher: ScriptedLauncher
) -> None:
    await cancel(system)

    answer = await complete(launcher)

    (row,) = await system.cancellations(1)
    assert answer == {
        "status": "canceled",
        "stopping": False,
        "cancellation": {
            "requested_by": "alice",
            "via": "direct",
            "reason": "old",
            "outcome": "canceled",
            "ended": "obeyed",
            "proof": row["evidence"]["proof"],
            "signal": "SIGTERM",
            "duration_ms": row["evidence"]["duration_ms"],
        },
    }


_ANOTHER = """
    INSERT INTO cancellations (command_id, run_id, via, requested_by, force, received_at, outcome,
                               finished_at, evidence)
    SELECT gen_random_uuid(), 1, 'rest', $1, false, now() + $2::interval, $3, now(), evidence
      FROM cancellations WHERE requested_by = 'alice'
"""


async def test_of_several_cancellations_it_is_told_of_the_first_that_ended_the_run(
    system: System, launcher: ScriptedLauncher
) -> None:
    await cancel(system)
    for name, minutes, outcome in (
        ("earlier, no_op", -2, "no_op"),
        ("earlier, failed", -1, "stop_failed"),
        ("later", 1, "canceled"),
    ):
        await system.database.execute(_ANOTHER, name, timedelta(minutes=minutes), outcome)

    assert await requested_by(launcher) == "alice"

    # As a stop that failed leaves it.
    await system.database.execute(
        "UPDATE cancellations SET outcome = 'stop_failed' WHERE outcome = 'canceled'"
    )
    await system.database.execute(
        "UPDATE runs SET status = 'canceling', finished_at = NULL, proof = NULL"
    )
    assert (await complete(launcher))["stopping"] is False
    assert await requested_by(launcher) == "earlier, failed"


async def test_of_a_cancel_whose_record_is_gone_nothing_is_made_up(
    system: System, launcher: ScriptedLauncher
) -> None:
    await cancel(system)
    await system.database.execute("DELETE FROM cancellations")

    assert await complete(launcher) == {"status": "canceled", "stopping": False}
