"""Hosts that come and go leave nothing behind in the broker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.own_servers import skipped_if_unavailable
from tools.services import PrivateRabbit, Sandbox
from tools.support.system import System

_LIVES: Final = 5


@pytest.fixture
def rabbit() -> Iterator[PrivateRabbit]:
    """Of this test's own: only there no other test makes queues."""
    with Sandbox() as sandbox:
        with skipped_if_unavailable():
            server = PrivateRabbit(sandbox)
        server.start()
        yield server


@pytest.fixture
async def system(database_url: str, rabbit: PrivateRabbit, tmp_path: Path) -> AsyncIterator[System]:
    async with System(database_url, rabbit.url, tmp_path).running() as system:
        yield system


def _objects(rabbit: PrivateRabbit) -> list[str]:
    return sorted(
        line
        for listed, columns in (
            ("list_queues", ("name",)),
            ("list_exchanges", ("name",)),
            ("list_bindings", ("source_name", "routing_key", "destination_name")),
        )
        for line in rabbit.ctl(listed, "--silent", *columns).splitlines()
    )


async def test_many_workers_lives_leave_what_one_leaves(
    system: System, rabbit: PrivateRabbit
) -> None:
    await (await system.worker("first")).stop()
    one = _objects(rabbit)

    for life in range(_LIVES):
        await (await system.worker(f"another-{life}")).stop()

    assert _objects(rabbit) == one
