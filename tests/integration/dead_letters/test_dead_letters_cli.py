"""`cancel-worker dead-letters`: what operators see, and what happens when they send it again."""

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from yarl import URL

from shared.commands import CANCEL_TYPE
from tests.support.records.letters import buried, dead_letters, editor_that, latest
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.rows import NEVER_STARTED, PASS, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("dead")) as running:
        await running.worker(keep_dead_letters="true")
        yield running


async def _listed(system: System, *arguments: str) -> list[Json]:
    code, out, err = await dead_letters(system, "list", "--json", *arguments)
    assert (code, err) == (0, "")
    found: list[Json] = json.loads(out)
    return found


def _found(printed: Any) -> Any:
    """The letters of a list, or of a plan."""
    return printed["letters"] if isinstance(printed, dict) else printed


async def test_letters_are_listed_by_reason_run_publisher_age_and_state(system: System) -> None:
    run_id = next(run_ids)
    letter, _ = await buried(system, run_id=run_id)
    other, _ = await buried(system, run_id=next(run_ids), force="yes")
    await system.database.execute(
        "UPDATE dead_letters SET arrived_at = now() - interval '3 h' WHERE letter_id = $1", letter
    )

    async def found(*arguments: str) -> set[int]:
        ids = {row["letter_id"] for row in await _listed(system, *arguments)}
        return ids & {letter, other}

    user = str(URL(system.amqp_url).user)
    assert await found() == {letter, other}
    assert await found("--reason", "unknown_run") == {letter}
    assert await found("--run", str(run_id)) == {letter}
    assert await found("--publisher", user) == {letter, other}
    assert await found("--older-than", "2h") == {letter}
    assert await found("--newer-than", "2h") == {other}
    assert await found("--state", "discarded") == set()
    assert await found("--state", "all", "--reason", "malformed") == {other}
    assert len(await _listed(system, "--limit", "1")) == 1


@pytest.mark.parametrize("command", ["list --json", "replay --all --dry-run --json"])
async def test_a_publisher_who_never_had_a_letter_may_be_misspelled(
    system: System, command: str
) -> None:
    letter, _ = await buried(system, run_id=next(run_ids))
    assert (await dead_letters(system, "discard", str(letter)))[0] == 0
    user = str(URL(system.amqp_url).user)
    words = command.split()

    code, out, err = await dead_letters(system, *words, "--publisher", "gatewy\x1b[31m")
    known = await dead_letters(system, *words, "--publisher", user, "--run", str(next(run_ids)))

    assert (code, _found(json.loads(out))) == (0, [])
    assert err == (
        "cancel-worker: no dead letter was published by the broker user 'gatewy\\x1b[31m'; for a "
        "list, run: cancel-worker dead-letters list --state all --count-by publisher\n"
    )
    code, out, err = known
    assert (code, _found(json.loads(out)), err) == (0, [], ""), (
        "all of this publisher's letters are dealt with"
    )


async def test_a_missing_letter_is_told_from_one_that_is_not_waiting(system: System) -> None:
    letter, _ = await buried(system, run_id=next(run_ids))
    assert (await dead_letters(system, "discard", str(letter)))[0] == 0

    code, _, err = await dead_letters(system, "discard", str(letter), "999999")

    assert (code, err) == (
        2,
        "cancel-worker: dead letter 999999 not found; not discarded, because not waiting: "
        f"{letter}\n",
    )


async def test_letters_are_counted_by_kind(system: System) -> None:
    await buried(system, run_id=next(run_ids))

    by_reason = {row["value"]: row for row in await _listed(system, "--count-by", "reason")}
    code, table, _ = await dead_letters(system, "list", "--count-by", "reason")

    waiting = await system.database.fetchval(
        "SELECT count(*) FROM dead_letters WHERE reason = 'unknown_run' AND state = 'waiting'"
    )
    assert by_reason["unknown_run"]["letters"] == waiting
    assert (code, "unknown_run" in table) == (0, True)


async def test_all_of_a_letter_is_shown(system: System) -> None:
    letter, command_id = await buried(system, run_id=next(run_ids), requested_by="[b]queue")

    code, shown, err = await dead_letters(system, "show", str(letter))
    _, as_hex, _ = await dead_letters(system, "show", str(letter), "--hex")
    _, as_json, _ = await dead_letters(system, "show", str(letter), "--json")

    assert (code, err) == (0, "")
    for part in (command_id, "unknown_run", "[b]queue", "mine", f'  "command_id": "{command_id}"'):
        assert part in shown
    assert "00000000  7b 22 63 6f 6d 6d 61 6e" in as_hex
    described = json.loads(as_json)
    assert json.loads(described["body"])["command_id"] == command_id
    assert bytes.fromhex(described["body_hex"]) == described["body"].encode()
    assert (described["headers"], described["actions"]) == ({"mine": "1"}, [])


