"""Whatever outsiders put into a field, no command's output makes a terminal obey it or hides it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio
import typer

from gateway.cli import app as gateway
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.launched import Launched
from tools.support.program import DEADLINE
from tools.support.rows import CANCELING, ERROR, NEVER_STARTED, NOW, STOPPED, Row, insert
from tools.support.system import System
from worker.cli import app as worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK: Final = "outside"
"""Stands in each hostile text, so that it is known where they are shown."""
HOSTILE: Final = (
    f"{MARK}\x1b[31m\x1b]0;title\x07\x9b1m\u202e\u2066\u200b\ufe0f\u3164\x7f\r\t\n[/b]{{}}"
)
SHOWN: Final = rf"{MARK}\x1b[31m\x1b]0;title\x07\x9b1m\u202e\u2066\u200b\ufe0f\u3164\x7f\r\t\n[/b]"

BODIES: Final = (
    b"[" * 60_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    json.dumps({"reason": HOSTILE}).encode(),
    json.dumps({"reason": HOSTILE}, ensure_ascii=False).encode(),
    b'{"reason": "\\ud800 \\udfff\\u0000"}',
    b'"\xed\xa0\x80"',
    HOSTILE.encode(),
    b"9" * 5000,
    bytes(range(256)),
    b"",
)
SHOW: Final = [["show", str(letter)] for letter in range(1, len(BODIES) + 1)]
COMMANDS: Final[dict[str, list[list[str]]]] = {
    "worker migrate": [[]],
    "worker asyncapi": [[]],
    "worker runs add": [
        ["100"],
        [HOSTILE],
        ["1", "--stop-signal", HOSTILE],
        ["1", "--label", f"a={HOSTILE}"],
        ["101", "--label", f"a={HOSTILE}"],
        *(["102", option, HOSTILE] for option in ("--label", "--url", "--start-before")),
    ],
    "worker runs cancel": [[HOSTILE], ["100", "--reason", HOSTILE], ["101", "--wait", "0"]],
    "worker runs show": [["1"], ["2"], ["3"], ["4"], ["101"], [HOSTILE]],
    "worker runs list": [
        [],
        *([option, HOSTILE] for option in ("--status", "--host", "--label", "--older-than")),
    ],
    "worker hosts list": [[]],
    "worker hosts show": [[HOSTILE], ["no" + HOSTILE]],
    "worker hosts abandon": [
        [HOSTILE, "--reason", "gone"],
        ["no" + HOSTILE, "--reason", "gone"],
        ["x", "--reason", HOSTILE],
    ],
    "worker hosts forget": [["no" + HOSTILE]],
    "worker prune": [
        ["--older-than", HOSTILE],
        ["--older-than", "90d", "--archive", f"/no/{HOSTILE}"],
        ["--older-than", "90d", "--dry-run"],
    ],
    "worker dead-letters list": [
        [],
        *(["--count-by", by] for by in ("reason", "error", "publisher", "run", "state")),
        ["--grep", MARK],
        ["--grep", HOSTILE],
        ["--error", HOSTILE],
        ["--requested-by", HOSTILE],
        ["--publisher", HOSTILE],
        ["--publisher", "no" + HOSTILE],
        ["--reason", HOSTILE],
        ["--older-than", HOSTILE],
    ],
    "worker dead-letters show": [arguments[1:] for arguments in SHOW]
    + [
        ["1", "--hex"],
        [HOSTILE],
        ["--grep", MARK],
    ],
    "worker dead-letters replay": [
        ["--all", "--dry-run"],
        ["3", "--wait", "0"],
        ["3", "--edit"],
        ["--grep", MARK, "--dry-run", "--edit-with", f"printf %s {HOSTILE}"],
        ["--publisher", HOSTILE],
    ],
    "worker dead-letters discard": [
        ["1"],
        [HOSTILE],
        ["--grep", MARK, "--dry-run"],
        ["2", "--note", HOSTILE],
    ],
    "gateway tokens create": [["--subject", HOSTILE], ["--subject", "a", "--role", HOSTILE]],
    "gateway tokens list": [[], ["--subject", HOSTILE]],
    "gateway tokens revoke": [["1"], ["99", HOSTILE]],
}
"""What each is tried with. `serve` logs, see `test_logs`."""
JSON: Final = (
    "runs show 2 --json",
    "runs list --json",
    "hosts list --json",
    "dead-letters list --json",
    "dead-letters list --count-by publisher --json",
    "dead-letters list --count-by error --json",
    f"dead-letters list --grep {MARK} --json",
    *(f"dead-letters show {number} --json" for number in range(1, len(BODIES) + 1)),
    "dead-letters replay --all --dry-run --json",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("hostile")) as running:
        await _write(running)
        yield running


async def _write(system: System) -> None:
    """A row of each kind, with such a text in each field that a client can set."""
    process = {"pid": 7, "name": HOSTILE, "state": "Z"}
    evidence = {"proof": "cgroup_empty", "survivors": [process], "escaped": [process]}
    placed = {"host": HOSTILE, "cgroup": HOSTILE}
    runs: list[Row] = [
        {**ERROR, **placed, "error": HOSTILE},
        {**CANCELING, **placed},
        {**STOPPED, **placed},
        NEVER_STARTED,
    ]
    outcomes = ["no_op", "stop_failed", "canceled", "canceled"]
    async with system.database.acquire() as connection:
        for number, (run, outcome) in enumerate(zip(runs, outcomes, strict=True), 1):
            launch = {"launch_id": str(uuid4())} if "launch_id" in run else {}
            await insert(connection, "runs", {**run, **launch, "run_id": number})
            await insert(
                connection,
                "cancellations",
                {
                    "command_id": str(uuid4()),
                    "run_id": number,
                    "via": "direct",
                    "publisher": HOSTILE,
                    "requested_by": HOSTILE,
                    "reason": HOSTILE,
                    "force": False,
                    "requested_at": NOW,
                    "received_at": NOW,
                    "outcome": outcome,
                    "finished_at": NOW,
                    "evidence": {"ended": "survived", **evidence},
                    "faults": {"reason": HOSTILE, HOSTILE: HOSTILE},
                },
            )
        host = {"host": HOSTILE, "boot_id": str(uuid4()), "machine_id": HOSTILE}
        silent = {"beat_seconds": 1, "seen_at": NOW, "pid_namespace": HOSTILE}
        await insert(connection, "hosts", {**host, **silent})
        await connection.execute(
            "INSERT INTO host_actions (host, action, done_by, reason, run_ids)"
            " VALUES ($1, 'returned', $1, $1, '{1}')",
            HOSTILE,
        )
        for body in BODIES:
            await _write_letter(connection, body)
    await system.token(subject=HOSTILE)


async def _write_letter(connection: Any, body: bytes) -> None:
    letter = await connection.fetchval(
        """
        INSERT INTO dead_letters
               (letter_key, digest, reason, error, attempts, exchange, routing_key, via, publisher,
                run_id, requested_by, message_id, correlation_id, type, app_id, content_type,
                content_encoding, headers, body)
        VALUES ($1, 'x', $2, $2, 1, $2, $2, 'direct', $2, 2, $2, $2, $2, $2, $2, $2, $2, $3, $4)
        RETURNING letter_id
        """,
        *(uuid4().hex, HOSTILE, json.dumps({HOSTILE: HOSTILE, "in": [{HOSTILE: HOSTILE}]}), body),
    )
    await connection.execute(
        "INSERT INTO dead_letter_actions (letter_id, action, done_by) VALUES ($1, $2, $3)",
        *(letter, "replayed", HOSTILE),
    )


async def _run(system: System, arguments: list[list[str]], *how: str) -> list[Any]:
    """Exit code, stdout and stderr of each."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.programs.many_clis", *how),
        env={**system.environment, "TERM": "dumb", "PATH": "/usr/bin:/bin", "EDITOR": "true"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(json.dumps(arguments).encode())
    found: list[Any] = json.loads(out)
    return found


@pytest.mark.parametrize("where", ["pipe", "terminal"])
async def test_no_command_shows_what_a_terminal_obeys(system: System, where: str) -> None:
    calls = [
        [*command.split(), *arguments] for command, tried in COMMANDS.items() for arguments in tried
    ]

    results = await _run(system, calls, where)

    quoted = 0
    for call, (code, out, err) in zip(calls, results, strict=True):
        said = out + err
        raw = {c for c in said.replace("\r\n", "\n").replace("\n", "") if not c.isprintable()}
        assert not raw, f"{call} shows {raw}: {said[:2000]!r}"
        assert "\ufe0f" not in said
        assert "\u3164" not in said
        assert "Traceback" not in said, f"{call}: {said}"
        assert code in (0, 1, 2, 3), f"{call}: {said}"
        quoted += MARK in said
    assert quoted > len(calls) // 2, "hostile texts were not shown at all"


async def test_what_is_shown_is_told_in_escapes(system: System) -> None:
    calls = [["worker", "dead-letters", "show", "3"], ["worker", "runs", "show", "2"]]

    (letter, run) = await _run(system, calls, "pipe")

    for name in ("message_id", "correlation_id", "app_id", "type", "content_type", "exchange"):
        (line,) = [it for it in letter[1].splitlines() if it.split(maxsplit=1)[:1] == [name]]
        assert SHOWN in line
    assert f"header {SHOWN}" in letter[1]
    told = f"{SHOWN}{{}}"
    assert f"requested by {told} via direct (broker user {told}): {told}" in run[1]


async def test_json_is_ascii_and_json_whatever_is_in_it(system: System) -> None:
    results = await _run(system, [["worker", *line.split()] for line in JSON], "pipe")
    (tokens,) = await _run(system, [["gateway", "tokens", "list", "--json"]], "pipe")

    for line, (code, out, err) in zip([*JSON, "tokens list"], [*results, tokens], strict=True):
        assert (code, err) == (0, ""), line
        assert out.isascii(), line
        assert out.rstrip("\n").isprintable(), line
        json.loads(out)
    assert json.loads(results[0][1])["host"] == HOSTILE


async def test_no_command_is_left_out() -> None:
    leaves = {
        f"{program} {name}"
        for program, app in (("gateway", gateway), ("worker", worker))
        for name in _leaves(typer.main.get_command(app))
    }

    assert leaves - {"gateway serve", "worker serve", "worker console"} == {*COMMANDS}


def _leaves(command: Any) -> list[str]:
    return [
        f"{name} {leaf}".rstrip()
        for name, below in command.commands.items()
        for leaf in (_leaves(below) if hasattr(below, "commands") else [""])
    ]


async def test_a_launcher_says_why_in_one_line_of_text(system: System) -> None:
    # A worker would take over what its host's queue has, and no queue can be so called.
    await system.database.execute("DELETE FROM host_actions")
    await system.database.execute("DELETE FROM hosts")
    await system.worker()
    launched: Launched = await system.launch(4, "true")
    async with asyncio.timeout(DEADLINE):
        _, err = await launched.process.communicate()

    said = err.decode()
    assert said.rstrip("\n").isprintable()
    assert (said.count("\n"), SHOWN in said) == (1, True)
