"""`make demo` tells the truth and cleans up; what `make up` prints can be pasted as it is."""

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
import pytest

from shared.amqp.topology import Topology
from tools.demo.facts import Facts
from tools.demo.screen import Screen
from tools.demo.show import sum_up
from tools.services import Services
from tools.support.compose import has_engine, left_of, missing_images

PROJECT = Path(__file__).parents[2]
DEADLINE = 100.0
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path that jobs of other users get through to; a socket's path is limited."""
    with tempfile.TemporaryDirectory(prefix="demo-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
async def environment(
    services: Services, database_url: str, directory: Path
) -> AsyncIterator[dict[str, str]]:
    prefix = f"t{uuid4().hex[:12]}."
    host = f"host-{uuid4().hex[:8]}"
    yield {
        **os.environ,
        "DATABASE_URL": database_url,
        "AMQP_URL": services.amqp_url,
        "CANCEL_TOPOLOGY_PREFIX": prefix,
        "CANCEL_HOST_NAME": host,
        # Two at once would find the same port free.
        "CANCEL_GATEWAY_PORT": "0",
        "TMPDIR": str(directory),
    }
    await _delete_names(services.amqp_url, Topology(prefix))


async def test_every_fact_holds_and_nothing_is_left(
    environment: dict[str, str], directory: Path
) -> None:
    async with demo(environment) as process:
        code, output, errors = await ended(process)

    assert code == 0, output + errors
    assert "✗" not in output
    assert "facts hold" in output
    assert_nothing_left(directory)


@pytest.mark.skipif(not has_engine(), reason="no Docker engine with compose and buildx here")
@pytest.mark.timeout(600)
async def test_where_docker_is_it_plays_on_all_of_compose_yaml(
    environment: dict[str, str], directory: Path
) -> None:
    if missing := missing_images():
        pytest.skip(f"Docker runs, but cannot pull {', '.join(missing)}")
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
async def test_a_server_that_dies_is_named_and_nobody_waits_for_it(
    environment: dict[str, str], directory: Path, server: str
) -> None:
    if server == "cancel-gateway" and has_engine():
        pytest.skip("with Docker, the gateway is a container of compose.yaml")
    async with demo(environment) as process:
        await printed(process, "building")
        os.kill(pid_of_server(server, directory), signal.SIGKILL)
        code, output, errors = await ended(process, deadline=15)

    assert code == 1, output + errors
    assert f"✗ {server} ended unasked, after " in output
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
    assert "1 of 2 facts failed" in output


async def test_what_up_prints_can_be_pasted(environment: dict[str, str], directory: Path) -> None:
    async with demo(environment, "up") as process:
        add, launch, over_http, directly = blocks(await printed(process, "Ctrl-C"))
        exports = "\n".join(line for line in add.splitlines() if line.startswith("export"))
        await paste(add)
        assert "DATABASE_URL" not in launch
        runner = asyncio.create_task(paste(f"set +e; {in_background(launch)}"))
        await running(environment["DATABASE_URL"], 2)

        answer = await paste(f"{exports}\n{over_http.splitlines()[0]}")
        assert " 202 " in answer
        await paste(f"{exports}\n{directly.rpartition(chr(10))[0]}")
        await runner

        for block in (over_http, directly):
            shown = await paste(f"{exports}\n{block.splitlines()[-1]}")
            assert "cgroup_empty" in shown or "scans_empty" in shown
        told = await printed(process, f"cancel of run {run_in(directly)}: canceled")
        assert f"cancel of run {run_in(over_http)}: canceled" in told
        process.send_signal(signal.SIGINT)
        code, output, errors = await ended(process)

    assert code == 130, output + errors
    assert "goes on" not in output
    assert "Traceback" not in errors
    assert_nothing_left(directory)


async def test_up_logs_to_files_and_cancels_jobs_at_its_end(
    environment: dict[str, str], directory: Path
) -> None:
    async with demo(environment, "up") as process:
        output = await printed(process, "Ctrl-C")
        add, launch, *_ = blocks(output)
        await paste(add)
        *exports, first, _ = launch.splitlines()
        async with pasted("\n".join([*exports, f"exec {first}"])) as launcher:
            await running(environment["DATABASE_URL"], 1)
            [log, _] = re.findall(r"log: (\S+)", output)
            assert "worker_ready" in Path(log).read_text()
            process.send_signal(signal.SIGINT)
            code, said, errors = await ended(process)
            assert await launcher.wait() == 143, "of a job that was canceled"

    assert code == 130, output + errors
    assert f"canceling run {run_in(first)}" in said
    assert "goes on" not in said
    assert_nothing_left(directory)


@asynccontextmanager
async def demo(
    environment: dict[str, str], *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.demo", *arguments),
        cwd=PROJECT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def printed(process: asyncio.subprocess.Process, word: str) -> str:
    """All output up to the first line with `word`."""
    assert process.stdout is not None
    output = ""
    async with asyncio.timeout(DEADLINE):
        while word not in output:
            line = await process.stdout.readline()
            assert line, output
            output += line.decode()
    return output


async def running(database_url: str, runs: int) -> None:
    """Wait until so many runs are running."""
    connection = await asyncpg.connect(database_url)
    count = "SELECT count(*) FROM runs WHERE status = 'running'"
    async with asyncio.timeout(DEADLINE):
        while await connection.fetchval(count) < runs:
            await asyncio.sleep(0.01)
    await connection.close()


def run_in(block: str) -> str:
    """The run that the block's last line is about."""
    found: list[str] = re.findall(r"(?:show|--run-id) (\d+)", block)
    return found[-1]


def pid_of_server(name: str, directory: Path) -> int:
    """The program `name serve` of the demo that was given `directory`."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            ours = str(directory).encode() in (entry / "environ").read_bytes()
            if ours and b"serve" in words and any(word.endswith(name.encode()) for word in words):
                return int(entry.name)
    raise AssertionError(f"{name} does not run")


async def ended(
    process: asyncio.subprocess.Process, deadline: float = DEADLINE
) -> tuple[int, str, str]:
    async with asyncio.timeout(deadline):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def blocks(output: str) -> list[str]:
    """The commands under each printed title."""
    _, *found = output.partition("\nCtrl-C")[0].split("\n# ")
    return [block.partition("\n")[2].strip() for block in found]


def in_background(block: str) -> str:
    lines = (f"{line} &" if line.startswith("cancel-exec") else line for line in block.split("\n"))
    return "\n".join([*lines, "wait"])


async def paste(commands: str) -> str:
    """Run `commands` as another terminal would, to their end."""
    async with pasted(commands) as process:
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@asynccontextmanager
async def pasted(commands: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`commands` in another terminal: in another directory, with none of our variables."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-ec", commands),
        cwd="/",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "COLUMNS": "200"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE):
        yield process
        await process.wait()


def assert_nothing_left(directory: Path) -> None:
    """No file, and no process that was told of the directory."""
    assert list(directory.iterdir()) == []
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in told:
            left.append(entry.name)
    assert left == []


async def _delete_names(amqp_url: str, topology: Topology) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        for name in topology.queues():
            await channel.queue_delete(name)
        for name in (topology.commands, topology.dead_exchange, topology.events, topology.wakes):
            await channel.exchange_delete(name)