async def test_a_replayed_command_is_carried_out_and_who_did_it_is_recorded(
    system: System,
) -> None:
    run_id = next(run_ids)
    letter, command_id = await buried(system, run_id=run_id, requested_by="queue")
    await system.add_run(run_id)

    code, out, err = await dead_letters(system, "replay", str(letter), SUDO_USER="olga")

    assert (code, out.splitlines()[0], err) == (0, "replayed 1", "")
    row = await system.outcome_of(command_id)
    assert (row["outcome"], row["via"]) == ("canceled", "replay")
    assert (row["publisher"], row["requested_by"]) == (URL(system.amqp_url).user, "queue")
    _, shown, _ = await dead_letters(system, "show", str(letter), "--json")
    described = json.loads(shown)
    assert (described["state"], described["replays"]) == ("replayed", 1)
    (action,) = described["actions"]
    assert (action["action"], action["done_by"]) == ("replayed", "olga")


@pytest.mark.parametrize("row", [PASS, NEVER_STARTED], ids=lambda row: str(row["status"]))
async def test_a_replay_for_a_run_that_is_over_is_a_no_op(system: System, row: Json) -> None:
    run_id = next(run_ids)
    letter, command_id = await buried(system, run_id=run_id)
    await insert_run(system.database, run_id, row)

    await dead_letters(system, "replay", str(letter))

    assert (await system.outcome_of(command_id))["outcome"] == "no_op"


async def test_a_dry_run_sends_nothing(system: System) -> None:
    run_id = next(run_ids)
    letter, _ = await buried(system, run_id=run_id)
    await system.add_run(run_id)

    code, out, _ = await dead_letters(system, "replay", "--run", str(run_id), "--dry-run", "--json")

    assert code == 0
    plan = json.loads(out)
    assert [(row["letter_id"], row["planned"]) for row in plan["letters"]] == [(letter, "sent")]
    assert plan["counts"] == {"sent": 1, "too_often": 0, "discarded": 0, "cut": 0}
    assert (await latest(system, "letter_id", letter))["state"] == "waiting"
    assert (await system.run(run_id))["status"] == "queued"


async def test_what_dies_again_and_again_is_not_replayed_for_ever(system: System) -> None:
    body = b"no command " + uuid4().bytes
    await system.publish_raw(body, type=CANCEL_TYPE)
    last = await latest(system, "encode(body, 'hex')", body.hex())
    for replays in range(1, 4):
        assert (await dead_letters(system, "replay", str(last["letter_id"])))[0] == 0
        again = await latest(system, "replay_of", last["letter_id"])
        assert (again["replays"], again["body"]) == (replays, body)
        last = again

    code, out, err = await dead_letters(system, "replay", str(last["letter_id"]))
    assert (code, err) == (1, "")
    assert "replayed 0" in out
    assert f"not replayed: {last['letter_id']}: replayed 3 times" in out

    code, out, _ = await dead_letters(system, "replay", str(last["letter_id"]), "--force")
    assert (code, out.splitlines()[0]) == (0, "replayed 1")


async def test_a_discarded_letter_stays_and_is_not_replayed(system: System) -> None:
    run_id = next(run_ids)
    letter, _ = await buried(system, run_id=run_id)
    await system.add_run(run_id)

    assert (await dead_letters(system, "discard", str(letter)))[0] == 0

    assert letter not in {row["letter_id"] for row in await _listed(system)}
    assert letter in {row["letter_id"] for row in await _listed(system, "--state", "discarded")}
    code, out, _ = await dead_letters(system, "replay", str(letter))
    assert (code, "discarded" in out) == (1, True)
    code, _, err = await dead_letters(system, "discard", str(letter))
    assert (code, err) == (
        2,
        f"cancel-worker: not discarded, because not waiting: {letter}\n",
    )
    assert (await system.run(run_id))["status"] == "queued"


async def test_a_corrected_body_is_a_new_command_linked_to_the_letter(
    system: System, tmp_path: Path
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    letter, command_id = await buried(system, run_id=run_id, grace_seconds="soon")
    mended = editor_that(tmp_path, "text.replace('\"soon\"', '5')")

    code, out, err = await dead_letters(system, "replay", "--edit", str(letter), EDITOR=mended)

    assert (code, err) == (0, "")
    new_id = out.splitlines()[0].removeprefix("replayed as command ")
    assert new_id != command_id
    row = await system.outcome_of(new_id)
    assert (row["outcome"], row["via"], row["grace_seconds"]) == ("canceled", "replay", 5)
    _, shown, _ = await dead_letters(system, "show", str(letter), "--json")
    (action,) = json.loads(shown)["actions"]
    assert (action["action"], action["command_id"]) == ("edited", new_id)


@pytest.mark.parametrize("editor", ["true", "false", "no-such-editor"])
async def test_nothing_is_sent_when_nothing_was_corrected(system: System, editor: str) -> None:
    letter, _ = await buried(system, run_id=next(run_ids))

    code, out, err = await dead_letters(system, "replay", "--edit", str(letter), EDITOR=editor)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert (await latest(system, "letter_id", letter))["state"] == "waiting"
