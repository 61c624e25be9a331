"""`cancel-worker dead-letters` by filters: shown, discarded, edited by a program, replayed."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.records.letters import buried, dead_letters, kept, latest
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import DEADLINE
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("bulk")) as running:
        await running.worker(keep_dead_letters="true")
        yield running


async def _buried(system: System, number: int, **fields: object) -> tuple[str, dict[int, int]]:
    """Letters of one requester: a name that only they have, and each letter with its run."""
    name = f"by-{uuid4().hex}"
    letters = {}
    for _ in range(number):
        run_id = next(run_ids)
        letter, _ = await buried(system, run_id=run_id, requested_by=name, **fields)
        letters[letter] = run_id
    return name, letters


async def test_letters_are_shown_by_the_filters_that_list_them(system: System) -> None:
    name, letters = await _buried(system, 3)
    other, _ = await buried(system, run_id=next(run_ids), requested_by="other")

    for option in ("--requested-by", "--grep"):
        code, out, err = await dead_letters(system, "show", option, name, "--json")
        _, listed, _ = await dead_letters(system, "list", option, name, "--json")
        assert (code, err) == (0, "")
        shown = json.loads(out)
        assert [row["letter_id"] for row in shown] == sorted(letters, reverse=True)
        assert [row["letter_id"] for row in json.loads(listed)] == sorted(letters, reverse=True)
        assert all(name in row["body"] for row in shown)
    _, out, _ = await dead_letters(system, "show", "--requested-by", name, "--limit", "1")
    assert (out.count("letter_id "), f" {max(letters)}\n" in out) == (1, True)
    code, _, err = await dead_letters(system, "show", str(other), "999999")
    assert (code, err) == (2, "cancel-worker: dead letter 999999 not found\n")


async def test_errors_are_counted_without_what_differs(system: System) -> None:
    name, _ = await _buried(system, 3)

    code, out, _ = await dead_letters(
        system, "list", "--requested-by", name, "--count-by", "error", "--json"
    )

    (row,) = json.loads(out)
    assert (code, row["letters"], "*" in row["value"]) == (0, 3, True)
    _, out, _ = await dead_letters(
        system, "list", "--requested-by", name, "--error", row["value"], "--json"
    )
    assert len(json.loads(out)) == 3


async def test_letters_are_discarded_by_a_filter_and_why_is_on_record(system: System) -> None:
    name, letters = await _buried(system, 3)
    other, _ = await buried(system, run_id=next(run_ids), requested_by="other")

    code, planned, _ = await dead_letters(
        system, "discard", "--requested-by", name, "--dry-run", "--json"
    )
    assert (code, {row["letter_id"] for row in json.loads(planned)}) == (0, {*letters})
    assert (await latest(system, "letter_id", max(letters)))["state"] == "waiting"
    code, out, err = await dead_letters(
        system, "discard", "--requested-by", name, "--note", "no such runs", SUDO_USER="olga"
    )

    assert (code, out, err) == (0, "discarded 3\n", "")
    actions = await system.database.fetch(
        "SELECT letter_id, done_by, note FROM dead_letter_actions WHERE letter_id = ANY ($1)",
        [*letters, other],
    )
    assert {tuple(row) for row in actions} == {
        (letter, "olga", "no such runs") for letter in letters
    }
    _, shown, _ = await dead_letters(system, "show", str(max(letters)))
    assert "by olga: no such runs" in shown


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["discard"], "select letters either by ID, or with --all or filters"),
        (["discard", "1", "--run", "2"], "select letters either by ID, or with --all or filters"),
        (["discard", "1", "--note", "x" * 1001], "a note has at most 1000 characters"),
        (["list", "--grep", "a_"], "a text to search for needs three letters or digits in a row"),
        (["replay", "--all", "--edit-with", ""], "--edit-with needs a command"),
        (
            ["replay", "--all", "--edit-with", "'"],
            "--edit-with cannot be read: no closing quotation",
        ),
        (["replay", "--all", "--dry-run", "--edit-with", "/no/x"], "cannot start /no/x: "),
    ],
)
async def test_what_cannot_be_meant_is_one_clear_line(
    system: System, arguments: list[str], why: str
) -> None:
    await kept(system, next(run_ids))

    code, out, err = await dead_letters(system, *arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"cancel-worker: {why}")


def _editor(directory: Path) -> str:
    """It moves a run's number to the next; of two runs it fails, and one it leaves as it is."""
    script = directory / "edit"
    script.write_text(
        "#!/bin/sh\nread body\ncase $body in\n"
        "*fails*) echo cannot >&2; exit 4;;\n"
        "*invalid*) echo '{}';;\n"
        '*as-it-is*) echo "$body";;\n'
        '*) echo "$body" | sed \'s/"soon"/5/\';;\nesac\n'
    )
    script.chmod(0o755)
    return str(script)


