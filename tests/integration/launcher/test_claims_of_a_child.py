"""What a launcher may start as a run, and what it has started besides."""

import sys

import pytest

from tests.support.launcher.scripted_launcher import scripted_launcher
from tools.support.processes import BAD_CHILD, state_of, why_no_cgroups
from tools.support.system import System
from worker.launcher import wire


@pytest.fixture(params=["cgroup", "session"])
async def containment(request: pytest.FixtureRequest, system: System) -> str:
    if request.param == "cgroup" and (reason := why_no_cgroups()):
        pytest.skip(reason)
    await system.worker(containment=request.param)
    return str(request.param)


async def test_a_child_is_claimed_for_one_run_and_no_other(
    system: System, containment: str
) -> None:
    await system.add_run(5)
    await system.add_run(6)
    async with scripted_launcher(system.socket()) as launcher:
        assert (await launcher.claim(5))[0] == 200

        status, answer = await launcher.claim(6)

        assert status == 403
        told = str(answer["error"])
        assert told.startswith(f"process {launcher.child} ") and "already" in told
        assert (await system.run(6))["status"] == "queued"
        row = await system.outcome_of(await system.publish(5))
        assert (row["outcome"], row["evidence"]["containment"]) == ("canceled", containment)
        assert row["evidence"]["escaped"] == []
        assert state_of(launcher.child) == "Z"


async def test_a_claim_that_is_repeated_is_the_same_claim(system: System, containment: str) -> None:
    await system.add_run(5)
    async with scripted_launcher(system.socket()) as launcher:
        assert await launcher.claim(5) == await launcher.claim(5)
        assert (await system.run(5))["containment"] == containment


async def test_what_a_launcher_started_besides_the_run_is_found_and_ended(
    system: System, containment: str
) -> None:
    await system.add_run(5)
    async with scripted_launcher(system.socket()) as launcher:
        assert (await launcher.claim(5))[0] == 200
        besides = await launcher.start_another()

        row = await system.outcome_of(await system.publish(5))

        assert row["outcome"] == "canceled"
        assert state_of(besides) == "Z"
        escaped = [each["pid"] for each in row["evidence"]["escaped"]]
        assert escaped == ([besides] if containment == "cgroup" else [])


async def test_a_child_that_goes_on_without_its_first_thread_is_refused(
    system: System, containment: str
) -> None:
    """No cgroup lists it, so nothing there could be signaled, and nothing would be found."""
    await system.add_run(5)
    async with scripted_launcher(system.socket()) as launcher:
        child = await launcher.start_another(
            *(sys.executable, "-S", str(BAD_CHILD), "outlives_main_thread", system.new_mark())
        )

        status, answer = await launcher.ask(wire.LAUNCHES, run_id=5, pid=child)

    assert (status, answer["error"]) == (403, f"the first thread of process {child} has ended")
    assert (await system.run(5))["status"] == "queued"
