"""A worker dies in the middle of a stop of a run whose leader alone gets the stop signal."""

import sys
from typing import Final

import pytest

from tests.support.stops import wrapped
from tools.support.processes import KILLED_BY, until_gone
from tools.support.system import System

# What the leader and its program say.
ASKED: Final = "asked"


@pytest.mark.parametrize("containment", ["cgroup", "session"])
async def test_the_next_worker_asks_the_leader_alone_again_and_kills_all_in_the_end(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment)
    await system.database.execute("INSERT INTO runs (run_id, stop_scope) VALUES (1, 'leader')")
    mark = system.new_mark()
    launched = await system.launch(1, sys.executable, "-S", wrapped.__file__, "deaf_wrapper", mark)
    await launched.ready()
    command_id = await system.publish(1, grace_seconds=600)
    assert await launched.line() == ASKED

    await worker.kill()
    await system.worker(containment=containment)

    # The program would say that it cleans up.
    assert await launched.line() == ASKED
    await system.publish(1, force=True)
    assert await launched.line() == ""
    await until_gone(mark, deadline=0)
    command = await system.outcome_of(command_id)
    assert command["outcome"] == "canceled"
    sent = [
        (each["signal"], each["to"], each["processes"]) for each in command["evidence"]["signals"]
    ]
    assert sent == [
        ("SIGTERM", "leader", 1),
        ("SIGCONT", "tree", 2),
        *((name, "tree", 2) for name in KILLED_BY[containment]),
    ]
    _, shown, _ = await system.cli("worker", "runs", "show", "1")
    assert "  SIGTERM to the leader alone\n" in shown
    assert "  SIGCONT to 2 processes\n" in shown
