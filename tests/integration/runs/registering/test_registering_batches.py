"""POST /api/v1/runs: many runs at once, of which each is taken or refused by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final

import pytest

from tests.support.http.api import Api
from tests.support.http.registering import (
    DEFAULTS,
    FULL,
    is_unknown,
    options_of,
    post,
    put,
    refused_fields,
    send,
)
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
run_ids = count(1000)

NO_RUN: Final = {"run": "must be an object"}
REPEATED: Final = "appears earlier in this request; only the first one counts"


@pytest.mark.parametrize(
    ("run", "told", "fields"),
    [
        *((run, None, NO_RUN) for run in (None, 5, "1", [1], True)),
        ({}, None, {"run_id": "is required"}),
        ({"run_id": 0}, 0, {"run_id": "must be at least 1"}),
        ({"run_id": -5}, -5, {"run_id": "must be at least 1"}),
        ({"run_id": "7"}, None, {"run_id": "must be an integer"}),
        ({"run_id": True}, None, {"run_id": "must be an integer"}),
        ({"run_id": 7.5}, None, {"run_id": "must be an integer"}),
        ({"run_id": 2**63}, None, {"run_id": f"must be at most {2**63 - 1}"}),
        ({"run_id": 10**400}, None, ...),
        ({"run_id": 7, "a": 1, "b": 2}, 7, dict.fromkeys("ab", "is not a field of this request")),
        ({f"k{n}": n for n in range(33)}, None, {"run": "has more than 32 fields"}),
        ({"run_id": 7, "labels": [[[[[[]]]]]]}, 7, {"labels": "must be an object"}),
    ],
    ids=lambda value: f"{value!r:.20}",
)
async def test_a_bad_run_of_a_batch_is_told_and_the_others_are_taken(
    system: System, api: Api, run: Any, told: int | None, fields: Any
) -> None:
    first, last = next(run_ids), next(run_ids)

    results = await post(api, {"run_id": first}, run, {"run_id": last, **FULL})

    assert results[0] == {"run_id": first, "result": "created"}
    assert (results[1]["run_id"], results[1]["result"]) == (told, "invalid")
    assert fields is ... or results[1]["fields"] == fields
    assert results[2] == {"run_id": last, "result": "created"}
    assert (await system.run(last))["stop_scope"] == "leader"
    assert await is_unknown(system, 7)


async def test_a_run_that_appears_twice_is_taken_once(system: System, api: Api) -> None:
    run_id, bad = next(run_ids), next(run_ids)

    results = await post(
        api,
        *({"run_id": run_id}, {"run_id": run_id, **FULL}, {"run_id": run_id, "x": 1}),
        *({"run_id": bad, "x": 1}, {"run_id": bad}),
    )

    repeated = {"result": "invalid", "fields": {"run_id": REPEATED}}
    assert results[0] == {"run_id": run_id, "result": "created"}
    assert results[1] == results[2] == {"run_id": run_id, **repeated}
    assert results[3]["fields"] == {"x": "is not a field of this request"}
    assert results[4] == {"run_id": bad, **repeated}
    assert await options_of(system, run_id) == DEFAULTS
    assert await is_unknown(system, bad)


async def test_the_results_are_in_the_order_of_the_request(system: System, api: Api) -> None:
    ids = [next(run_ids) for _ in range(1000)][::-1]
    await put(api, ids[1], FULL)
    await put(api, ids[2])

    results = await post(api, *({"run_id": run_id} for run_id in ids))

    assert [it["run_id"] for it in results] == ids
    assert [it["result"] for it in results[:4]] == ["created", "conflict", "exists", "created"]
    assert await system.database.fetchval(
        "SELECT count(*) FROM runs WHERE run_id = ANY ($1::bigint[])", ids
    ) == len(ids)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body.runs"),
        ("{}", "body.runs"),
        ('{"runs": []}', "body.runs"),
        ('{"runs": {"run_id": 7}}', "body.runs"),
        ('{"runs": null}', "body.runs"),
        ('[{"run_id": 7}]', "body"),
        ('{"runs": [{"run_id": 7}], "dry_run": true}', "body.dry_run"),
        ('{"runs": [{"run_id": 7}', "body"),
        ('{"runs": [{"run_id": 7, "url": "\\ud800"}]}', "body"),
        ('{"runs": [{"run_id": 7}, ' + "[" * 300 + "]" * 300 + "]}", "body"),
        (json.dumps({"runs": [{"run_id": 7 + n} for n in range(1001)]}), "body.runs"),
        (json.dumps({"runs": [{"run_id": 7}], **{f"k{n}": 1 for n in range(30)}}), "…"),
    ],
    ids=lambda value: f"{value:.20}",
)
async def test_of_a_body_that_is_no_batch_nothing_is_registered(
    system: System, api: Api, body: str, field: str
) -> None:
    assert field in refused_fields(await send(api, "POST", "", body))
    assert await is_unknown(system, 7)


async def test_a_batch_may_be_larger_than_other_bodies(system: System, api: Api) -> None:
    run_id = next(run_ids)
    batch = json.dumps({"runs": [{"run_id": run_id}]})

    large = await send(api, "POST", "", batch.ljust(1024 * 1024))
    too_large = await send(api, "POST", "", batch.ljust(1024 * 1024 + 1))
    put = await send(api, "PUT", f"/{run_id}", "{}".ljust(16385))
    cancel = await send(api, "POST", f"/{run_id}/cancel", "{}".ljust(16385))

    assert large.body["results"] == [{"run_id": run_id, "result": "created"}]
    assert (too_large.status, put.status) == (413, 413)
    assert cancel.status == 403  # the scope comes first
    everything = Api(api.url, api.http, await system.token())
    assert (await send(everything, "POST", f"/{run_id}/cancel", "{}".ljust(16385))).status == 413


async def test_a_batch_that_is_sent_in_pieces_has_the_same_limit(system: System, api: Api) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        yield json.dumps({"runs": [{"run_id": run_id}]}).encode()
        for _ in range(count):
            yield b" " * 65536

    run_id = next(run_ids)
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}

    taken = await api.ask("POST", "/api/v1/runs", data=pieces(15), headers=headers)
    refused = await api.ask("POST", "/api/v1/runs", data=pieces(17), headers=headers)

    assert taken.body["results"] == [{"run_id": run_id, "result": "created"}]
    assert refused.status == 413


async def test_batches_in_any_order_wait_for_each_other(system: System, api: Api) -> None:
    ids = [next(run_ids) for _ in range(300)]

    both = await asyncio.gather(
        *(post(api, *({"run_id": run_id} for run_id in order)) for order in (ids, ids[::-1]) * 4)
    )

    results = [it for results in both for it in results]
    assert [it["result"] for it in results].count("created") == len(ids)
    assert {it["result"] for it in results} == {"created", "exists"}


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_batch_waits_for_another_transaction_that_registers_one_of_its_runs(
    system: System, api: Api, end: str
) -> None:
    other, own = next(run_ids), next(run_ids)
    async with system.database.acquire() as connection:
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO runs (run_id, grace_seconds) VALUES ($1, 5)", other)
        batch = asyncio.create_task(post(api, {"run_id": other}, {"run_id": own}))
        await eventually(lambda: _waits_for_a_lock(system), bool)
        await connection.execute(end)

    assert await batch == [
        {"run_id": other, "result": "conflict" if end == "COMMIT" else "created"},
        {"run_id": own, "result": "created"},
    ]


async def _waits_for_a_lock(system: System) -> bool:
    waits: bool = await system.database.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database())"
    )
    return waits
