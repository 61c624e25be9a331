"""A program that still waits for its services can be ended like any other."""

import signal

import pytest

from tools.support.proxy import TcpProxy
from tools.support.system import System


@pytest.mark.parametrize("program", ["worker", "gateway"])
async def test_sigterm_ends_the_wait_for_a_service_at_once(system: System, program: str) -> None:
    away = TcpProxy(system.database_url)  # bound, and not listening
    started = await system.program(program, "serve", DATABASE_URL=away.proxied)
    await started.event("postgres_unreachable")

    assert await started.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    await away.close()
