"""Certificates and passwords change under cancels that arrive all the time, and none is lost.

The seconds that each test prints are those of docs/high-availability.md.
"""

import asyncio
from secrets import token_urlsafe
from time import monotonic
from typing import Final

import pytest

from tests.support.broker.many_cancels import Storm
from tests.support.network.certificates import Authority, replace
from tests.support.network.tls_programs import TlsPrograms
from tests.support.network.tls_system import TlsSystem

RUNS: Final = range(1, 301)
BEFORE: Final = 40
"""Cancels that are accepted before the change."""
LATE: Final = 1.0
"""Seconds from the end of the sessions until the file has the new password."""
SOON: Final = 15.0
"""Seconds that anything may take once the files are right."""


class Certificates:
    """All of a new CA, which alone is trusted from now on."""

    def __init__(self, system: TlsSystem) -> None:
        self._system = system

    async def change(self) -> None:
        renewed = Authority("renewed")
        await self._system.renew_servers(renewed)
        self._system.renew_files(renewed)

    async def finish(self) -> None:
        """Nothing is left to do."""


class Password:
    """Changed on the servers; the file follows late."""

    def __init__(self, system: TlsSystem) -> None:
        self._system = system
        self._new = token_urlsafe()  # no log has it by chance

    async def change(self) -> None:
        await self._system.servers.set_password(self._new)

    async def finish(self) -> None:
        await asyncio.sleep(LATE)
        replace(self._system.password_file, f"{self._new}\n".encode())


@pytest.mark.parametrize("kind", [Certificates, Password])
async def test_no_cancel_is_lost(
    system: TlsSystem, kind: type[Certificates] | type[Password]
) -> None:
    programs, what = await TlsPrograms.start(system), kind(system)
    for run in RUNS:
        await system.add_run(run)
    storm = Storm(programs.api, system.amqp_url, system.topology, pause=0.5)

    await what.change()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(storm.send(RUNS[::2], RUNS[1::2]))
        await storm.has_accepted(BEFORE)
        began = monotonic()
        await system.servers.end_sessions()
        await what.finish()
        changed = monotonic()
    for run in RUNS:
        await system.status_becomes(run, "canceled")
    over = monotonic()

    assert max(storm.accepted_by_gateway) > changed  # or nobody was in the way
    programs.check()
    assert storm.refused.keys() <= {503}
    assert over - changed < SOON
    again = storm.longest_pause(began)[1] - began
    print(
        f"\n{kind.__name__}: accepted again after {again:.1f} s, "
        f"last outcome after {over - began:.1f} s, refused {dict(storm.refused)}"
    )
