"""A body in which a key appears twice is refused: JSON parsers read it differently."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN: Final = 1
PUT: Final = ("PUT", "/api/v1/runs/2")
POST: Final = ("POST", "/api/v1/runs")
CANCEL: Final = ("POST", "/api/v1/runs/1/cancel")
FORCE: Final = ("POST", "/api/v1/runs/1/force-cancel")
BULK: Final = ("POST", "/api/v1/cancellations")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: what the gateway publishes stays in the queue."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(RUN)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    return Api(await system.gateway(), system.http, await system.token())


@pytest.mark.parametrize(
    ("call", "body", "key"),
    [
        (CANCEL, '{"reason": "a", "reason": "a"}', "reason"),
        (FORCE, '{"reason": "a", "\\u0072eason": "b"}', "reason"),
        (BULK, '{"run_ids": [1], "run_ids": [2]}', "run_ids"),
        (BULK, '{"labels": {"a": "b", "a": "c"}, "before_run": 9}', "a"),
        (PUT, '{"grace_seconds": 1, "grace_seconds": 2}', "grace_seconds"),
        (PUT, f'{{"labels": {{"{"k" * 63}": "", "{"k" * 63}": ""}}}}', "k" * 63),
        (POST, '{"runs": [{"run_id": 2}], "runs": [{"run_id": 3}]}', "runs"),
        (POST, '{"runs": [{"run_id": 2}, {"run_id": 3, "run_id": 4}]}', "run_id"),
        # Invalid as it is, but valid once it is read as a dictionary.
        (POST, '{"runs": [{"run_id": 2, "labels": {"a": 1, "a": "x"}}]}', "a"),
        (POST, f'{{"runs": [{{"{"x" * 200}": 1, "{"x" * 200}": 2}}]}}', f"{'x' * 99}…"),
    ],
)
async def test_a_key_that_appears_twice_is_named_and_nothing_is_done(
    system: System, api: Api, call: tuple[str, str], body: str, key: str
) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}

    answer = await api.ask(*call, data=body, headers=headers)

    assert answer.error == (400, "validation_error"), answer.body
    assert answer.body["details"] == {"fields": {"body": f"has the key {key} twice in one object"}}
    assert await system.depth(system.topology.rest) == 0
    assert await system.database.fetchval("SELECT array_agg(run_id) FROM runs") == [RUN]
