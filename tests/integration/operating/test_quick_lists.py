"""Commands that show what is on record import neither libraries of RabbitMQ nor of services."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Final
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from tests.support.programs.imports import imported_by
from tests.support.records.run_histories import LETTER
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import NOW, RUNNING, Row, insert

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMANDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "gateway": (("tokens", "create", "--subject", "alice"), ("tokens", "list")),
    "worker": (
        ("runs", "add", "2"),
        ("runs", "list"),
        ("runs", "show", "1"),
        ("hosts", "list"),
        ("hosts", "show", "h1"),
        ("hosts", "list", "--json"),
        ("dead-letters", "list"),
        ("dead-letters", "list", "--count-by", "reason"),
        ("dead-letters", "show", "1"),
    ),
}
HOST: Final[Row] = {
    "host": "h1",
    "worker_id": str(uuid4()),
    "boot_id": str(uuid4()),
    "seen_at": NOW,
    "beat_seconds": 5,
}
NOT_USED: Final = {
    *("aio_pika", "aiodocker", "aiohttp", "aiormq", "jinja2", "opentelemetry", "pamqp"),
    *("prometheus_client", "rich", "structlog", "yarl"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environment(services: Services, template: str) -> AsyncIterator[dict[str, str]]:
    async with new_database(services, template) as url:
        connection = await asyncpg.connect(url)
        try:
            await insert(connection, "hosts", HOST)
            await insert(connection, "runs", {"run_id": 1, **RUNNING})
            await insert(connection, "dead_letters", {**LETTER, "run_id": 1})
        finally:
            await connection.close()
        yield {**os.environ, "DATABASE_URL": url}


@pytest.mark.parametrize("module", COMMANDS)
async def test_commands_with_a_database_import_nothing_for_rabbitmq_or_services(
    environment: dict[str, str], module: str
) -> None:
    packages, output = await asyncio.to_thread(imported_by, module, COMMANDS[module], environment)

    assert output
    assert "asyncpg" in packages
    assert packages & NOT_USED == set()
