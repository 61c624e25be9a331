"""`make demo` tells the truth and cleans up."""

import asyncio
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.programs.demo_process import assert_nothing_left, demo, ended, printed
from tools.demo.evidence.facts import Facts
from tools.demo.screen import Screen
from tools.demo.show import sum_up
from tools.support.compose import has_engine, left_of, missing_images

pytestmark = pytest.mark.timeout(180)


async def test_every_fact_holds_and_nothing_is_left(
    environment: dict[str, str], directory: Path
) -> None:
    async with demo(environment) as process:
        code, output, errors = await ended(process)

    assert code == 0, output + errors
    assert "✗" not in output
    assert "checks passed" in output
    assert_nothing_left(directory)


@pytest.mark.skipif(not has_engine(), reason="no Docker engine with compose and buildx here")
@pytest.mark.timeout(600)
async def test_where_docker_is_it_plays_on_all_of_compose_yaml(
    environment: dict[str, str], directory: Path
) -> None:
    if missing := missing_images():
        pytest.skip(f"Docker is running but cannot pull {', '.join(missing)}")
    given = ("DATABASE_URL", "AMQP_URL", "CANCEL_TOPOLOGY_PREFIX", "SERVICES")
    own = {name: value for name, value in environment.items() if name not in given}
    async with demo(own) as process:
        code, output, errors = await ended(process, deadline=500)

    assert code == 0, output + errors
    assert "row in Postgres: canceled, on runner-1" in output
    assert_nothing_left(directory)
    [project] = re.findall(r"--project-name (\S+)", output)
    assert await asyncio.to_thread(left_of, project) == []


async def test_interrupted_in_the_grace_period_it_leaves_nothing(
    environment: dict[str, str], directory: Path
) -> None:
    async with demo(environment) as process:
        await printed(process, "curl")
        process.send_signal(signal.SIGINT)
        code, output, errors = await ended(process)

    assert code == 130, output + errors
    assert "Traceback" not in errors
    assert_nothing_left(directory)


@pytest.mark.parametrize("server", ["cancel-worker", "cancel-gateway"])
async def test_a_server_that_dies_is_named_and_not_waited_for(
    environment: dict[str, str], directory: Path, server: str
) -> None:
    if server == "cancel-gateway" and has_engine():
        pytest.skip("with Docker, the gateway is a container of compose.yaml")
    async with demo(environment) as process:
        await printed(process, "building")
        os.kill(pid_of_server(server, directory), signal.SIGKILL)
        code, output, errors = await ended(process, deadline=15)

    assert code == 1, output + errors
    assert f"✗ {server} ended unexpectedly, after " in output
    assert "Traceback" not in output + errors
    assert_nothing_left(directory)


async def test_service_trouble_is_one_line(environment: dict[str, str], directory: Path) -> None:
    away = {"DATABASE_URL": "postgresql://me:hush@127.0.0.1:1/x", "CANCEL_STARTUP_TIMEOUT": "0.1"}
    async with demo({**environment, **away}) as process:
        code, _, errors = await ended(process)

    assert code == 2
    assert len(errors.splitlines()) == 1
    assert "127.0.0.1:1" in errors
    assert "hush" not in errors
    assert_nothing_left(directory)


def test_a_fact_that_failed_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    facts = Facts(screen)
    facts.check("this holds", True)
    facts.equal("this does not", 1, 2)

    assert sum_up(screen, facts, 1.0) == 1
    output = capsys.readouterr().out
    assert "✗ this does not: found 1, expected 2" in output
    assert "1 of 2 checks failed" in output


def pid_of_server(name: str, directory: Path) -> int:
    """The program `name serve` of the demo that was given `directory`."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            ours = str(directory).encode() in (entry / "environ").read_bytes()
            if ours and b"serve" in words and any(word.endswith(name.encode()) for word in words):
                return int(entry.name)
    raise AssertionError(f"{name} does not run")
