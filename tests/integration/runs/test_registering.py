"""PUT /api/v1/runs/{run_id} and POST /api/v1/runs: what is registered, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.auth.access import Scope
from shared.tokens import Role
from tests.support.http.api import Answer, Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.rows import PASS, RUNNING, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
run_ids = count(1000)

FULL: Final[Json] = {
    "grace_seconds": 2.5,
    "stop_signal": "SIGINT",
    "stop_scope": "leader",
    "leftovers": "keep",
    "labels": {"branch": "main", "Ü": "a:b \n", "empty": ""},
    "url": "https://ci.example/runs/1?a=b#c",
    "start_before": "2126-11-29T10:00:00.5+01:00",
}
DEFAULTS: Final[Json] = {
    "grace_seconds": None,
    "stop_signal": "SIGTERM",
    "stop_scope": "tree",
    "leftovers": "stop",
    "labels": {},
    "url": None,
    "start_before": None,
}
NO_RUN: Final = {"run": "must be an object"}
REPEATED: Final = "appears earlier in this request; only the first one counts"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    token = await system.token(Role.USER, (Scope.RUNS_REGISTER, Scope.RUNS_READ))
    return Api(await system.gateway(), system.http, token)


async def _put(api: Api, run_id: object, body: Any = None) -> Answer:
    options = {} if body is None else {"json": body}
    return await api.ask("PUT", f"/api/v1/runs/{run_id}", **options)


async def _post(api: Api, *runs: Any) -> list[Json]:
    answer = await api.ask("POST", "/api/v1/runs", json={"runs": runs})
    assert answer.status == 200, answer.body
    results: list[Json] = answer.body["results"]
    return results


async def _send(api: Api, method: str, path: str, body: str) -> Answer:
    """`body` exactly as it is."""
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    return await api.ask(method, f"/api/v1/runs{path}", data=body, headers=headers)


async def _options(system: System, run_id: int) -> Json:
    run = await system.run(run_id)
    return {name: run[name] for name in DEFAULTS} | {"labels": json.loads(run["labels"])}


async def _is_unknown(system: System, run_id: int) -> bool:
    return not await system.database.fetchval(
        "SELECT EXISTS (SELECT FROM runs WHERE run_id = $1)", run_id
    )


def _fields(answer: Answer) -> Json:
    assert answer.error == (400, "validation_error"), answer.body
    fields: Json = answer.body["details"]["fields"]
    return fields


async def test_a_run_is_registered_with_its_options(system: System, api: Api) -> None:
    run_id = next(run_ids)

    answer = await _put(api, run_id, FULL)

    assert (answer.status, answer.body) == (201, {"run_id": run_id, "result": "created"})
    assert answer.headers["Location"] == f"/api/v1/runs/{run_id}"
    assert (await system.run(run_id))["status"] == "queued"
    assert await _options(system, run_id) == {
        **FULL,
        "start_before": datetime(2126, 11, 29, 9, 0, 0, 500_000, UTC),
    }
    shown = (await api.ask("GET", answer.headers["Location"])).body
    for name in ("labels", "url"):
        assert shown[name] == FULL[name]
    assert (shown["start_before"], shown["expired"]) == ("2126-11-29T09:00:00.500000Z", False)


@pytest.mark.parametrize("body", [None, {}, DEFAULTS], ids=["none", "empty", "defaults"])
async def test_without_options_a_run_has_the_defaults(
    system: System, api: Api, body: Json | None
) -> None:
    run_id = next(run_ids)

    assert (await _put(api, run_id, body)).status == 201
    assert await _options(system, run_id) == DEFAULTS


async def test_a_repeat_is_answered_and_changes_nothing(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await _put(api, run_id, FULL)
    before = await system.run(run_id)

    again = await _put(api, run_id, {**FULL, "start_before": "2126-11-29T09:00:00.500Z"})

    assert (again.status, again.body["result"]) == (200, "exists")
    assert "Location" not in again.headers
    assert await _post(api, {"run_id": run_id, **FULL}) == [{"run_id": run_id, "result": "exists"}]
    assert await system.run(run_id) == before


@pytest.mark.parametrize(
    "other", [{**FULL, name: DEFAULTS[name]} for name in FULL], ids=FULL.keys()
)
async def test_other_options_are_a_conflict(system: System, api: Api, other: Json) -> None:
    run_id = next(run_ids)
    await _put(api, run_id, FULL)
    before = await system.run(run_id)

    answer = await _put(api, run_id, other)

    assert answer.error == (409, "conflict")
    assert answer.body["message"] == f"Run {run_id} is on record with other options."
    assert answer.body["details"] == {"resource": "run", "id": run_id, "reason": "differs"}
    assert await _post(api, {"run_id": run_id, **other}) == [
        {"run_id": run_id, "result": "conflict"}
    ]
    assert await system.run(run_id) == before


@pytest.mark.parametrize("state", [RUNNING, PASS], ids=["running", "over"])
async def test_a_run_past_queued_is_a_conflict(system: System, api: Api, state: Json) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, {**state, "pid": run_id})

    answer = await _put(api, run_id)

    assert answer.error == (409, "conflict")
    assert answer.body["message"] == f"Run {run_id} is on record and no longer queued."
    assert answer.body["details"]["reason"] == "not_queued"
    assert await _post(api, {"run_id": run_id}) == [{"run_id": run_id, "result": "conflict"}]


INVALID: Final = [
    ({"labels": {"a\0": "x"}}, "labels.a\0", "must not contain NUL characters"),
    ({"labels": {"a": "\0"}}, "labels.a", "must not contain NUL characters"),
    ({"labels": {"a:b": "x"}}, "labels.a:b", "must not contain a colon"),
    ({"labels": {"": "x"}}, "labels.", "must have at least 1 character"),
    ({"labels": {"k" * 64: ""}}, f"labels.{'k' * 64}", "must have at most 63 characters"),
    ({"labels": {"k": "v" * 256}}, "labels.k", "must have at most 255 characters"),
    ({"labels": {"k": 1}}, "labels.k", "must be a string"),
    ({"labels": {"k": None}}, "labels.k", "must be a string"),
    ({"labels": ["a:b"]}, "labels", "must be an object"),
    ({"labels": None}, "labels", "must be an object"),
    ({"url": "javascript:alert(1)"}, "url", ...),
    ({"url": "https://ci.example/\n"}, "url", ...),
    ({"url": "https://ci.example/ü"}, "url", ...),
    ({"url": "https://" + "x" * 2041}, "url", "must have at most 2048 characters"),
    ({"start_before": "2126-11-29T10:00:00"}, "start_before", ...),
    ({"start_before": "2126-11-29"}, "start_before", ...),
    ({"start_before": "4000000000"}, "start_before", ...),
    ({"start_before": 4_000_000_000}, "start_before", ...),
    ({"start_before": "0001-01-01T00:00:00+01:00"}, "start_before", "is out of range"),
    ({"start_before": "9999-12-31T23:59:59-01:00"}, "start_before", "is out of range"),
    ({"start_before": "0001-01-01T01:00:00+01:00"}, "start_before", "is out of range"),
    ({"start_before": "9999-12-31T23:59:59.999999Z"}, "start_before", "is out of range"),
    ({"stop_signal": "SIGKILL"}, "stop_signal", ...),
    ({"stop_scope": "all"}, "stop_scope", "must be 'tree' or 'leader'"),
    ({"grace_seconds": -1}, "grace_seconds", "must be at least 0"),
    ({"grace_seconds": 601}, "grace_seconds", "must be at most 600"),
    ({"grace_seconds": "5"}, "grace_seconds", "must be a number"),
    ({"status": "running"}, "status", "is not a field of this request"),
    ({"leftovers": "kill"}, "leftovers", "must be 'stop' or 'keep'"),
]


@pytest.mark.parametrize(("options", "field", "problem"), INVALID)
async def test_an_invalid_option_is_named_and_nothing_is_registered(
    system: System, api: Api, options: Json, field: str, problem: Any
) -> None:
    run_id, good = next(run_ids), next(run_ids)

    fields = _fields(await _put(api, run_id, options))
    invalid, taken = await _post(api, {"run_id": run_id, **options}, {"run_id": good})

    assert fields == {f"body.{field}": fields[f"body.{field}"]}
    assert (invalid["run_id"], invalid["result"]) == (run_id, "invalid")
    assert invalid["fields"] == {field: fields[f"body.{field}"]}
    assert problem is ... or invalid["fields"][field] == problem
    assert taken == {"run_id": good, "result": "created"}
    assert await _is_unknown(system, run_id)


async def test_17_labels_are_too_many(system: System, api: Api) -> None:
    run_id, good = next(run_ids), next(run_ids)
    labels = {f"k{number}": "" for number in range(17)}

    assert "at most 16" in _fields(await _put(api, run_id, {"labels": labels}))["body.labels"]
    results = await _post(api, {"run_id": run_id, "labels": labels}, {"run_id": good})

    assert results[0]["fields"] == {"labels": "must have at most 16 items"}
    assert results[1]["result"] == "created"
    del labels["k0"]
    assert (await _put(api, run_id, {"labels": labels})).status == 201


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

    results = await _post(api, {"run_id": first}, run, {"run_id": last, **FULL})

    assert results[0] == {"run_id": first, "result": "created"}
    assert (results[1]["run_id"], results[1]["result"]) == (told, "invalid")
    assert fields is ... or results[1]["fields"] == fields
    assert results[2] == {"run_id": last, "result": "created"}
    assert (await system.run(last))["stop_scope"] == "leader"
    assert await _is_unknown(system, 7)


async def test_a_run_that_appears_twice_is_taken_once(system: System, api: Api) -> None:
    run_id, bad = next(run_ids), next(run_ids)

    results = await _post(
        api,
        *({"run_id": run_id}, {"run_id": run_id, **FULL}, {"run_id": run_id, "x": 1}),
        *({"run_id": bad, "x": 1}, {"run_id": bad}),
    )

    repeated = {"result": "invalid", "fields": {"run_id": REPEATED}}
    assert results[0] == {"run_id": run_id, "result": "created"}
    assert results[1] == results[2] == {"run_id": run_id, **repeated}
    assert results[3]["fields"] == {"x": "is not a field of this request"}
    assert results[4] == {"run_id": bad, **repeated}
    assert await _options(system, run_id) == DEFAULTS
    assert await _is_unknown(system, bad)


async def test_the_results_are_in_the_order_of_the_request(system: System, api: Api) -> None:
    ids = [next(run_ids) for _ in range(1000)][::-1]
    await _put(api, ids[1], FULL)
    await _put(api, ids[2])

    results = await _post(api, *({"run_id": run_id} for run_id in ids))

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
    assert field in _fields(await _send(api, "POST", "", body))
    assert await _is_unknown(system, 7)


async def test_a_batch_may_be_larger_than_other_bodies(system: System, api: Api) -> None:
    run_id = next(run_ids)
    batch = json.dumps({"runs": [{"run_id": run_id}]})

    large = await _send(api, "POST", "", batch.ljust(1024 * 1024))
    too_large = await _send(api, "POST", "", batch.ljust(1024 * 1024 + 1))
    put = await _send(api, "PUT", f"/{run_id}", "{}".ljust(16385))
    cancel = await _send(api, "POST", f"/{run_id}/cancel", "{}".ljust(16385))

    assert large.body["results"] == [{"run_id": run_id, "result": "created"}]
    assert (too_large.status, put.status) == (413, 413)
    assert cancel.status == 403  # the scope comes first
    everything = Api(api.url, api.http, await system.token())
    assert (await _send(everything, "POST", f"/{run_id}/cancel", "{}".ljust(16385))).status == 413


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


@pytest.mark.parametrize("run_id", [2**63, 10**100])
async def test_an_id_that_no_run_can_have_is_refused(api: Api, run_id: int) -> None:
    assert _fields(await _put(api, run_id)) == {"run_id": f"must be at most {2**63 - 1}"}


async def test_the_id_is_in_the_path_alone(system: System, api: Api) -> None:
    run_id = next(run_ids)

    fields = _fields(await _put(api, run_id, {"run_id": run_id + 10**6}))

    assert fields == {"body.run_id": "is not a field of this request"}
    assert await _is_unknown(system, run_id)
    assert await _is_unknown(system, run_id + 10**6)


async def test_of_many_at_once_one_registers_the_run(system: System, api: Api) -> None:
    run_id = next(run_ids)

    same = await asyncio.gather(*(_put(api, run_id, FULL) for _ in range(10)))
    assert sorted(answer.status for answer in same) == [200] * 9 + [201]

    run_id = next(run_ids)
    different = await asyncio.gather(
        *(_put(api, run_id, {"grace_seconds": number}) for number in range(10))
    )
    assert sorted(answer.status for answer in different) == [201] + [409] * 9
    (number,) = (number for number, answer in enumerate(different) if answer.status == 201)
    assert (await system.run(run_id))["grace_seconds"] == number


async def test_batches_in_any_order_wait_for_each_other(system: System, api: Api) -> None:
    ids = [next(run_ids) for _ in range(300)]

    both = await asyncio.gather(
        *(_post(api, *({"run_id": run_id} for run_id in order)) for order in (ids, ids[::-1]) * 4)
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
        batch = asyncio.create_task(_post(api, {"run_id": other}, {"run_id": own}))
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


async def test_a_label_finds_the_run_and_an_event_tells_of_it(system: System, api: Api) -> None:
    run_id = next(run_ids)

    await _put(api, run_id, FULL)

    rows = await system.database.fetch("SELECT label FROM run_labels WHERE run_id = $1", run_id)
    assert {row["label"] for row in rows} == {"branch:main", "Ü:a:b \n", "empty:"}
    types = await system.database.fetch("SELECT type FROM outbox WHERE run_id = $1", run_id)
    assert [row["type"] for row in types] == ["run.registered"]


async def test_a_run_registered_otherwise_is_the_same_run(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id, 5.0, "SIGINT")

    same = await _put(api, run_id, {"grace_seconds": 5, "stop_signal": "SIGINT"})

    assert same.status == 200
