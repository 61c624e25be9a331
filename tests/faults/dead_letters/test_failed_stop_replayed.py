"""`dead-letters replay --wait` and stops: the outcome before a replay is not taken for its own."""

import pytest

from tests.support.records.letters import dead_letters, kept, latest
from tests.support.stops.powerless import MODULE, environment, powerless
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.system import System


async def _worker(system: System, *, keeps: bool = True) -> Program:
    return await system.worker(
        module=MODULE,
        env=environment(system),
        kill_wait=0.5,
        keep_dead_letters=str(keeps).lower(),
    )


async def _failed(system: System) -> tuple[str, str, int]:
    """Run 1, whose stop fails: its command, its mark, its letter."""
    _, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=0)
    assert (await system.outcome_of(command_id))["outcome"] == "stop_failed"
    return command_id, mark, (await system.dead_letter_kept(command_id))["letter_id"]


async def _replayed(system: System, letter: int, wait: str = "30") -> tuple[int, list[str]]:
    code, out, err = await dead_letters(system, "replay", str(letter), "--wait", wait)
    assert err == ""
    return code, out.splitlines()


async def test_a_stop_that_fails_again_is_dead_again_and_one_that_succeeds_is_settled(
    system: System,
) -> None:
    await _worker(system)
    with powerless(system):
        _, mark, letter = await _failed(system)
        code, lines = await _replayed(system, letter)
        again = (await latest(system, "replay_of", letter))["letter_id"]
        assert code == 1
        assert lines[1].startswith(f"letter {letter}: dead again as letter {again} (stop_failed): ")
        assert lines[2] == "settled 0, dead again 1, not decided in time 0"

    code, lines = await _replayed(system, again)

    assert (code, lines[1]) == (0, f"letter {again}: canceled, run 1")
    await until_gone(mark, deadline=0)


async def test_a_stop_that_fails_again_is_told_by_its_record_where_letters_are_not_kept(
    system: System,
) -> None:
    keeps = await _worker(system)
    with powerless(system):
        _, _, letter = await _failed(system)
        await keeps.stop()
        await _worker(system, keeps=False)

        code, lines = await _replayed(system, letter, "5")

        assert (code, lines[1]) == (
            1,
            f"letter {letter}: dead again (stop_failed): the stop failed again",
        )


@pytest.mark.parametrize("frozen", [False, True], ids=["no worker", "a worker that hangs"])
async def test_the_old_outcome_is_none_of_the_replay(system: System, frozen: bool) -> None:
    worker = await _worker(system)
    with powerless(system):
        _, _, letter = await _failed(system)
        if frozen:
            worker.freeze()
        else:
            await worker.stop()

        code, lines = await _replayed(system, letter, "1")

        assert code == 3
        assert lines[1].startswith(
            f"letter {letter}: not decided in time: no worker has carried it out yet: "
            f"run 1 is canceling on {system.host}, last heartbeat at "
        )


async def test_a_stop_in_its_grace_period_is_not_over(system: System) -> None:
    await _worker(system)
    await system.launch_bad_child(1, "ignores_term")
    letter = (await kept(system, 1)).letter_id

    code, lines = await _replayed(system, letter, "1")

    assert code == 3
    assert lines[1].startswith(
        f"letter {letter}: not decided in time: its stop is still in progress: "
        f"run 1 is canceling on {system.host}, last heartbeat at "
    )
