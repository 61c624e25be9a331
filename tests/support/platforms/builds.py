"""Builds of a real Buildbot in the states that its tests begin with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.auth.access import Scope
from tests.support.platforms.buildbot import Buildbot
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

SCOPES: Final = (Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.RUNS_REGISTER)
"""Of Buildbot's token."""

BLOCKS: Final = "echo ready; exec sleep 1000"
# Until it has become `sleep`, the child of a shell with a trap swallows the signal.
CLEANS_UP: Final = """trap 'echo cleaned up; exit 0' TERM
sleep 1000 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
echo ready
wait"""
ENDS_WHEN_TOLD_TWICE: Final = """trap 'echo told; [ -z "$told" ] || exit 0; told=yes' TERM
echo ready
while :; do sleep 1000 & wait; done"""


async def started(buildbot: Buildbot, script: str) -> tuple[int, int]:
    """Start a build, wait until its job is ready; the build and its run."""
    buildbot.script(script)
    request = await buildbot.force()
    build = await buildbot.build(request)
    await buildbot.prints("ready")
    return build, request * 1000 + 1


async def queued(system: System, buildbot: Buildbot) -> tuple[int, int]:
    """Ask for a build while another one runs, wait until its run is registered; both."""
    request = await buildbot.force()
    run_id = request * 1000 + 1
    await eventually(lambda: is_registered(system, run_id))
    return request, run_id


async def is_registered(system: System, run_id: int) -> bool:
    query = "SELECT EXISTS (SELECT FROM runs WHERE run_id = $1)"
    return bool(await system.database.fetchval(query, run_id))


async def set_grace(system: System, run_id: int, seconds: float) -> None:
    query = "UPDATE runs SET grace_seconds = $2 WHERE run_id = $1"
    await system.database.execute(query, run_id, seconds)


@asynccontextmanager
async def service_away(network: TcpProxy) -> AsyncIterator[None]:
    network.refuse()
    await network.cut()
    try:
        yield
    finally:
        network.accept()
