"""Launching as the user of an untrusted job, who is not the worker's wherever we can have that."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from random import SystemRandom

from tools.demo.account import Account, choose
from tools.support.program import DEADLINE
from tools.support.system import System


class JobUser:
    """The least privileged user here; `is_separate` says whether it is not the worker's."""

    def __init__(self, system: System) -> None:
        self._system = system
        account = choose(system.directory)
        if account.uid is not None:
            # Nobody's processes of other tests, which may know the credentials, can be read too.
            account = replace(account, uid=SystemRandom().randrange(50_000, 60_000))
        self._account: Account = account
        self.python = self._account.python

    @property
    def is_separate(self) -> bool:
        return self._account.uid is not None

    async def launch(
        self, run_id: int, *command: str | bytes, env: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        uid = self._account.uid
        process = await asyncio.create_subprocess_exec(
            *self._account.launcher,
            *("--run-id", str(run_id), "--socket", str(self._system.socket()), "--"),
            *command,
            env={**runner_environment(), **(env or {})},
            cwd="/",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        self._system.adopt(process)
        return process


def runner_environment() -> dict[str, str]:
    """What a CI runner gives its launchers: nothing of our services."""
    return {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "AMQP_URL")}


async def outcome(
    process: asyncio.subprocess.Process, given: bytes = b""
) -> tuple[int, str, list[str]]:
    """Exit code, output and the lines on stderr."""
    async with asyncio.timeout(DEADLINE):
        out, errors = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode().splitlines()