async def test_a_program_edits_each_letter_and_those_it_fails_on_keep_waiting(
    system: System, tmp_path: Path
) -> None:
    tag = uuid4().hex
    reasons = ("mended", "mended", "fails", "invalid", "as-it-is")
    letters = {}
    for reason in reasons:
        run_id = next(run_ids)
        await system.add_run(run_id)
        letter, _ = await buried(
            system, run_id=run_id, grace_seconds="soon", requested_by=f"{reason} {tag}"
        )
        letters[letter] = run_id
    mended, other, fails, invalid, as_it_is = letters
    by_tag = ("--grep", tag, "--edit-with", _editor(tmp_path))

    code, out, err = await dead_letters(system, "replay", *by_tag, "--dry-run")
    assert (code, err) == (0, "")
    assert f"--- letter {mended}\n+++ letter {mended}, edited\n" in out
    assert '-  "grace_seconds": "soon",\n+  "grace_seconds": 5,\n' in out
    assert f"letter {fails}: would not be sent: " in out
    assert {row["status"] for row in await _differences(system, *by_tag)} == {
        "edited",
        "unchanged",
        "failed",
    }
    states = await system.database.fetch(
        "SELECT DISTINCT state FROM dead_letters WHERE letter_id = ANY ($1)", [*letters]
    )
    assert [row["state"] for row in states] == ["waiting"]

    code, out, err = await dead_letters(system, "replay", *by_tag, "--json", "--wait", "30")

    assert (code, err) == (1, "")
    summary = json.loads(out)
    assert {*map(int, summary["edited"])} == {mended, other}
    assert summary["unchanged"] == [as_it_is]
    assert {*map(int, summary["edit_failed"])} == {fails, invalid}
    assert summary["edit_failed"][str(fails)].endswith("exited with 4: cannot")
    assert {(row["letter_id"], row["outcome"]) for row in summary["letters"]} == {
        (mended, "canceled"),
        (other, "canceled"),
    }
    for letter, state in ((mended, "replayed"), (fails, "waiting"), (as_it_is, "waiting")):
        assert (await latest(system, "letter_id", letter))["state"] == state
    row = await system.outcome_of(summary["edited"][str(mended)])
    assert (row["run_id"], row["grace_seconds"]) == (letters[mended], 5)


async def _differences(system: System, *arguments: str) -> list[dict[str, object]]:
    _, out, _ = await dead_letters(system, "replay", *arguments, "--dry-run", "--json")
    found: list[dict[str, object]] = json.loads(out)["letters"]
    return found


async def test_on_a_terminal_of_80_columns_ids_and_times_are_whole(system: System) -> None:
    letter, _ = await buried(system, run_id=123_456_789, grace_seconds="soon")
    stored = (await latest(system, "letter_id", letter))["arrived_at"]

    listed = await _on_a_terminal(system, "list", "--run", "123456789")

    assert f"{stored:%Y-%m-%d %H:%M:%S}.{stored.microsecond // 1000:03d} UTC" in listed
    assert "123456789" in listed
    assert "…" not in listed


@pytest.mark.parametrize(
    ("answer", "yes", "state"),
    [("n", (), "waiting"), ("y", (), "discarded"), (None, ("--yes",), "discarded")],
    ids=["no", "yes", "--yes"],
)
async def test_on_a_terminal_discarding_by_filter_asks_before(
    system: System, answer: str | None, yes: tuple[str, ...], state: str
) -> None:
    name = f"by-{uuid4().hex}"
    letters = [(await kept(system, next(run_ids))).letter_id for _ in range(2)]
    await system.database.execute(
        "UPDATE dead_letters SET requested_by = $1 WHERE letter_id = ANY ($2)", name, letters
    )

    code, out = await _asked(system, answer, "discard", "--requested-by", name, *yes)

    assert (code, out) == ((130, "") if state == "waiting" else (0, "discarded 2\n"))
    states = await system.database.fetch(
        "SELECT state FROM dead_letters WHERE letter_id = ANY ($1)", letters
    )
    assert [row["state"] for row in states] == [state] * 2


async def _asked(system: System, answer: str | None, *arguments: str) -> tuple[int, str]:
    """`answer` what it asks on a terminal, if anything; the exit code and stdout, a pipe."""
    outer, inner = pty.openpty()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(outer, "rb", buffering=0)
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "dead-letters", *arguments),
            env={**os.environ, **system.environment, "TERM": "dumb"},
            stdin=inner,
            stdout=asyncio.subprocess.PIPE,
            stderr=inner,
        )
        async with asyncio.timeout(DEADLINE):
            if answer is not None:
                assert b"Discard 2 dead letters? [y/N]" in await reader.readuntil(b"]:")
                os.write(outer, f"{answer}\n".encode())
            out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()
    finally:
        os.close(inner)
        transport.close()


async def _on_a_terminal(system: System, *arguments: str) -> str:
    outer, inner = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "dead-letters", *arguments),
            env={**os.environ, **system.environment, "COLUMNS": "80", "TERM": "dumb"},
            stdout=inner,
        )
        os.close(inner)
        async with asyncio.timeout(DEADLINE):
            assert await process.wait() == 0
        return os.read(outer, 65536).decode()
    finally:
        os.close(outer)
