"""POST /cancellations: many runs, each with a command and a result of its own."""

import json
from collections.abc import AsyncIterator, Mapping
from itertools import count
from time import monotonic
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
import pytest_asyncio

from tests.support.http.api import Answer, Api
from tests.support.shared_system import shared_system
from tests.support.telemetry.exposition import scrape
from tools.services import Services
from tools.support.proxy import TcpProxy
from tools.support.rows import CANCELING, PASS, RUNNING, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
BASIC_ACK = b"\x00\x3c\x00\x50"
FORMS = "must have either run_ids, or labels and before_run"


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


async def _bulk(api: Api, body: object, key: UUID | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {api.token}"}
    if key is not None:
        headers["Idempotency-Key"] = str(key)
    return await api.ask("POST", "/api/v1/cancellations", json=body, headers=headers)


async def _published(system: System) -> dict[int, Any]:
    """The commands in the queue, by run; they are taken out."""
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)
    commands = {}
    while message := await queue.get(fail=False, no_ack=True):
        command = json.loads(message.body)
        assert command["run_id"] not in commands
        commands[command["run_id"]] = command
    return commands


async def _queue(system: System, *labels: Mapping[str, str]) -> list[int]:
    added = [next(run_ids) for _ in labels]
    await system.database.executemany(
        "INSERT INTO runs (run_id, labels) VALUES ($1, $2::jsonb)",
        [(run_id, json.dumps(it)) for run_id, it in zip(added, labels, strict=True)],
    )
    return added


async def test_each_run_has_a_result_in_the_order_of_the_request(system: System, api: Api) -> None:
    queued, over = next(run_ids), next(run_ids)
    await system.add_run(queued)
    await insert_run(system.database, over, PASS)
    unknown = 2**63 - 1

    answer = await _bulk(api, {"run_ids": [unknown, over, queued], "reason": "superseded"})

    assert answer.status == 202
    published = await _published(system)
    assert answer.body == {
        "results": [
            {"run_id": unknown, "status": "not_found", "command_id": None},
            {"run_id": over, "status": "no_op", "command_id": published[over]["command_id"]},
            {"run_id": queued, "status": "accepted", "command_id": published[queued]["command_id"]},
        ],
        "matched": 2,
    }
    assert published[queued]["reason"] == "superseded"
    assert published[queued]["requested_by"] == "alice"
    assert published[queued]["force"] is False


async def test_only_unknown_runs_are_no_outage(system: System, api: Api) -> None:
    answer = await _bulk(api, {"run_ids": [2**63 - 1]})

    assert (answer.status, answer.body["matched"]) == (202, 0)
    assert answer.body["results"][0]["status"] == "not_found"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"reason": "x"}, "body"),
        ({"labels": {"a": "b"}}, "body"),
        ({"before_run": 5}, "body"),
        ({"run_ids": [1], "labels": {"a": "b"}, "before_run": 5}, "body"),
        ({"run_ids": [1], "before_run": 5}, "body"),
        ({"run_ids": []}, "body.run_ids"),
        ({"run_ids": list(range(1, 502))}, "body.run_ids"),
        ({"run_ids": [1, 2, 1]}, "body.run_ids"),
        ({"run_ids": [0]}, "body.run_ids.0"),
        ({"run_ids": [1, 2**63]}, "body.run_ids.1"),
        ({"run_ids": ["1"]}, "body.run_ids.0"),
        ({"run_ids": [True]}, "body.run_ids.0"),
        ({"run_ids": None}, "body.run_ids"),
        ({"labels": {}, "before_run": 5}, "body.labels"),
        ({"labels": {"a": "b"}, "before_run": 0}, "body.before_run"),
        ({"labels": {"a": "b\0"}, "before_run": 5}, "body.labels.a"),
        ({"labels": {"a:b": "c"}, "before_run": 5}, "body.labels.a:b"),
        ({"labels": {f"k{n}": "v" for n in range(17)}, "before_run": 5}, "body.labels"),
        ({"labels": {"a": "v" * 256}, "before_run": 5}, "body.labels.a"),
        ({"run_ids": [1], "force": True}, "body.force"),
    ],
)
async def test_a_bad_body_is_refused_whole(
    system: System, api: Api, body: object, field: str
) -> None:
    answer = await _bulk(api, body)

    assert answer.error == (400, "validation_error")
    assert list(answer.body["details"]["fields"]) == [field]
    if field == "body":
        assert answer.body["details"]["fields"] == {"body": FORMS}
    assert await _published(system) == {}


