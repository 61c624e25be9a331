"""`cancel-worker prune` and `hosts forget` at the command line."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.records.aged import (
    OLD_AT,
    RECENT,
    add_action,
    add_command,
    add_letter,
    add_run,
    runs_left,
)
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import PASS, RUNNING, STOPPED, Connection
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PRUNE = ("worker", "prune", "--older-than", "90d")
_ADD_HOST = """
    INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, seen_at, left_at, abandoned_at)
    VALUES ($1, CASE WHEN $4::timestamptz IS NULL THEN gen_random_uuid() END, gen_random_uuid(),
            5, $2, $3, $4)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with (
        new_database(services, template) as url,
        System(url, services.amqp_url, tmp_path_factory.mktemp("prune")).running() as running,
    ):
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def connection(system: System) -> AsyncIterator[Any]:
    async with system.database.acquire() as acquired:
        await acquired.execute(
            "TRUNCATE runs, run_labels, cancellations, dead_letters, dead_letter_actions, hosts,"
            " audit, outbox CASCADE"
        )
        yield acquired


async def _with_records(connection: Connection) -> int:
    await add_run(connection, 1, STOPPED)
    await add_command(connection, 1, requested_by="bob", evidence={"ended": "obeyed", "x": [1]})
    letter_id = await add_letter(connection, 1, b"\xff", headers={"nul": "\0"})
    await add_action(connection, letter_id, OLD_AT.isoformat(), "edited")
    await add_letter(connection, None, b"text")
    await add_run(connection, 2, {**STOPPED, "finished_at": RECENT})
    return letter_id


async def test_a_dry_run_deletes_nothing(system: System, connection: Connection) -> None:
    await _with_records(connection)

    code, output, _ = await system.cli(*_PRUNE, "--dry-run", "--json")

    assert code == 0
    counted = json.loads(output)
    assert counted["complete"]
    assert (counted["would_delete"]["runs"], counted["would_delete"]["dead_letters"]) == (1, 2)
    assert await runs_left(connection) == [1, 2]
    code, output, _ = await system.cli(*_PRUNE, "--json")
    assert json.loads(output)["deleted"] == counted["would_delete"]


async def test_the_archive_has_each_record_whole(
    system: System, connection: Connection, tmp_path: Path
) -> None:
    letter_id = await _with_records(connection)
    path = tmp_path / "archive.jsonl"

    code, _, errors = await system.cli(*_PRUNE, "--archive", str(path))

    assert (code, errors) == (0, "")
    run, letter = map(json.loads, path.read_text().splitlines())
    assert (run["run"]["run_id"], run["run"]["proof"]) == (1, "cgroup_empty")
    assert run["cancellations"][0]["requested_by"] == "bob"
    assert run["cancellations"][0]["evidence"] == {"ended": "obeyed", "x": [1]}
    (of_run,) = run["letters"]
    assert of_run["letter"]["letter_id"] == letter_id
    assert of_run["letter"]["headers"] == {"nul": "\0"}
    assert (of_run["letter"]["body"], of_run["letter"]["body_encoding"]) == ("/w==", "base64")
    assert (of_run["actions"][0]["action"], of_run["actions"][0]["body"]) == ("edited", "/w==")
    assert (letter["letter"]["body"], letter["letter"]["body_encoding"]) == ("text", "utf-8")


async def test_an_archive_on_stdout_is_apart_from_the_summary(
    system: System, connection: Connection
) -> None:
    await _with_records(connection)

    code, output, errors = await system.cli(*_PRUNE, "--archive", "-")

    assert code == 0
    assert len([json.loads(line) for line in output.splitlines()]) == 2
    assert "runs: 1" in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--older-than", "6d"), "--older-than must be at least 7d"),
        (("--older-than", "90"), "'90' is not a duration like"),
        (("--older-than", "90d", "--archive", "README.md"), "is not an archive"),
        (("--older-than", "90d", "--archive", "-", "--json"), "cannot be combined"),
        ((), "--older-than"),
    ],
)
async def test_bad_input_gets_one_line(
    system: System, arguments: tuple[str, ...], says: str
) -> None:
    code, output, errors = await system.cli("worker", "prune", *arguments)

    assert (code, output) == (2, "")
    assert says in errors
    assert errors.count("\n") == 1


async def test_hosts_are_forgotten_only_if_they_own_nothing(
    system: System, connection: Connection
) -> None:
    times = {
        "up": (None, None, None),
        "left": (OLD_AT, OLD_AT, None),
        "silent": (OLD_AT, None, None),
        "running": (OLD_AT, OLD_AT, None),
        "lost": (OLD_AT, None, OLD_AT),
        "containers": (OLD_AT, OLD_AT, None),
    }
    for name, (seen, left, abandoned) in times.items():
        await connection.execute(_ADD_HOST, name, seen or await _now(connection), left, abandoned)
    await add_run(connection, 1, {**RUNNING, "host": "running"})
    alive = {"number": 1}
    await add_run(connection, 2, {**PASS, "host": "lost", "left_behind": alive})
    await add_run(connection, 3, {**PASS, "host": "containers", "containers_in": "/c"})

    said = {}
    for name in (*times, "unknown"):
        code, output, errors = await system.cli("worker", "hosts", "forget", name)
        said[name] = (code, output + errors)

    assert [name for name, (code, _) in said.items() if code == 0] == ["left", "silent"]
    assert "is up" in said["up"][1]
    assert "runs that are not over" in said["running"][1]
    assert "processes may be left" in said["lost"][1]
    assert "containers" in said["containers"][1]
    assert "not found" in said["unknown"][1]
    # What an abandoned host has left goes with a prune.
    assert (await system.cli(*_PRUNE))[0] == 0
    assert (await system.cli("worker", "hosts", "forget", "lost"))[0] == 0


async def _now(connection: Connection) -> Any:
    return await connection.fetchval("SELECT clock_timestamp()")
