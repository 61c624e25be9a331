"""Where a demo of a test runs, and on what."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest

from shared.amqp.topology import Topology
from tools.services import Services
from tools.support.broker_names import delete_names


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path that jobs of other users get through to; a socket's path is limited."""
    with tempfile.TemporaryDirectory(prefix="demo-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
async def environment(
    services: Services, database_url: str, directory: Path
) -> AsyncIterator[dict[str, str]]:
    prefix = f"t{uuid4().hex[:12]}."
    host = f"host-{uuid4().hex[:8]}"
    yield {
        **os.environ,
        "DATABASE_URL": database_url,
        "AMQP_URL": services.amqp_url,
        "CANCEL_TOPOLOGY_PREFIX": prefix,
        "CANCEL_HOST_NAME": host,
        # Two at once would find the same port free.
        "CANCEL_GATEWAY_PORT": "0",
        "CANCEL_CONSOLE_PORT": "0",
        "TMPDIR": str(directory),
    }
    async with await aio_pika.connect(services.amqp_url) as connection:
        await delete_names(await connection.channel(), Topology(prefix))
