"""Postgres that has been reached, and stops answering while a program starts."""

import pytest

from shared.launcher_environment import SOCKET_VARIABLE
from tools.support.system import System


@pytest.mark.parametrize("program", ["worker", "gateway"])
async def test_a_program_that_starts_waits_until_it_answers_again(
    system: System, program: str
) -> None:
    if program == "gateway":
        await system.worker()  # declares what the gateway publishes to
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        started = await system.program(
            program,
            "serve",
            CANCEL_DATABASE_TIMEOUT="0.3",
            CANCEL_HOST_NAME=system.host,
            CANCEL_GATEWAY_PORT="0",
            **{SOCKET_VARIABLE: str(system.socket())},
        )
        await started.event("service_unavailable")

    await started.event(f"{program}_ready")


async def test_it_gives_up_in_the_end(system: System) -> None:
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")

        ended = await system.cli(
            "gateway",
            "serve",
            "--port",
            "0",
            env={"CANCEL_DATABASE_TIMEOUT": "0.3", "CANCEL_STARTUP_TIMEOUT": "1"},
        )

    assert ended[0] == 1
    assert ended[2].splitlines()[-1] == "cancel-gateway: Postgres: no answer within 1 s"
