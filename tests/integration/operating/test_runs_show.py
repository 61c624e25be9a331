"""`cancel-worker runs show N`: the life of each kind of run, as a person reads it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from tests.support.records.run_histories import BEGAN, COMMANDS, LETTER, ONLY, RUNS, THIRD
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection, insert

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID: Final[dict[str, tuple[str, ...]]] = {
    "queued": (
        "run {id}: queued",
        "stop by      SIGINT, a grace period of 2.5 s",
        "so far",
        "2026-11-02 09:30:00.000                queued",
    ),
    "running": (
        "run {id}: running",
        "was          queued 2 s, running ",
        "ran on       runner-7, pid 100 started by launcher 99, user 0, in a session of its own",
        "2026-11-02 09:30:02.000           2 s  running on runner-7, pid 100, user 0",
    ),
    "passed": (
        "was          queued 2 s, running 1 min 0 s",
        "exit code    0",
        "1 min 0 s  pass, exit code 0",
    ),
    "failed": ("exit code    137 (SIGKILL)", "running 1 h 1 min", "1 h 1 min  fail, exit code 137"),
    "killed": (
        "run {id}: canceled",
        "was          queued 2 s, running 59.01 s, canceling 2.03 s",
        "in cgroup /c",
        "exit code    143 (SIGTERM)",
        "proof        cgroup_empty",
        "59 s  cancel 1 requested by alice via rest (broker user gateway), grace period 2 s: "
        r"superseded \x1b[31mby\nme",
        "10 ms  canceling, grace period 2 s",
        "10 ms  SIGTERM, SIGCONT to 4 processes",
        "2 s  SIGKILL to 1 process",
        "10 ms  proved gone: cgroup_empty",
        "10 ms  canceled",
        "0 ms  outcome of cancel 1: canceled: it had to be killed after 2.012 s, "
        "proof cgroup_empty",
        f"cancel 1: command {ONLY}",
        "requested at 2026-11-02 09:31:00 UTC by the requester's clock, 12 ms before a worker "
        "received it",
        "(after 2.04 s)",
        "escaped      pid 4242 dd (D) (found outside the cgroup)",
    ),
    "several": (
        "cancel 2 requested by an unknown requester via direct, with force",
        "no_op: its stop was in progress",
        "cancel 3 requested by an unknown requester via replay (broker user ops)",
        "no_op: the run was over (canceled)",
        f"cancel 3: command {THIRD}",
    ),
    "never started": (
        "was          queued 1 min 1 s",
        "proof        never_started",
        "canceled: it never started, proof never_started",
    ),
    "stop failed": (
        "run {id}: canceling",
        "alive        pid 4242 dd (D) survived SIGKILL; a new cancel or a replay takes the stop up "
        "again",
        "dead letter  {letter} (stop_failed): cancel-worker dead-letters replay {letter} "
        "--wait 60\n",
        "stop_failed: pid 4242 dd (D) survived SIGKILL",
        "100 ms  dead letter {letter}: stop_failed",
    ),
    "stopped later": (
        "canceled: no process was left",
        "earlier      pid 4242 dd (D) survived SIGKILL, in an earlier stop",
        "SIGKILL to 1 process",
        "dead letter {letter} replayed by ops",
    ),
    "being stopped": ("outcome      open: the run is being stopped",),
    "lost": (
        "run {id}: error",
        "error        the launcher died without reporting an exit code",
        "lost         its launcher died without reporting an exit code; "
        "pid 4242 dd (D) survived SIGKILL",
        "lost: its launcher died without reporting an exit code",
        "10 ms  SIGKILL to 1 process",
    ),
    "leftovers": (
        "no process is left (cgroup_empty)",
        "leftovers_stopped: it had to be killed",
    ),
    "left behind": (
        "run {id}: pass",
        "left behind  2 processes: gradle (pid 4243), sleep (pid 4244); "
        "killed after 2.012 s, proof cgroup_empty",
        "command ended, and left 2 processes behind",
        "10 ms  SIGTERM, SIGCONT to 4 processes",
        "10 ms  pass, exit code 0",
    ),
    "left behind, containers": (
        "left behind  21 containers: cache (redis:8), …; obeyed after 2.012 s, proof cgroup_empty",
        "container    cache (redis:8, 777777777777) got SIGTERM, exit code 0",
        "command ended, and left 21 containers behind",
    ),
    "left behind, unseen": (
        "left behind  perhaps containers, which its worker could not see; they may be alive",
        "command ended, and may have left containers behind, which its worker could not see",
    ),
    "left behind, survived": (
        "left behind  2 processes: gradle (pid 4243), sleep (pid 4244); "
        "pid 4242 dd (D) survived SIGKILL",
    ),
    "left behind, kept": (
        "left behind  21 processes: gradle (pid 4243), sleep (pid 4244), …; kept",
        "command ended, and left 21 processes behind, to be kept",
        "leftovers    kept",
    ),
    "left behind, rebooted": ("sleep (pid 4244); gone, proof host_rebooted",),
    "left behind, replaced": (
        "whether they are alive can no longer be determined (none_host_replaced)",
    ),
    "host replaced": (
        "whether processes are left can no longer be determined (none_host_replaced)",
    ),
    "forced": (
        "was          queued 2 s, running 59.01 s, canceling 2.03 s",
        "10 ms  canceling, grace period 1 min 0 s",
        "forced: the grace period ends after 2 s",
        "outcome of cancel 2: forced: it ended the grace period of the stop in progress",
    ),
    "not proved": (
        "alive        these processes may belong to it: pid 4243 ssh-agent (S); a new cancel",
        "stop_failed: these processes may belong to it: pid 4243 ssh-agent (S)",
    ),
    "container lost": (
        "lost         its worker's container was replaced; whether processes are left "
        "can no longer be determined (none_container_lost)",
        "not_proved: its container was replaced, so its end cannot be proved",
    ),
    "abandoned": (
        "lost         its host was abandoned by ops: burnt down; processes may be left",
        "abandoned: the host was abandoned by ops: burnt down",
    ),
}
IDS: Final = {name: number for number, name in enumerate(RUNS, 1)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database_url(services: Services, template: str) -> AsyncIterator[str]:
    async with new_database(services, template) as url:
        connection = await asyncpg.connect(url)
        try:
            await _write(connection)
        finally:
            await connection.close()
        yield url


async def _write(connection: Connection) -> None:
    for name, row in RUNS.items():
        launch = {"launch_id": str(uuid4())} if "launch_id" in row else {}
        await insert(connection, "runs", {"run_id": IDS[name], **row, **launch})
        for command in COMMANDS.get(name, ()):
            await insert(connection, "cancellations", {**command, "run_id": IDS[name]})
    for name, state in (("stop failed", "waiting"), ("stopped later", "replayed")):
        letter = {**LETTER, "letter_key": name, "run_id": IDS[name], "state": state}
        await insert(connection, "dead_letters", letter)
    await connection.execute(
        "INSERT INTO dead_letter_actions (letter_id, action, done_by, done_at)"
        " SELECT letter_id, 'replayed', 'ops', $1 FROM dead_letters WHERE state = 'replayed'",
        BEGAN + timedelta(seconds=119),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(database_url: str) -> dict[str, tuple[str, Any]]:
    """What is printed of each run: for people, for programs."""
    lines = [
        ["worker", "runs", "show", str(number), *json_option]
        for number in IDS.values()
        for json_option in ([], ["--json"])
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.programs.many_clis"),
        env={**os.environ, "DATABASE_URL": database_url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate(json.dumps(lines).encode())
    ended = json.loads(out)
    assert [(code, err) for code, _, err in ended] == [(0, "")] * len(lines)
    texts = [text for _, text, _ in ended]
    return {
        name: (text, json.loads(described))
        for name, text, described in zip(IDS, texts[::2], texts[1::2], strict=True)
    }


@pytest.mark.parametrize("name", RUNS)
async def test_the_life_of_a_run_is_told(name: str, shown: dict[str, tuple[str, Any]]) -> None:
    text, described = shown[name]
    letters = described["dead_letters"]
    known = {"id": str(IDS[name]), "letter": str(letters[0]["letter_id"]) if letters else ""}

    for template in SAID[name]:
        said = template.format(**known)
        assert said in text, f"{said!r} is not in:\n{text}"
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("name", RUNS)
async def test_the_times_are_in_order_and_nothing_is_told_twice(
    name: str, shown: dict[str, tuple[str, Any]]
) -> None:
    text, _ = shown[name]
    rows = [line for line in text.splitlines() if line.startswith("  2026-")]

    assert rows
    times = [row[2:25] for row in rows]
    assert times == sorted(times)
    assert len({(row[2:25], row[41:]) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", RUNS)
async def test_programs_get_all_that_is_on_record(
    name: str, shown: dict[str, tuple[str, Any]]
) -> None:
    _, described = shown[name]

    assert described["run_id"] == IDS[name]
    assert described["status"] == RUNS[name]["status"]
    assert described["loss"] == RUNS[name].get("loss")
    wanted = [command["evidence"] for command in COMMANDS.get(name, ())]
    assert [command["evidence"] for command in described["cancellations"]] == wanted
    actions = [letter["actions"] for letter in described["dead_letters"]]
    assert [len(done) for done in actions] == {"stop failed": [0], "stopped later": [1]}.get(
        name, []
    )
