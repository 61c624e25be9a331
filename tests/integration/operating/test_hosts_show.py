"""`cancel-worker hosts show`: what runs on a host, and what waits there."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.records.run_histories import LETTER
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.rows import CANCELING, NOW, PASS, RUNNING, Row, insert
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHEN: Final = "2026-01-02 03:04:05.000 UTC"
HOST: Final[Row] = {"worker_id": str(uuid4()), "boot_id": str(uuid4()), "seen_at": NOW}
COMMAND: Final[Row] = {"via": "rest", "force": False, "received_at": NOW, "requested_by": "alice"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("hosts")) as running:
        await _write(running)
        yield running


async def _write(system: System) -> None:
    """The same on two hosts: h1 is silent, h2 is up. Run 3 of each is over."""
    async with system.database.acquire() as connection:
        for number, beat in ((1, 1), (2, 10**9)):
            host = f"h{number}"
            await insert(connection, "hosts", {"host": host, "beat_seconds": beat, **HOST})
            for last, row in enumerate((RUNNING, CANCELING, PASS), 1):
                run_id = 10 * number + last
                own = {"run_id": run_id, "host": host, "launch_id": str(uuid4())}
                await insert(connection, "runs", {**row, **own})
                command = {"command_id": str(uuid4()), "run_id": run_id, **COMMAND}
                over = {"outcome": "no_op", "finished_at": NOW, "evidence": {}}
                await insert(
                    connection,
                    "cancellations",
                    {"evidence": {}, "faults": {}, **command, **(over if last == 3 else {})},
                )
                letter = {"letter_key": str(run_id), "run_id": run_id, "command_id": str(uuid4())}
                await insert(connection, "dead_letters", {**LETTER, **letter, "arrived_at": NOW})


async def _lines(system: System, host: str) -> list[str]:
    code, out, err = await system.cli("worker", "hosts", "show", host)
    assert (code, err) == (0, "")
    return [" ".join(line.split()) for line in out.splitlines()]


async def test_runs_and_their_deadlines_are_listed(system: System) -> None:
    lines = await _lines(system, "h1")

    assert [line for line in lines if line.startswith("run ")] == [
        f"run 12 canceling since {WHEN}, deadline {WHEN}",
        f"run 11 running since {WHEN}",
    ]


async def test_what_waits_for_a_silent_host_says_since_when(system: System) -> None:
    lines = await _lines(system, "h1")

    asked = f"requested by alice at {WHEN}; it waits for the worker, silent since {WHEN}"
    assert {line for line in lines if line.startswith("to cancel ")} == {
        f"to cancel run 11 (running), {asked}",
        f"to cancel run 12 (canceling), {asked}",
    }


async def test_of_a_host_that_is_up_a_stop_in_progress_has_its_deadline(system: System) -> None:
    lines = await _lines(system, "h2")

    asked = f"requested by alice at {WHEN}; it waits for"
    assert {line for line in lines if line.startswith("to cancel ")} == {
        f"to cancel run 21 (running), {asked} the worker, which is up",
        f"to cancel run 22 (canceling), {asked} the end of the stop, deadline {WHEN}",
    }


async def test_waiting_letters_of_its_live_runs_are_listed(system: System) -> None:
    lines = await _lines(system, "h1")

    letters = [line for line in lines if line.startswith("dead letter ")]
    assert len(letters) == 2
    assert letters[0].endswith(f"(stop_failed), run 11, waits since {WHEN}")
    assert letters[1].endswith(f"(stop_failed), run 12, waits since {WHEN}")


async def test_the_same_is_in_the_json(system: System) -> None:
    found: dict[str, dict[str, Any]] = {}
    for host in ("h1", "h2"):
        _, out, _ = await system.cli("worker", "hosts", "show", host, "--json")
        found[host] = json.loads(out)

    waiting = {each["run_id"]: each for each in found["h1"]["open_commands"]}
    for_worker = {"host": "h1", "host_state": "silent", "since": NOW}
    assert {each["state"] for each in waiting.values()} == {"pending"}
    assert [waiting[run_id]["waiting_for"] for run_id in (11, 12)] == [for_worker, for_worker]
    stops = {each["run_id"]: each for each in found["h2"]["open_commands"]}
    assert (stops[22]["state"], stops[22]["waiting_for"]) == ("stopping", None)
    assert stops[22]["stop_deadline"] == NOW
    assert [run["run_id"] for run in found["h1"]["runs"]] == [12, 11]
    assert {letter["run_id"] for letter in found["h1"]["dead_letters"]} == {11, 12}
