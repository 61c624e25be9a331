"""The command lines: what they print where, and every error in one clear line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.rows import STOPPED, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "open-sesame"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("cli")) as running:
        await running.add_run(1)
        await running.worker()
        yield running


CREATE = "gateway tokens create --subject s"

MISTAKES = {
    "worker": "Missing command",
    "gateway": "Missing command",
    "worker runs": "Missing command",
    "gateway tokens": "Missing command",
    "worker nonsense": "No such command 'nonsense'",
    "gateway nonsense": "No such command 'nonsense'",
    "worker --nonsense": "No such option: --nonsense",
    "worker runs add": "Missing argument 'N'",
    "worker runs add 0": "'N': '0' must be at least 1 (",
    "worker runs add -- -1": "'N': '-1' must be at least 1 (",
    "worker runs add abc": "'N': 'abc' must be an integer (",
    "worker runs add 1.5": "'N': '1.5' must be an integer (",
    "worker runs add \u0663": "'N': '\u0663' must be an integer (",
    "worker runs add 9223372036854775808": "'N': '9223372036854775808' must be at most ",
    "worker runs add " + 5000 * "9": "'N': '99999999999999999999…' must be at most ",
    "worker runs add 1": "run 1 already exists",
    "worker runs add 1 --grace 5": "run 1 already exists, with other options: grace period none, "
    "not 5 s",
    "worker runs add 1 --if-missing --stop-signal SIGINT": "stop signal SIGTERM, not SIGINT",
    "worker runs add 2 extra": "'N': 'extra' must be an integer (",
    "worker runs add 2 --stop-scope all": "'all' is not one of 'tree', 'leader'",
    "worker runs add 2 --label branch": "'branch' is not KEY=VALUE",
    "worker runs add 2 --label =main": "'=main' is not KEY=VALUE",
    "worker runs add 2 --label a=1 --label a=2": "--label: a key is given twice",
    "worker runs add 2 --label a:b=1": "--label: at most 16, each with a key of 1 to 63 ",
    "worker runs add 2 --label a=\udcff": "--label: at most 16",
    f"worker runs add 2 {' '.join(f'--label {n}=v' for n in range(17))}": "--label: at most 16",
    "worker runs add 2 --url ci/2": "--url: must be an http or https URL",
    "worker runs add 2 --start-before soon": "'soon' is neither a time like ",
    "worker runs add 2 --start-before 2026-12-31T18:00:00": "' is neither a time like ",
    "worker runs add 2 --start-before 2026-02-30T18:00:00Z": "'2026-02-30T18:00:00Z' is not a time",
    "worker runs add 2 --start-before 0001-01-01T00:00:00+01:00": "--start-before: is out of range",
    "worker runs add 2 --start-before 999w": "is longer than ten years",
    "worker runs list --label main": "'main' is not KEY=VALUE",
    "worker runs list --older-than soon": "'soon' is not a duration like",
    "worker runs cancel": "Missing argument 'N'",
    "worker runs cancel abc": "'N': 'abc' must be an integer (",
    "worker runs cancel 1 --wait -1": "'--wait'",
    "worker runs cancel 1 --wait nan": "'--wait'",
    "worker runs cancel 1 --reason " + 256 * "r": "--reason must have at most 255 characters",
    "worker runs cancel 1 --reason \udcff": "--reason must have at most 255 characters",
    "worker runs add 2 --grace -1": "'--grace'",
    "worker runs add 2 --grace 601": "'--grace'",
    "worker runs add 2 --grace nan": "'--grace'",
    "worker runs add 2 --grace soon": "'--grace'",
    "worker runs add 2 --stop-signal SIGKILL": "'SIGKILL' is not one of 'SIGTERM'",
    "worker runs add 2 --stop-signal 15": "'15' is not one of 'SIGTERM'",
    "worker runs show": "Missing argument 'N'",
    "worker runs show 404": "run 404 not found",
    "worker runs list --status nonsense": "'nonsense' is not one of 'queued'",
    "worker runs list --limit 0": "'--limit'",
    "worker hosts": "Missing command",
    "worker hosts show": "Missing argument 'NAME'",
    "worker hosts show nowhere": "host 'nowhere' not found",
    "worker hosts abandon nowhere": "Missing option '--reason'",
    "worker hosts abandon nowhere --reason burnt": "host 'nowhere' not found",
    "worker hosts abandon nowhere --reason \udcff": "--reason must have 1 to 255 printable",
    "worker dead-letters": "Missing command",
    "worker dead-letters list --older-than soon": "'soon' is not a duration like",
    "worker dead-letters list --state lost": "'lost' is not one of 'waiting'",
    "worker dead-letters list --reason unknown": "'unknown' is not one of 'malformed', "
    "'unknown_type', 'unknown_version', 'command_reused', 'run_conflict', 'unknown_run', "
    "'stop_failed', 'host_abandoned', 'internal_error', 'delivery_limit', 'expired', 'maxlen', "
    "'foreign'",
    "worker dead-letters list --count-by reason --reason Malformed": "'Malformed' is not one of",
    "worker dead-letters list --publisher \udcff": "'--publisher': is not valid UTF-8",
    "worker dead-letters list --count-by body": "'body' is not one of 'reason'",
    "worker dead-letters show": "select letters either by ID, or with --all or filters",
    "worker dead-letters show 404": "dead letter 404 not found",
    "worker dead-letters show 0": "'ID': must be at least 1 (",
    "worker dead-letters replay": "select letters either by ID, or with --all or filters",
    "worker dead-letters replay 1 --all": "select letters either by ID, or with --all or",
    "worker dead-letters replay 1 2 --edit": "--edit takes one ID",
    "worker dead-letters replay 404 --edit": "dead letter 404 not found",
    "worker dead-letters replay --all --rate 0": "'--rate'",
    "worker dead-letters replay --reason unknown-run": "'unknown-run' is not one of 'malformed', ",
    "worker dead-letters replay --all --reason= --wait 5": "'' is not one of 'malformed', ",
    "worker dead-letters replay 1 --wait -1": "'--wait'",
    "worker dead-letters replay 1 --wait soon": "'--wait'",
    "worker dead-letters replay 1 --wait nan": "'--wait'",
    "worker dead-letters replay 1 --wait inf": "'--wait'",
    "worker dead-letters replay 1 --dry-run --wait 5": "--wait cannot be combined with --dry-run",
    "worker dead-letters replay --all --dry-run --wait 0": "--wait cannot be combined with",
    "worker dead-letters discard": "select letters either by ID, or with --all or filters",
    "worker dead-letters discard 404": "dead letter 404 not found",
    "worker serve --host-name a/b": "CANCEL_HOST_NAME: ",
    "gateway serve --port 65536": "'--port'",
    "gateway serve --port http": "'--port'",
    "gateway tokens create": "Missing option '--subject'",
    "gateway tokens create --subject=": "--subject must have 1 to 255 printable characters",
    "gateway tokens create --subject=\x01": "--subject must have 1 to 255 printable characters",
    "gateway tokens create --subject=\udcff": "--subject must have 1 to 255 printable characters",
    "gateway tokens create --subject=" + 256 * "s": "--subject must have 1 to 255",
    f"{CREATE} --role root": "'root' is not one of 'admin'",
    f"{CREATE} --scope runs:own": "'runs:own' is not one of 'runs:read'",
    f"{CREATE} --expires-in soon": "'soon' is not a duration like",
    f"{CREATE} --expires-in 0s": "'0s' is not a duration like",
    f"{CREATE} --expires-in -1d": "'-1d' is not a duration like",
    f"{CREATE} --expires-in 999999999w": "is longer than ten years",
    f"{CREATE} --rate-limit 0": "'--rate-limit'",
    f"{CREATE} --rate-limit many": "'--rate-limit'",
    f"{CREATE} --read-rate-limit -1": "'--read-rate-limit'",
    "gateway tokens revoke": "Missing argument 'ID",
    "gateway tokens revoke 404": "token 404 not found",
    "gateway tokens revoke 0": "nor a token id",
    "gateway tokens revoke -- -1": "nor a token id",
    "gateway tokens revoke 1.5": "nor a token id",
    "gateway tokens revoke 99999999999999999999": "nor a token id",
    "gateway tokens revoke 1 \u0663": "nor a token id",
    "gateway tokens revoke rct_nonsense": "that token not found",
}

WRONG_SETTINGS = {
    "DATABASE_URL": f"mysql://ci:{SECRET}@db/ci",
    "CANCEL_LOG_FORMAT": SECRET,
    "CANCEL_DATABASE_POOL_SIZE": SECRET,
}


async def _run_all(system: System, lines: list[list[str]]) -> list[tuple[int, str, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.programs.many_clis"),
        env={**os.environ, **system.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate(json.dumps(lines).encode())
    return [(code, out, err) for code, out, err in json.loads(out)]


async def test_a_mistake_is_one_line_and_exit_code_2(system: System) -> None:
    ended = await _run_all(system, [line.split() for line in MISTAKES])

    for (line, complaint), (code, out, err) in zip(MISTAKES.items(), ended, strict=True):
        assert (code, out) == (2, ""), (line, err)
        assert err.count("\n") == 1, (line, err)
        assert err.startswith(f"cancel-{line.split()[0]}: "), (line, err)
        assert complaint in err, (line, err)


async def test_a_wrong_setting_is_named_and_its_value_never_shown(system: System) -> None:
    ended = await asyncio.gather(
        *(
            system.cli("worker", "runs", "list", env={name: value})
            for name, value in WRONG_SETTINGS.items()
        ),
    )

    for name, (code, out, err) in zip(WRONG_SETTINGS, ended, strict=True):
        assert (code, out) == (2, ""), err
        assert err.startswith(f"cancel-worker: {name}: ")
        assert err.count("\n") == 1
        assert SECRET not in err


async def test_a_missing_database_url_is_said(system: System) -> None:
    code, out, err = await system.cli("gateway", "serve", env={"DATABASE_URL": ""})
    assert (code, out) == (2, "")
    assert err.startswith("cancel-gateway: DATABASE_URL: must start with postgresql://")

    code, out, err = await _without_environment("worker", "runs", "list")
    assert (code, out, err) == (2, "", "cancel-worker: DATABASE_URL: is not set\n")


async def test_a_port_in_use_is_said(system: System) -> None:
    url = await system.gateway()
    port = url.rpartition(":")[2]

    code, _, err = await system.cli("gateway", "serve", "--port", port)

    assert code == 2
    last = err.splitlines()[-1]
    assert last == f"cancel-gateway: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert "Traceback" not in err


async def test_a_run_is_added_shown_and_listed(system: System) -> None:
    added = await system.cli(
        *("worker", "runs", "add", "10", "--grace", "2.5", "--stop-signal", "SIGINT")
    )
    await insert_run(system.database, 11, STOPPED)
    shown, listed, queued, table, stopped = await asyncio.gather(
        *(
            system.cli(*line.split(), env={"COLUMNS": "200"})
            for line in (
                "worker runs show 10 --json",
                "worker runs list --json",
                "worker runs list --status queued --json",
                "worker runs list",
                "worker runs show 11",
            )
        )
    )

    assert added == (0, "run 10 is queued\n", "")
    run = json.loads(shown[1])
    assert run["run_id"] == 10
    assert (run["grace_seconds"], run["stop_signal"]) == (2.5, "SIGINT")
    assert (run["status"], run["cancellations"]) == ("queued", [])
    assert [row["run_id"] for row in json.loads(listed[1])] == [11, 10, 1]  # the newest first
    assert [row["run_id"] for row in json.loads(queued[1])] == [10, 1]
    assert "canceled" in table[1]
    assert STOPPED["host"] in stopped[1]
    assert [code for code, _, _ in (shown, listed, queued, table, stopped)] == [0] * 5
    assert [err for _, _, err in (shown, listed, queued, table, stopped)] == [""] * 5


async def test_a_cancellation_is_shown_with_its_evidence(system: System) -> None:
    await system.add_run(20)
    command_id = await system.publish(20, reason="superseded", requested_by="bob")
    await system.outcome_of(command_id)

    _, out, _ = await system.cli("worker", "runs", "show", "20", "--json")
    _, table, _ = await system.cli("worker", "runs", "show", "20")

    (cancellation,) = json.loads(out)["cancellations"]
    assert cancellation["command_id"] == command_id
    assert cancellation["evidence"]["proof"] == "never_started"
    assert "superseded" in table


async def test_what_people_wrote_is_shown_as_they_wrote_it(system: System) -> None:
    await system.add_run(21)
    await system.outcome_of(await system.publish(21, reason="[/red] :boom: [link=x]"))

    code, out, err = await system.cli("worker", "runs", "show", "21")

    assert (code, err) == (0, "")
    assert "[/red] :boom: [link=x]" in out


async def test_a_token_is_printed_alone(system: System) -> None:
    code, out, err = await system.cli(
        *("gateway", "tokens", "create", "--subject", "ci", "--role", "tester"),
        *("--scope", "runs:read", "--expires-in", "30d", "--rate-limit", "5"),
    )

    assert (code, err) == (0, "")
    assert out.startswith("rct_")
    assert out.split() == [out.removesuffix("\n")]
    row = await system.database.fetchrow(
        "SELECT *, expires_at - created_at AS lives FROM tokens WHERE subject = 'ci'"
    )
    assert row is not None
    assert (row["role"], row["scopes"], row["write_limit"]) == ("tester", ["runs:read"], 5)
    assert row["lives"].days == 30


async def test_a_reader_that_went_away_is_no_error(system: System) -> None:
    for line in ("worker runs list --json", "worker runs list"):
        code, err = await _into_closed_pipe(system, *line.split())
        assert (code, err) == (0, ""), line


async def test_a_full_disk_is_one_line(system: System) -> None:
    code, err = await _into(system, "/dev/full", "worker", "runs", "list", "--json")

    assert (code, err) == (1, "cancel-worker: cannot write the output: no space left\n")


async def _into_closed_pipe(system: System, *arguments: str) -> tuple[int, str]:
    return await _shell(system, 'exec 3> >(:); wait $!; exec "$@" >&3', *arguments)


async def _into(system: System, target: str, *arguments: str) -> tuple[int, str]:
    return await _shell(system, f'exec "$@" > {target}', *arguments)


async def _shell(system: System, script: str, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script, "bash", sys.executable, "-m"),
        *arguments,
        env=system.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    return process.returncode or 0, err.decode()


async def _without_environment(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env={},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()
