"""A runner host with the documents' scripts, for jobs of another user where we can."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.support.platforms.runner_host import Host
from tests.support.rights.privileges import NOBODY, as_user, why_no_users
from tools.demo.account import choose
from tools.support.system import System


@pytest.fixture
async def host(system: System) -> AsyncIterator[Host]:
    await system.worker()
    directory = system.directory / "host"
    (directory / "tmp").mkdir(parents=True)
    (directory / "bin").mkdir()
    through: tuple[str, ...] = ()
    if choose(directory).uid is not None and why_no_users() is None:
        through = as_user(NOBODY)
        os.chown(directory / "tmp", NOBODY, NOBODY)
    host = Host(system, directory, through)
    try:
        yield host
    finally:
        await host.end()
