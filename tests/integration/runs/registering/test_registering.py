"""PUT /api/v1/runs/{run_id}: what is registered, and what is refused."""

import asyncio
from datetime import UTC, datetime
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
)
from tools.support.records import Json
from tools.support.rows import PASS, RUNNING, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")
run_ids = count(1000)


async def test_a_run_is_registered_with_its_options(system: System, api: Api) -> None:
    run_id = next(run_ids)

    answer = await put(api, run_id, FULL)

    assert (answer.status, answer.body) == (201, {"run_id": run_id, "result": "created"})
    assert answer.headers["Location"] == f"/api/v1/runs/{run_id}"
    assert (await system.run(run_id))["status"] == "queued"
    assert await options_of(system, run_id) == {
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

    assert (await put(api, run_id, body)).status == 201
    assert await options_of(system, run_id) == DEFAULTS


async def test_a_repeat_is_answered_and_changes_nothing(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await put(api, run_id, FULL)
    before = await system.run(run_id)

    again = await put(api, run_id, {**FULL, "start_before": "2126-11-29T09:00:00.500Z"})

    assert (again.status, again.body["result"]) == (200, "exists")
    assert "Location" not in again.headers
    assert await post(api, {"run_id": run_id, **FULL}) == [{"run_id": run_id, "result": "exists"}]
    assert await system.run(run_id) == before


@pytest.mark.parametrize(
    "other", [{**FULL, name: DEFAULTS[name]} for name in FULL], ids=FULL.keys()
)
async def test_other_options_are_a_conflict(system: System, api: Api, other: Json) -> None:
    run_id = next(run_ids)
    await put(api, run_id, FULL)
    before = await system.run(run_id)

    answer = await put(api, run_id, other)

    assert answer.error == (409, "conflict")
    assert answer.body["message"] == f"Run {run_id} is on record with other options."
    assert answer.body["details"] == {"resource": "run", "id": run_id, "reason": "differs"}
    assert await post(api, {"run_id": run_id, **other}) == [
        {"run_id": run_id, "result": "conflict"}
    ]
    assert await system.run(run_id) == before


@pytest.mark.parametrize("state", [RUNNING, PASS], ids=["running", "over"])
async def test_a_run_past_queued_is_a_conflict(system: System, api: Api, state: Json) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, {**state, "pid": run_id})

    answer = await put(api, run_id)

    assert answer.error == (409, "conflict")
    assert answer.body["message"] == f"Run {run_id} is on record and no longer queued."
    assert answer.body["details"]["reason"] == "not_queued"
    assert await post(api, {"run_id": run_id}) == [{"run_id": run_id, "result": "conflict"}]


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

    fields = refused_fields(await put(api, run_id, options))
    invalid, taken = await post(api, {"run_id": run_id, **options}, {"run_id": good})

    assert fields == {f"body.{field}": fields[f"body.{field}"]}
    assert (invalid["run_id"], invalid["result"]) == (run_id, "invalid")
    assert invalid["fields"] == {field: fields[f"body.{field}"]}
    assert problem is ... or invalid["fields"][field] == problem
    assert taken == {"run_id": good, "result": "created"}
    assert await is_unknown(system, run_id)


async def test_17_labels_are_too_many(system: System, api: Api) -> None:
    run_id, good = next(run_ids), next(run_ids)
    labels = {f"k{number}": "" for number in range(17)}

    assert "at most 16" in refused_fields(await put(api, run_id, {"labels": labels}))["body.labels"]
    results = await post(api, {"run_id": run_id, "labels": labels}, {"run_id": good})

    assert results[0]["fields"] == {"labels": "must have at most 16 items"}
    assert results[1]["result"] == "created"
    del labels["k0"]
    assert (await put(api, run_id, {"labels": labels})).status == 201


@pytest.mark.parametrize("run_id", [2**63, 10**100])
async def test_an_id_that_no_run_can_have_is_refused(api: Api, run_id: int) -> None:
    assert refused_fields(await put(api, run_id)) == {"run_id": f"must be at most {2**63 - 1}"}


async def test_the_id_is_in_the_path_alone(system: System, api: Api) -> None:
    run_id = next(run_ids)

    fields = refused_fields(await put(api, run_id, {"run_id": run_id + 10**6}))

    assert fields == {"body.run_id": "is not a field of this request"}
    assert await is_unknown(system, run_id)
    assert await is_unknown(system, run_id + 10**6)


async def test_of_many_at_once_one_registers_the_run(system: System, api: Api) -> None:
    run_id = next(run_ids)

    same = await asyncio.gather(*(put(api, run_id, FULL) for _ in range(10)))
    assert sorted(answer.status for answer in same) == [200] * 9 + [201]

    run_id = next(run_ids)
    different = await asyncio.gather(
        *(put(api, run_id, {"grace_seconds": number}) for number in range(10))
    )
    assert sorted(answer.status for answer in different) == [201] + [409] * 9
    (number,) = (number for number, answer in enumerate(different) if answer.status == 201)
    assert (await system.run(run_id))["grace_seconds"] == number


async def test_a_label_finds_the_run_and_an_event_tells_of_it(system: System, api: Api) -> None:
    run_id = next(run_ids)

    await put(api, run_id, FULL)

    rows = await system.database.fetch("SELECT label FROM run_labels WHERE run_id = $1", run_id)
    assert {row["label"] for row in rows} == {"branch:main", "Ü:a:b \n", "empty:"}
    types = await system.database.fetch("SELECT type FROM outbox WHERE run_id = $1", run_id)
    assert [row["type"] for row in types] == ["run.registered"]


async def test_a_run_registered_otherwise_is_the_same_run(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id, 5.0, "SIGINT")

    same = await put(api, run_id, {"grace_seconds": 5, "stop_signal": "SIGINT"})

    assert same.status == 200
