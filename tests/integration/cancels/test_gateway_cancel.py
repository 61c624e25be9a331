"""POST /runs/{run_id}/cancel for those who may: what is answered and what is published."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from shared.amqp.keys import REST_KEY
from shared.commands import CANCEL_TYPE
from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import DEADLINE
from tools.support.rows import (
    CANCELING,
    ERROR,
    FAIL,
    NEVER_STARTED,
    PASS,
    QUEUED,
    RUNNING,
    Row,
    insert_run,
)
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
LEFT: Final[Row] = {"number": 1, "found": [], "kept": True}
STOPPED_REST: Final = "Run {{}} has already finished ({}); what it left running is being stopped."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: what the gateway publishes stays where a test can look at it."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    return Api(await system.gateway(), system.http, await system.token(subject="alice"))


async def _published(system: System) -> AbstractIncomingMessage | None:
    """The one command in the queue, if there is one; it is taken out."""
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)
    message = await queue.get(fail=False, no_ack=True)
    assert await queue.get(fail=False, no_ack=True) is None
    return message


@pytest.mark.parametrize(
    ("row", "status", "message"),
    [
        (QUEUED, "accepted", "Cancellation of run {} accepted."),
        (RUNNING, "accepted", "Cancellation of run {} accepted."),
        (CANCELING, "accepted", "Cancellation of run {} is already in progress."),
        (NEVER_STARTED, "no_op", "Run {} is already canceled."),
        (PASS, "no_op", "Run {} has already finished (pass)."),
        (FAIL, "no_op", "Run {} has already finished (fail)."),
        (ERROR, "no_op", "Run {} has already finished (error)."),
        ({**ERROR, "loss": {"cause": "launcher_died"}}, "accepted", STOPPED_REST.format("error")),
        ({**PASS, "left_behind": LEFT}, "accepted", STOPPED_REST.format("pass")),
        ({**FAIL, "left_behind": LEFT}, "accepted", STOPPED_REST.format("fail")),
        (
            {**PASS, "left_behind": {**LEFT, "proof": "cgroup_empty"}},
            "no_op",
            "Run {} has already finished (pass).",
        ),
    ],
    ids=lambda value: value["status"] if isinstance(value, dict) else "",
)
async def test_each_state_has_its_answer_and_every_request_is_published(
    system: System, api: Api, row: Row, status: str, message: str
) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, row)

    answer = await api.cancel(run_id)

    assert answer.status == 202
    assert answer.body == {
        "run_id": run_id,
        "new_run_id": None,
        "action": "cancel",
        "status": status,
        "message": message.format(run_id),
    }
    assert answer.headers["Location"] == f"/api/v1/runs/{run_id}"
    published = await _published(system)
    assert published is not None
    assert json.loads(published.body)["run_id"] == run_id


async def test_the_command_is_as_documented(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    await api.cancel(run_id, {"reason": "superseded \N{SNOWMAN}"})

    message = await _published(system)
    assert message is not None
    command = json.loads(message.body)
    assert UUID(command.pop("command_id")).version == 4
    requested_at = datetime.fromisoformat(command.pop("requested_at"))
    assert abs(datetime.now(UTC) - requested_at) < timedelta(seconds=30)
    assert command == {
        "run_id": run_id,
        "reason": "superseded \N{SNOWMAN}",
        "requested_by": "alice",
        "force": False,
    }
    assert message.message_id == json.loads(message.body)["command_id"]
    assert message.type == CANCEL_TYPE
    assert message.delivery_mode == DeliveryMode.PERSISTENT
    assert message.content_type == "application/json"
    assert message.app_id == "cancel-gateway"
    assert message.user_id == URL(system.amqp_url).user
    assert message.timestamp is not None
    assert (message.exchange, message.routing_key) == (system.topology.commands, REST_KEY)


async def test_two_requests_are_two_commands(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)

    assert [(await api.cancel(run_id)).status for _ in range(2)] == [202, 202]

    first, second = [await queue.get(no_ack=True) for _ in range(2)]
    assert first.message_id != second.message_id


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", None),
        (b"", "application/json"),
        (b"", "text/plain"),
        (b"  \r\n", "application/json"),
        (b"{}", "application/json"),
        (b"{}", "application/json; charset=utf-8"),
        (b"{}", "application/json; charset=UTF8"),
        (b"{}", None),
        (b'{"reason": ""}', "application/json"),
        (json.dumps({"reason": "\N{GRINNING FACE}" * 255}).encode(), "application/json"),
    ],
)
async def test_a_body_is_optional(
    system: System, api: Api, body: bytes, content_type: str | None
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    assert (await api.send(run_id, body, content_type)).status == 202

    message = await _published(system)
    assert message is not None
    sent: dict[str, Any] = json.loads(body) if body.strip() else {}
    assert json.loads(message.body).get("reason") == (sent.get("reason") or None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'"reason"', "body"),
        (b"1", "body"),
        (b"[" * 5000, "body"),
        (b'{"reason": 1}', "body.reason"),
        (b'{"reason": null}', "body.reason"),
        (b'{"reason": ["a"]}', "body.reason"),
        (b'{"reason": "a", "force": true}', "body.force"),
        (b'{"Reason": "a"}', "body.Reason"),
        (json.dumps({"reason": "r" * 256}).encode(), "body.reason"),
        (b'{"reason": "a\\u0000b"}', "body.reason"),
        (b'{"reason": "\\ud800"}', "body"),
        (b'{"reason": "\xff"}', "body"),
    ],
    ids=lambda value: value[:30].decode(errors="replace") if isinstance(value, bytes) else None,
)
async def test_a_body_that_does_not_say_what_it_must_is_refused(
    system: System, api: Api, body: bytes, field: str
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answer = await api.send(run_id, body, "application/json")

    assert answer.error == (400, "validation_error")
    assert list(answer.body["details"]["fields"]) == [field]
    assert await _published(system) is None


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "x"])
async def test_a_body_of_another_type_is_refused(
    system: System, api: Api, content_type: str
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answer = await api.send(run_id, b"{}", content_type)

    assert answer.error == (415, "validation_error")
    assert list(answer.body["details"]["fields"]) == ["Content-Type"]


async def test_a_body_over_the_limit_is_refused(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answer = await api.send(run_id, b" " * 16385, "application/json")

    assert answer.error == (413, "validation_error")
    assert list(answer.body["details"]["fields"]) == ["body"]


@pytest.mark.parametrize(("size", "status"), [(16384, 202), (16385, 413)])
async def test_the_limit_holds_for_a_body_in_a_chunk_that_comes_with_its_head(
    system: System, api: Api, size: int, status: int
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)

    writer.write(
        b"POST /api/v1/runs/%d/cancel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (run_id, api.token.encode(), size, b" " * size)
    )

    async with asyncio.timeout(DEADLINE):
        assert int((await reader.readline()).split()[1]) == status
    writer.close()
    assert (await _published(system) is not None) == (status == 202)


@pytest.mark.parametrize("encoding", ["gzip", "br", "nonsense"])
async def test_an_encoded_body_is_refused(system: System, api: Api, encoding: str) -> None:
    answer = await api.cancel(
        1,
        data=gzip.compress(b"{}"),
        headers={"Authorization": f"Bearer {api.token}", "Content-Encoding": encoding},
    )

    assert answer.error == (415, "validation_error")
    assert list(answer.body["details"]["fields"]) == ["Content-Encoding"]
    assert await _published(system) is None


async def test_a_request_with_its_own_ids_cannot_choose_them(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answer = await api.cancel(run_id, {"command_id": str(uuid4()), "requested_by": "root"})

    assert answer.error == (400, "validation_error")
    assert set(answer.body["details"]["fields"]) == {"body.command_id", "body.requested_by"}
