"""Passwords change without a restart: programs read their files again for each connection."""

import asyncio
import shlex
from collections.abc import Iterable

from tests.support.network.certificates import replace
from tests.support.network.tls_programs import TlsPrograms
from tests.support.network.tls_servers import USER
from tests.support.network.tls_system import TlsSystem
from tests.support.repository.documents import code_block
from tools.support.program import Program
from tools.support.waiting import eventually

NEW = "the-new-password"
"""As the document has it."""
OLD_ONE_REFUSED = "ACCESS_REFUSED - Login was refused"


async def _refused(programs: Iterable[Program]) -> None:
    """Wait until all have been refused by RabbitMQ."""
    for program in programs:
        await program.event(
            "rabbitmq_unreachable", where=lambda event: event["error"].startswith(OLD_ONE_REFUSED)
        )


async def _carry_out(system: TlsSystem, step: list[str]) -> None:
    """Carry out a line of the document on the servers of the test."""
    words = [word.replace("worker", USER) for word in step]
    match words:
        case ["rabbitmqctl", *arguments]:
            await asyncio.to_thread(system.servers.rabbit.ctl, *arguments)
        case ["psql", statement]:
            await system.database.execute(statement.removeprefix("--command="))
        case _:
            raise AssertionError(words)


async def test_programs_come_back_once_the_file_has_the_new_password(system: TlsSystem) -> None:
    programs = await TlsPrograms.start(system)
    console = await system.program("worker", "console", "--port", "0")
    ready = f"{(await console.event('console_ready'))['url'].rstrip('/')}/readyz"
    await programs.cancel()

    steps = [shlex.split(line) for line in code_block("sh rotate").splitlines()]
    (moving,) = (number for number, step in enumerate(steps) if step[0] == "mv")
    for step in steps[:moving]:
        await _carry_out(system, step)
    await programs.cancel()  # sessions go on
    for step in steps[moving + 1 :]:
        await _carry_out(system, step)
    await _refused((*programs, console))
    replace(system.password_file, b"")  # as while somebody writes it
    said = f"AMQP_PASSWORD_FILE={system.password_file}: empty"
    await programs.worker.event("rabbitmq_unreachable", where=lambda it: it["error"] == said)
    replace(system.password_file, f"{NEW}\n".encode())

    await programs.cancel()
    programs.check()

    async def is_ready() -> bool:
        async with system.http.get(ready) as response:
            return response.status == 200

    await eventually(is_ready, what="the console")
    assert NEW not in console.log()


async def test_at_the_start_a_password_that_is_late_is_waited_for(system: TlsSystem) -> None:
    await system.servers.set_password(NEW)

    worker = await system.program("worker", "serve")
    await worker.event(
        "postgres_unreachable", where=lambda event: "password authentication" in event["error"]
    )
    replace(system.password_file, NEW.encode())

    await worker.event("worker_ready")


async def test_commands_read_them_too(system: TlsSystem) -> None:
    await system.worker()
    await system.add_run(1)
    commands = (
        *("worker migrate", "worker runs show 1", "worker dead-letters list"),
        *("gateway tokens list", "worker runs cancel 1 --wait 20"),
    )

    ended = await asyncio.gather(*(system.cli(*line.split()) for line in commands))

    for line, (code, _, err) in zip(commands, ended, strict=True):
        assert code == 0, (line, err)
    await system.status_becomes(1, "canceled")


async def test_a_file_that_every_user_may_read_is_warned_of_once(system: TlsSystem) -> None:
    for path in (system.password_file, system.own.key):
        path.chmod(0o644)

    programs = await TlsPrograms.start(system)
    await programs.cancel()

    expected = {
        ("DATABASE_PASSWORD_FILE", str(system.password_file)),
        ("AMQP_PASSWORD_FILE", str(system.password_file)),
        ("sslkey", str(system.own.key)),
        ("CANCEL_AMQP_KEY_FILE", str(system.own.key)),
    }
    for program in programs:
        warned = [event for event in program.events if event["event"] == "secret_file_readable"]
        assert {(event["setting"], event["path"]) for event in warned} == expected
        assert len(warned) == len(expected)
