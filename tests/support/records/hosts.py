"""Runner hosts as an operator sees them, and what happens to machines."""

import asyncio
import json
from functools import partial
from operator import ne
from typing import Any
from uuid import UUID, uuid4

from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

BEAT = 0.2
"""Seconds, for tests that wait until a host is silent."""


async def described(system: System, host: str) -> Json:
    """The host as `hosts show --json` has it."""
    code, out, err = await system.cli("worker", "hosts", "show", host, "--json")
    assert code == 0, err
    found: Json = json.loads(out)
    return found


async def becomes(system: System, host: str, state: str) -> Json:
    """Wait until the host is in `state`."""
    return await eventually(lambda: described(system, host), lambda found: found["state"] == state)


async def abandon(system: System, host: str, reason: str = "burnt down") -> tuple[int, Any, str]:
    """`hosts abandon`: exit code, its JSON, stderr."""
    code, out, err = await system.cli(
        "worker", "hosts", "abandon", host, "--reason", reason, "--json"
    )
    return code, json.loads(out) if out else None, err


async def rebooted(system: System, host: str) -> UUID:
    """Make all that is on record of the host be of another boot; its id."""
    other = uuid4()
    await system.database.execute("UPDATE hosts SET boot_id = $2 WHERE host = $1", host, other)
    await system.database.execute("UPDATE runs SET boot_id = $2 WHERE host = $1", host, other)
    return other


async def beats(system: System, host: str) -> None:
    """Wait until the host's worker was heard of twice more."""

    async def seen_at() -> object:
        return await system.database.fetchval("SELECT seen_at FROM hosts WHERE host = $1", host)

    for _ in range(2):
        await eventually(seen_at, partial(ne, await seen_at()))


async def keep_beating(system: System, host: str) -> None:
    """Be the worker of another machine that has this name, until canceled."""
    while True:
        await system.database.execute(
            "UPDATE hosts SET seen_at = clock_timestamp() WHERE host = $1", host
        )
        await asyncio.sleep(BEAT / 4)
