"""A publisher whom the broker did not check is unknown, whatever program sends its command on."""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from yarl import URL

from shared.commands import CANCEL_TYPE
from tests.support.records.letters import editor_that
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.records import Json
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("who")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker(keep_dead_letters="true")


async def _letter_of(system: System, user_id: str | None = None) -> Json:
    """A command that is dead at once, since it is used for a second run."""
    command_id = str(uuid4())
    first, second = next(run_ids), next(run_ids)
    for run_id in (first, second):
        await system.add_run(run_id)
    await system.outcome_of(await system.publish(first, command_id=command_id))
    await system.publish(second, user_id=user_id, command_id=command_id)
    return await system.dead_letter_kept(command_id)


async def _listed(system: System, *arguments: str) -> list[Json]:
    code, out, err = await system.cli("worker", "dead-letters", "list", "--json", *arguments)
    assert code == 0, err
    found: list[Json] = json.loads(out)
    return found


@pytest.mark.parametrize("known", [False, True])
async def test_it_stays_as_known_as_it_was_through_a_retry(
    system: System, worker: Program, known: bool
) -> None:
    user = URL(system.amqp_url).user if known else None
    run_id = next(run_ids)
    command_id = await system.publish(run_id, user_id=user)
    await worker.event("command_retried", command_id=command_id)

    await system.add_run(run_id)

    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["via"], row["publisher"]) == ("canceled", "direct", user)


@pytest.mark.parametrize("known", [False, True])
async def test_it_stays_so_in_a_dead_letter(system: System, worker: Program, known: bool) -> None:
    user = URL(system.amqp_url).user if known else None

    assert (await _letter_of(system, user))["publisher"] == user


async def test_unknown_ones_can_be_asked_for_and_are_counted_as_such(
    system: System, worker: Program
) -> None:
    user = str(URL(system.amqp_url).user)
    unknown = (await _letter_of(system))["letter_id"]
    known = (await _letter_of(system, user))["letter_id"]

    found = {row["letter_id"] for row in await _listed(system, "--publisher", "unknown")}
    assert (unknown in found, known in found) == (True, False)
    found = {row["letter_id"] for row in await _listed(system, "--publisher", user)}
    assert (unknown in found, known in found) == (False, True)
    counts = {
        row["value"]: row["letters"] for row in await _listed(system, "--count-by", "publisher")
    }
    assert counts[None] >= 1
    assert counts[user] >= 1
    _, table, _ = await system.cli("worker", "dead-letters", "list", "--count-by", "publisher")
    assert [line for line in table.splitlines() if line.split()[:1] == ["unknown"]]


async def test_it_stays_so_through_a_replay_and_an_edit(system: System, worker: Program) -> None:
    letter = await _letter_of(system)
    env = {"EDITOR": editor_that(system.directory, "text + ' '")}
    number = str(letter["letter_id"])

    code, _, err = await system.cli(
        "worker", "dead-letters", "replay", number, "--edit", "--wait", "20", env=env
    )

    assert code == 0, err
    rows = await system.cancellations(letter["run_id"])
    assert [(row["via"], row["publisher"]) for row in rows] == [("replay", None)]
    again = await _letter_of(system)
    code, _, err = await system.cli(
        "worker", "dead-letters", "replay", str(again["letter_id"]), "--wait", "20"
    )
    assert code == 1, err
    newest = (await _listed(system, "--limit", "1"))[0]
    assert (newest["replay_of"], newest["publisher"]) == (again["letter_id"], None)


async def test_it_stays_so_on_its_way_to_another_host(system: System, worker: Program) -> None:
    other = await system.worker("another-host")
    run_id = next(run_ids)
    await system.launch_bad_child(run_id, "sleeps", socket=system.socket("another-host"))

    rows = [await system.outcome_of(await system.publish(run_id))]

    assert [(row["outcome"], row["publisher"]) for row in rows] == [("canceled", None)]
    await other.stop()


async def test_it_stays_so_when_a_letter_is_moved_back_with_tools_of_the_broker(
    system: System, worker: Program
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": run_id}).encode()
    # As we bury it: under our own user, and with no publisher noted.
    properties: dict[str, Any] = {
        "type": CANCEL_TYPE,
        "user_id": URL(system.amqp_url).user,
        "headers": {
            "x-attempt": 4, "x-via": "direct", "x-letter": "k", "x-reason": "unknown_run",
            "x-error": "e", "x-original-exchange": "e", "x-original-routing-key": "k",
        },
    }  # fmt: skip
    await system.add_run(run_id)

    await system.channel.default_exchange.publish(
        aio_pika.Message(body, **properties), system.topology.cancel
    )

    row = await system.outcome_of(command_id)
    assert (row["via"], row["publisher"]) == ("replay", None)


async def test_what_others_note_is_not_believed(system: System, worker: Program) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)
    body = json.dumps({"command_id": command_id, "run_id": run_id}).encode()

    await system.publish_raw(
        body, type=CANCEL_TYPE, headers={"x-via": "rest", "x-publisher": "gateway", "x-attempt": 2}
    )

    row = await system.outcome_of(command_id)
    assert (row["via"], row["publisher"]) == ("direct", None)
