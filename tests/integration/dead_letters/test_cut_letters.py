"""Letters of which only the head was kept: what operators see of them, and may do."""

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from aio_pika import Message

from shared.commands import CANCEL_TYPE, MAX_BODY
from tests.support.broker.registrations import send_body
from tests.support.records.letters import dead_letters, editor_that, latest
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)

SIZE = 100_001
WHY = f"the body has {SIZE} bytes; a command has at most {MAX_BODY}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("cut")) as running:
        await running.worker(keep_dead_letters="true")
        yield running


async def _cut(system: System, run_id: int) -> int:
    """A letter of a command that goes on and on; its number."""
    command_id = str(uuid4())
    start = json.dumps({"command_id": command_id, "run_id": run_id, "reason": ""})[:-2].encode()
    start = start.ljust(MAX_BODY - 3001) + "é".encode() * 2000  # the head ends within a character
    body = start.ljust(SIZE)
    await system.publish_raw(body, type=CANCEL_TYPE, message_id=command_id)
    letter = await latest(system, "message_id", command_id)
    assert letter["body"] == body[:MAX_BODY]
    return int(letter["letter_id"])


async def test_a_letter_says_that_it_is_cut_and_how_much_there_was(system: System) -> None:
    letter = await _cut(system, next(run_ids))

    _, listed, _ = await dead_letters(system, "list")
    _, as_json, _ = await dead_letters(system, "list", "--json")
    code, shown, err = await dead_letters(system, "show", str(letter))
    _, shown_json, _ = await dead_letters(system, "show", str(letter), "--json")
    _, as_hex, _ = await dead_letters(system, "show", str(letter), "--hex")

    size = f"{MAX_BODY} of {SIZE} bytes, cut"
    (line,) = [line for line in listed.splitlines() if line.startswith(f"{letter} ")]
    assert (size in line, WHY in line) == (True, True)
    (row,) = [row for row in json.loads(as_json) if row["letter_id"] == letter]
    assert (row["bytes"], row["full_size"]) == (MAX_BODY, SIZE)
    assert (code, err) == (0, "")
    assert size in shown
    assert WHY in shown
    assert '"run_id": ' in shown, "the head is text, though it ends within a character"
    described = json.loads(shown_json)
    assert (described["full_size"], len(described["body_hex"])) == (SIZE, 2 * MAX_BODY)
    assert f"{MAX_BODY - 16:08x}  " in as_hex


async def test_a_cut_letter_is_not_replayed_as_it_is(system: System) -> None:
    letter = await _cut(system, next(run_ids))

    code, out, err = await dead_letters(system, "replay", str(letter))
    forced = await dead_letters(system, "replay", str(letter), "--force", "--json")
    _, to_replay, _ = await dead_letters(
        system, "replay", "--reason", "malformed", "--dry-run", "--json"
    )

    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "replayed 0",
        f"not replayed: {letter}: cut: only the beginning of the body was kept, see --edit",
    ]
    assert forced[0] == 1
    summary = json.loads(forced[1])
    assert (summary["replayed"], summary["cut"]) == (0, [letter])
    planned = {row["letter_id"]: row["planned"] for row in json.loads(to_replay)["letters"]}
    assert planned[letter] == "cut"
    assert (await latest(system, "letter_id", letter))["state"] == "waiting"


async def test_a_cut_letter_may_be_corrected_from_its_head(system: System, tmp_path: Path) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    letter = await _cut(system, run_id)
    mended = editor_that(tmp_path, "text.rstrip('é') + '\"}'")

    code, out, err = await dead_letters(system, "replay", "--edit", str(letter), EDITOR=mended)

    assert (code, err) == (0, "")
    new_id = out.splitlines()[0].removeprefix("replayed as command ")
    row = await system.outcome_of(new_id)
    assert (row["outcome"], row["run_id"]) == ("canceled", run_id)


@pytest.mark.parametrize("place", ["command", "registration", "dead letters"])
async def test_a_message_that_is_too_large_is_found_by_its_reason_and_keeps_its_head(
    system: System, place: str
) -> None:
    tag, run_id = uuid4().hex, next(run_ids)
    body = json.dumps({"run_id": run_id, "requested_by": tag}).encode().ljust(SIZE)
    if place == "dead letters":
        exchange = await system.channel.get_exchange(system.topology.dead_exchange)
        await exchange.publish(Message(body), "")
    elif place == "registration":
        await send_body(system, body)
    else:
        await system.publish_raw(body, type=CANCEL_TYPE)
    reason = "foreign" if place == "dead letters" else "malformed"
    await eventually(
        lambda: system.database.fetchval(
            "SELECT count(*) FROM dead_letters WHERE position($1::bytea IN body) > 0", tag.encode()
        ),
        what="the letter",
    )

    code, out, _ = await dead_letters(system, "list", "--reason", reason, "--grep", tag, "--json")

    (row,) = json.loads(out)
    assert (code, row["bytes"], row["full_size"]) == (0, MAX_BODY, SIZE)
    if place != "dead letters":
        what = "a registration" if place == "registration" else "a command"
        assert row["error"] == f"the body has {SIZE} bytes; {what} has at most {MAX_BODY}"
        assert row["error_group"] == f"the body has * bytes; {what} has at most *"
    _, shown, _ = await dead_letters(system, "show", str(row["letter_id"]))
    assert f"{MAX_BODY} of {SIZE} bytes, cut" in shown
    assert tag in shown
