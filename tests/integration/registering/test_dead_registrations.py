"""A registration that cannot be carried out is a dead letter, and is replayed as what it was."""

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from shared.amqp.keys import CANCEL_KEY
from shared.registrations import QUEUED_TYPE
from tests.support.broker.registrations import registered, registration, send_body
from tests.support.records.letters import dead_letters, editor_that, latest
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT = ("--wait", "30")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("dead")) as running:
        # A rejection is told at a heartbeat.
        await running.worker(keep_dead_letters="true", host_heartbeat=0.2)
        yield running


async def _conflict(system: System) -> Json:
    """The letter of a registration that asks for another grace period."""
    run_id = next(run_ids)
    await system.add_run(run_id, grace=1)
    await send_body(system, registration(run_id, grace_seconds=2), message_id=f"m{run_id}")
    return await latest(system, "run_id", run_id)


async def _replay(system: System, *arguments: str, **env: str) -> tuple[int, list[str], str]:
    code, out, err = await dead_letters(system, "replay", *arguments, **env)
    return code, out.splitlines(), err


async def test_its_letter_says_what_the_body_says_and_no_more(system: System) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id, grace=1)
    # Fields of commands are unknown fields here.
    extra = {"command_id": "0b7c1d2e-7f7a-4d55-8f6b-0c9a4e1f2a31", "requested_by": "nobody"}
    body = registration(run_id, **extra)
    await send_body(system, body)

    letter = await latest(system, "run_id", run_id)
    assert (letter["reason"], letter["attempts"]) == ("run_conflict", 1)
    assert (letter["exchange"], letter["routing_key"]) == (system.topology.commands, "run.queued")
    assert (letter["type"], letter["body"]) == (QUEUED_TYPE, body)
    assert (letter["command_id"], letter["requested_by"]) == (None, None)
    _, listed, _ = await dead_letters(system, "list", "--reason", "run_conflict")
    columns, first = (line.split() for line in listed.splitlines()[:2])
    assert first[columns.index("kind")] == "registration"


async def test_the_same_registration_again_is_no_second_letter(system: System) -> None:
    letter = await _conflict(system)
    run_id = letter["run_id"]

    await send_body(system, letter["body"])
    await send_body(system, registration(run_id, grace_seconds=3))

    query = "SELECT body FROM dead_letters WHERE run_id = $1 ORDER BY letter_id"
    rows = await eventually(
        lambda: system.database.fetch(query, run_id),
        lambda rows: any(b"3" in row["body"] for row in rows),
    )
    assert [row["body"] for row in rows] == [
        letter["body"],
        registration(run_id, grace_seconds=3),
    ]


@pytest.mark.parametrize(
    ("key", "kind", "told"),
    [
        ("run.queued", "ci.run.cancel.v1", "run.rejected"),
        ("run.queued", None, "run.rejected"),
        ("run.queued", QUEUED_TYPE, "run.rejected"),
        (CANCEL_KEY, QUEUED_TYPE, "cancel.rejected"),
    ],
)
async def test_its_event_tells_of_a_run_by_the_routing_key_alone(
    system: System, key: str, kind: str | None, told: str
) -> None:
    events = await system.channel.declare_queue(exclusive=True)
    for each in ("run.rejected", "cancel.rejected"):
        await events.bind(system.topology.events, each)
    run_id = next(run_ids)
    body = registration(run_id, stop_signal="none")
    await system.publish_raw(body, key, type=kind)

    async def of_this_run() -> str | None:
        # Those of earlier tests may come late.
        while (event := await events.get(fail=False)) is not None:
            if json.loads(event.body)["subject"] == str(run_id):
                return event.routing_key
        return None

    assert await eventually(of_this_run, what="the event") == told


async def test_replayed_it_is_a_registration_again(system: System) -> None:
    letter = await _conflict(system)
    run_id = letter["run_id"]
    await system.database.execute("DELETE FROM runs WHERE run_id = $1", run_id)

    code, lines, _ = await _replay(system, str(letter["letter_id"]), *WAIT)

    assert lines == [
        "replayed 1",
        f"letter {letter['letter_id']}: registered, run {run_id}",
        "settled 1, dead again 0, not decided in time 0",
    ]
    assert code == 0
    assert (await system.run(run_id))["grace_seconds"] == 2


async def test_replayed_unchanged_it_is_in_conflict_again(system: System) -> None:
    letter = await _conflict(system)

    code, lines, _ = await _replay(system, str(letter["letter_id"]), *WAIT)

    again = await latest(system, "replay_of", letter["letter_id"])
    assert code == 1
    assert lines[1] == (
        f"letter {letter['letter_id']}: dead again as letter {again['letter_id']} (run_conflict): "
        f"run {letter['run_id']} is on record with other options"
    )
    assert (again["replays"], again["routing_key"]) == (1, "run.queued")
    assert again["message_id"] == letter["message_id"]


async def test_what_was_published_with_the_wrong_type_is_corrected_by_an_edit(
    system: System, tmp_path: Path
) -> None:
    wrong, right = next(run_ids), next(run_ids)
    await send_body(system, registration(wrong), type="job", message_id="mine")
    letter = await latest(system, "run_id", wrong)
    editor = editor_that(tmp_path, f"text.replace('{wrong}', '{right}')")

    code, lines, err = await _replay(
        system, str(letter["letter_id"]), "--edit", *WAIT, EDITOR=editor
    )

    assert (code, err) == (0, "")
    assert lines[:2] == ["replayed 1", f"letter {letter['letter_id']}: registered, run {right}"]
    await registered(system, right)
    _, out, _ = await dead_letters(system, "show", str(letter["letter_id"]), "--json")
    (action,) = json.loads(out)["actions"]
    assert (action["action"], action["command_id"]) == ("edited", None)


async def test_an_edit_that_makes_no_registration_sends_nothing(
    system: System, tmp_path: Path
) -> None:
    letter = await _conflict(system)
    editor = editor_that(tmp_path, "text.replace('grace_seconds', 'stop_signal')")

    code, lines, err = await _replay(system, str(letter["letter_id"]), "--edit", EDITOR=editor)

    assert (code, lines) == (2, [])
    assert "the edited body is not a registration: stop_signal: " in err
    assert (await latest(system, "run_id", letter["run_id"]))["state"] == "waiting"


async def test_a_registration_that_waits_for_a_worker_is_undecided(
    services: Services, template: str, tmp_path: Path
) -> None:
    async with shared_system(services, template, tmp_path) as system:
        letter_id = await system.database.fetchval(
            """
            INSERT INTO dead_letters (letter_key, digest, reason, error, attempts, exchange,
                                      routing_key, via, run_id, type, body)
            VALUES ('k', 'x', 'internal_error', 'it was so', 4, 'e', 'run.queued', 'direct', 1,
                    $1, $2)
            RETURNING letter_id
            """,
            *(QUEUED_TYPE, registration(1)),
        )

        code, lines, _ = await _replay(system, str(letter_id), "--wait", "0.1")

        assert (code, lines[1]) == (
            3,
            f"letter {letter_id}: not decided in time: no worker has registered run 1 yet",
        )
        assert await system.depth(system.topology.queued) == 1
