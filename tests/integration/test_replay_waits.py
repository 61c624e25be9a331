"""`dead-letters replay --wait`: what became of each letter, and an exit code that says so."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from yarl import URL

from shared.commands import CANCEL_TYPE
from tests.support.program import DEADLINE
from tests.support.records import Json
from tests.support.services import Services
from tests.support.shared_system import shared_system
from tests.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("waits")) as running:
        await running.worker(keep_dead_letters="true")
        yield running


async def _replay(system: System, *arguments: str) -> tuple[int, Json]:
    """Exit code, and what was printed for programs."""
    code, out, err = await system.cli("worker", "dead-letters", "replay", "--json", *arguments)
    assert err == ""
    described: Json = json.loads(out)
    return code, described


async def _malformed(system: System) -> int:
    command_id = str(uuid4())
    body = json.dumps({"command_id": command_id, "run_id": next(run_ids), "force": "yes"})
    await system.publish_raw(body.encode(), type=CANCEL_TYPE)
    return int((await system.dead_letter_kept(command_id))["letter_id"])


async def _of_unknown_run(system: System) -> tuple[int, int]:
    """The letter, and the run that there is not."""
    run_id, command_id = next(run_ids), str(uuid4())
    await system.publish_raw(
        json.dumps({"command_id": command_id, "run_id": run_id}).encode(),
        type=CANCEL_TYPE,
        user_id=URL(system.amqp_url).user,
        headers={"x-attempt": 4},
    )
    return int((await system.dead_letter_kept(command_id))["letter_id"]), run_id


async def test_one_that_dies_again_is_named_and_fails(system: System) -> None:
    letter = await _malformed(system)

    code, told = await _replay(system, str(letter), "--wait", "20")

    [result] = told["letters"]
    assert (code, told["replayed"]) == (1, 1)
    assert (result["letter_id"], result["became"]) == (letter, "dead_again")
    assert result["again"] > letter
    assert (result["reason"], result["error"].partition(":")[0]) == ("malformed", "force")


async def test_one_whose_run_is_there_by_now_is_settled(system: System) -> None:
    letter, run_id = await _of_unknown_run(system)
    await system.add_run(run_id)

    code, told = await _replay(system, str(letter), "--wait", "20")

    [result] = told["letters"]
    assert (code, result["became"], result["outcome"]) == (0, "settled", "canceled")


async def test_one_that_is_not_decided_in_time_says_what_it_waits_for(system: System) -> None:
    letter, run_id = await _of_unknown_run(system)

    code, told = await _replay(system, str(letter), "--wait", "0.5")

    [result] = told["letters"]
    assert (code, result["became"]) == (3, "undecided")
    assert result["why"] == f"run {run_id} is unknown so far"


async def test_of_several_the_worst_decides_and_people_read_each(system: System) -> None:
    dead = await _malformed(system)
    settled, run_id = await _of_unknown_run(system)
    await system.add_run(run_id)

    code, out, err = await system.cli(
        "worker", "dead-letters", "replay", str(dead), str(settled), "--wait", "20"
    )

    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "replayed 2"
    assert lines[1].startswith(f"letter {dead}: dead again as letter ")
    assert lines[2] == f"letter {settled}: canceled, run {run_id}"
    assert lines[3] == "settled 1, dead again 1, not decided in time 0"


async def test_many_are_told_of_as_well(system: System) -> None:
    first = await _malformed(system)
    letters = [first, *[await _malformed(system) for _ in range(120)]]

    code, told = await _replay(system, *map(str, letters), "--wait", "30")

    assert code == 1
    assert [each["letter_id"] for each in told["letters"]] == letters
    assert {each["became"] for each in told["letters"]} == {"dead_again"}


async def test_a_corrected_one_is_waited_for_as_its_new_command(system: System) -> None:
    letter = await _malformed(system)
    query = "SELECT run_id FROM dead_letters WHERE letter_id = $1"
    run_id = await system.database.fetchval(query, letter)
    await system.add_run(run_id)
    editor = system.directory / "editor.py"
    editor.write_text("import pathlib, sys\np = pathlib.Path(sys.argv[1])\n"
                      "p.write_text(p.read_text().replace('\"yes\"', 'true'))\n")  # fmt: skip

    code, out, err = await system.cli(
        *("worker", "dead-letters", "replay", str(letter), "--edit", "--wait", "20", "--json"),
        env={"EDITOR": f"{sys.executable} {editor}"},
    )

    assert (code, err) == (0, "")
    told = json.loads(out)
    [result] = told["letters"]
    assert (result["became"], result["outcome"]) == ("settled", "canceled")
    assert result["command_id"] == told["command_id"]


async def test_a_failed_stop_is_not_taken_for_what_became_of_its_replay(system: System) -> None:
    """Its command has an outcome on record, of the delivery before."""
    letter, run_id = await _of_unknown_run(system)
    row: dict[str, Any] = dict(
        await system.database.fetchrow("SELECT * FROM dead_letters WHERE letter_id = $1", letter)
        or {}
    )
    launched, _ = await system.launch_bad_child(run_id, "ignores_term")
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at)"
        " VALUES ($1, $2, 'direct', false, 'stop_failed', now())",
        row["command_id"],
        run_id,
    )

    code, told = await _replay(system, str(letter), "--wait", "1")

    [result] = told["letters"]
    assert (code, result["became"]) == (3, "undecided")
    assert f"run {run_id} is canceling" in result["why"]
    await system.publish(run_id, force=True)
    await launched.exit_code()


async def test_interrupted_it_tells_what_is_known(system: System) -> None:
    letter, _ = await _of_unknown_run(system)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "dead-letters", "replay"),
        *(str(letter), "--wait", "600", "--json"),
        env={**system.environment, "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE):
        while (
            await system.database.fetchval(
                "SELECT state FROM dead_letters WHERE letter_id = $1", letter
            )
            != "replayed"
        ):
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

    assert (process.returncode, err) == (130, b"")
    told = json.loads(out)
    assert told["interrupted"] is True
    assert [each["became"] for each in told["letters"]] == ["undecided"]


async def test_a_dry_run_has_nothing_to_wait_for(system: System) -> None:
    code, out, err = await system.cli(
        "worker", "dead-letters", "replay", "--all", "--dry-run", "--wait", "5"
    )

    assert (code, out) == (2, "")
    assert err == "cancel-worker: --dry-run sends nothing that --wait could wait for\n"
