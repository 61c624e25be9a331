"""GET /runs/{run_id}/cancellations, and one of them with `?wait=`."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from time import monotonic
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
BAD_AFTER = "must be given once, as the command_id of a cancellation of this run"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    """A gateway with a single connection to Postgres."""
    return Api(await system.gateway(database_pool_size=1), system.http, await system.token())


async def _record(system: System, run_id: int, outcome: str | None = "no_op") -> UUID:
    command_id: UUID = await system.database.fetchval(
        "INSERT INTO cancellations (command_id, run_id, via, force, requested_by, outcome,"
        " finished_at) VALUES (gen_random_uuid(), $1, 'rest', true, 'alice', $2,"
        " CASE WHEN $2::text IS NOT NULL THEN now() END) RETURNING command_id",
        run_id,
        outcome,
    )
    return command_id


async def _settle(system: System, command_id: UUID) -> None:
    await system.database.execute(
        "UPDATE cancellations SET outcome = 'no_op', finished_at = now() WHERE command_id = $1",
        command_id,
    )


async def test_a_page_leads_to_the_next_one_and_all_are_oldest_first(
    system: System, api: Api
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    recorded = [await _record(system, run_id) for _ in range(5)]
    # Received at the same time: their ids decide.
    await system.database.execute(
        "UPDATE cancellations SET received_at = '2026-01-02' WHERE command_id = ANY ($1)",
        recorded[1:3],
    )
    expected = [*sorted(recorded[1:3]), recorded[0], *recorded[3:]]

    found, path, sizes = [], f"/api/v1/runs/{run_id}/cancellations?limit=2", []
    while path:
        answer = await api.ask("GET", path)
        assert answer.status == 200
        sizes.append(len(answer.body["cancellations"]))
        found += [UUID(it["command_id"]) for it in answer.body["cancellations"]]
        link = answer.headers.get("Link")
        path = "" if link is None else link.removeprefix("<").removesuffix('>; rel="next"')

    assert (found, sizes) == (expected, [2, 2, 1])


async def test_a_cancellation_has_what_is_known(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await insert_run(system.database, run_id, RUNNING)
    await system.database.execute(
        "INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, machine_id, seen_at)"
        " VALUES ('h1', gen_random_uuid(), gen_random_uuid(), 5, 'm', now() - interval '1 day')"
    )
    command_id = await _record(system, run_id, None)

    answer = await api.ask("GET", f"/api/v1/runs/{run_id}/cancellations/{command_id}")
    listed = await api.ask("GET", f"/api/v1/runs/{run_id}/cancellations")

    assert listed.body == {"cancellations": [answer.body]}
    assert "Link" not in listed.headers
    shown = answer.body
    assert (shown["force"], shown["requested_by"], shown["outcome"]) == (True, "alice", None)
    assert shown["state"] == "pending"
    assert (shown["waiting_for"]["host"], shown["waiting_for"]["host_state"]) == ("h1", "silent")


async def test_a_run_without_any_has_an_empty_list(system: System, api: Api) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    answer = await api.ask("GET", f"/api/v1/runs/{run_id}/cancellations")

    assert (answer.status, answer.body) == (200, {"cancellations": []})


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.0", "", "1&limit=1", "%D9%A3"])
async def test_a_limit_out_of_range_is_refused(system: System, api: Api, limit: str) -> None:
    answer = await api.ask("GET", f"/api/v1/runs/1/cancellations?limit={limit}")

    assert answer.error == (400, "validation_error")
    assert list(answer.body["details"]["fields"]) == ["limit"]


async def test_a_cursor_of_another_list_is_refused(system: System, api: Api) -> None:
    run_id, other = next(run_ids), next(run_ids)
    await system.add_run(run_id)
    await system.add_run(other)
    foreign = await _record(system, other)

    for after in (foreign, uuid4(), "x", "", f"{foreign}&after={foreign}"):
        answer = await api.ask("GET", f"/api/v1/runs/{run_id}/cancellations?after={after}")

        assert answer.error == (400, "validation_error")
        assert answer.body["details"]["fields"] == {"after": BAD_AFTER}


async def test_the_command_of_another_run_is_not_found_even_if_it_settles(
    system: System, api: Api
) -> None:
    run_id, other = next(run_ids), next(run_ids)
    await system.add_run(run_id)
    await system.add_run(other)
    foreign = await _record(system, other)

    answer = await api.ask("GET", f"/api/v1/runs/{run_id}/cancellations/{foreign}?wait=0.2")

    assert answer.error == (404, "not_found")


async def test_wait_ends_when_the_command_appears_and_settles(system: System, api: Api) -> None:
    run_id, command_id = next(run_ids), uuid4()
    await system.add_run(run_id)
    path = f"/api/v1/runs/{run_id}/cancellations/{command_id}"
    assert (await api.ask("GET", path)).error == (404, "not_found")
    waiting = asyncio.create_task(api.ask("GET", f"{path}?wait=30"))
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force) VALUES ($1, $2, 'rest', false)",
        command_id,
        run_id,
    )
    open_one = await api.ask("GET", f"{path}?wait=0.2")
    assert (open_one.status, open_one.body["outcome"]) == (200, None)
    assert not waiting.done()

    begin = monotonic()
    await _settle(system, command_id)
    answer = await waiting

    assert (answer.status, answer.body["outcome"]) == (200, "no_op")
    assert monotonic() - begin < 10


async def test_wait_on_a_command_that_becomes_a_dead_letter_ends_with_404(
    system: System, api: Api
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    command_id = uuid4()
    path = f"/api/v1/runs/{run_id}/cancellations/{command_id}?wait="
    waiting = asyncio.create_task(api.ask("GET", f"{path}30"))
    worker = await system.worker(keep_dead_letters=True)
    body = {"command_id": str(command_id), "run_id": run_id, "reason": 7}
    await system.publish_raw(json.dumps(body).encode(), type="ci.run.cancel.v7")
    await worker.event("dead_letters_kept")

    answer = await api.ask("GET", f"{path}0.1")

    assert answer.error == (404, "not_found")
    assert answer.body["details"] == {"resource": "cancellation", "id": str(command_id)}
    assert not waiting.done()
    waiting.cancel()


async def test_a_wait_for_a_run_and_one_for_a_command_end_by_themselves(
    system: System, api: Api
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    command_id = await _record(system, run_id, None)
    run = asyncio.create_task(api.ask("GET", f"/api/v1/runs/{run_id}?wait=30"))
    command = asyncio.create_task(
        api.ask("GET", f"/api/v1/runs/{run_id}/cancellations/{command_id}?wait=30")
    )

    await _settle(system, command_id)
    assert (await command).body["outcome"] == "no_op"
    assert not run.done()

    await system.database.execute(
        "UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'never_started'"
        " WHERE run_id = $1",
        run_id,
    )
    assert (await run).body["status"] == "canceled"
