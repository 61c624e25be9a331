"""A launcher asks several times a second while its run is being stopped; the log says it once."""

from uuid import uuid4

from tests.support.launcher.launching import Command
from tools.support.rows import insert
from tools.support.system import System


async def test_an_exit_code_is_logged_when_it_is_recorded_and_not_again(system: System) -> None:
    worker = await system.worker()
    command = Command(system)
    launched = await command.start()
    # As between two attempts at a stop: the command is open, and no worker is at work on it.
    async with system.database.acquire() as connection:
        await connection.execute(
            "UPDATE runs SET status = 'canceling', canceling_at = now(), stop_deadline = now()"
        )
        open_command = {"command_id": str(uuid4()), "run_id": 1, "via": "rest", "force": False}
        await insert(connection, "cancellations", {**open_command, "evidence": {}})

    await command.ended_with(7)
    await worker.event("run_completed", run_id=1, status="canceling", exit_code=7)
    await system.publish(1)  # takes the stop up, and lets the launcher go

    assert await launched.exit_code() == 7
    assert (await system.run(1))["status"] == "canceled"
    said = [event for event in worker.events if event["event"] == "run_completed"]
    assert len(said) == 1, said