async def test_labels_find_the_queued_and_running_runs_before_one_that_have_all_of_them(
    system: System, api: Api
) -> None:
    both = {"branch": "main", "repository": "web"}
    first, *others, open_one, newest = await _queue(
        system, both, {"branch": "main"}, {**both, "branch": "main2"}, {}, both, both
    )
    for row in (PASS, CANCELING):
        await insert_run(system.database, next(run_ids), {**row, "labels": both})
    running = next(run_ids)
    await insert_run(system.database, running, {**RUNNING, "labels": {**both, "more": "x"}})
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force)"
        " VALUES (gen_random_uuid(), $1, 'rest', false)",
        open_one,
    )

    answer = await _bulk(api, {"labels": both, "before_run": running + 1})
    assert [it["run_id"] for it in answer.body["results"]] == [first, newest, running]
    assert answer.body["matched"] == 3
    assert set(await _published(system)) == {first, newest, running}

    answer = await _bulk(api, {"labels": both, "before_run": newest})
    assert [it["run_id"] for it in answer.body["results"]] == [first]
    assert set(await _published(system)) == {first}
    assert len(others) == 3


async def test_nothing_that_matches_is_an_empty_result(system: System, api: Api) -> None:
    answer = await _bulk(api, {"labels": {"none": "such"}, "before_run": 2**63 - 1})

    assert (answer.status, answer.body) == (202, {"results": [], "matched": 0})


async def test_of_more_than_500_the_oldest_are_canceled_and_the_rest_is_counted(
    system: System, api: Api
) -> None:
    added = await _queue(system, *([{"many": "yes"}] * 502))

    answer = await _bulk(api, {"labels": {"many": "yes"}, "before_run": added[-1]})

    assert [it["run_id"] for it in answer.body["results"]] == added[:500]
    assert answer.body["matched"] == 501
    assert sorted(await _published(system)) == added[:500]


async def test_a_retry_with_the_key_repeats_the_same_commands(system: System, api: Api) -> None:
    added = await _queue(system, {}, {})
    key = uuid4()
    first = await _bulk(api, {"run_ids": added}, key)
    published = await _published(system)
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force, requested_at, outcome,"
        " finished_at, evidence) VALUES ($1, $2, 'rest', false, $3::text::timestamptz,"
        " 'canceled', now(), '{\"proof\": \"never_started\"}')",
        uuid5(key, str(added[0])),
        added[0],
        published[added[0]]["requested_at"],
    )
    await system.database.execute(
        "UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'never_started'"
        " WHERE run_id = $1",
        added[0],
    )

    again = await _bulk(api, {"run_ids": added}, key)

    assert again.body == first.body
    assert [it["command_id"] for it in first.body["results"]] == [
        str(uuid5(key, str(run_id))) for run_id in added
    ]
    # The other one is not on record yet: a repeat, which the worker drops.
    assert set(await _published(system)) == {added[1]}


async def test_a_broker_that_goes_away_in_the_middle_is_told_by_each_result(
    system: System, api: Api
) -> None:
    added = await _queue(system, *([{}] * 500))
    key = uuid4()
    async with TcpProxy(system.amqp_url) as amqp:
        program = await system.program(
            "gateway", "serve", "--port", "0", AMQP_URL=amqp.proxied, CANCEL_CONFIRM_TIMEOUT="1"
        )
        url = (await program.event("gateway_ready"))["url"]
        confirms = 0

        def stall_later(data: bytes) -> None:
            nonlocal confirms
            confirms += BASIC_ACK in data
            if confirms == 2:
                amqp.stall_answers()

        amqp.on_answer = stall_later
        answer = await _bulk(Api(url, api.http, api.token), {"run_ids": added}, key)

        assert answer.status == 202
        statuses = [it["status"] for it in answer.body["results"]]
        assert set(statuses) == {"accepted", "unavailable"}
        assert all(it["command_id"] for it in answer.body["results"])
        began = monotonic()
        nothing = await _bulk(Api(url, api.http, api.token), {"run_ids": added})
        assert nothing.error == (503, "unavailable")
        # 100 at a time, each for a second; but after the first second none begins.
        assert monotonic() - began < 4
    published = set(await _all_published(system))
    sure = {it["run_id"] for it in answer.body["results"] if it["status"] == "accepted"}
    assert sure <= published


async def _all_published(system: System) -> set[int]:
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)
    found = set()
    while message := await queue.get(fail=False, no_ack=True):
        found.add(json.loads(message.body)["run_id"])
    return found


async def test_each_result_is_counted(system: System) -> None:
    url = await system.gateway()
    api = Api(url, system.http, await system.token())
    added = await _queue(system, {}, {})

    await _bulk(api, {"run_ids": [*added, 2**63 - 1]})
    await _bulk(api, {})

    metrics = await scrape(system.http, url)
    counted = {
        outcome: metrics.value("cancel_accepts_total", outcome=outcome)
        for outcome in ("accepted", "not_found", "validation_error")
    }
    assert counted == {"accepted": 2, "not_found": 1, "validation_error": 1}
    await system.purge(system.topology.rest)
