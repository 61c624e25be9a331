"""What `make up` prints can be pasted as it is, and it ends what was started by that."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.support.console.operator import Operator
from tests.support.programs.demo_process import DEADLINE, assert_nothing_left, demo, ended, printed
from tools.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

MORE_THAN_THE_DEFAULT_RATE = 23


async def test_what_up_prints_can_be_pasted(environment: dict[str, str], directory: Path) -> None:
    async with demo(environment, "up") as process:
        add, launch, over_http, directly = blocks(await printed(process, "Ctrl-C"))
        exports = "\n".join(line for line in add.splitlines() if line.startswith("export"))
        await paste(add)
        assert "DATABASE_URL" not in launch
        runner = asyncio.create_task(paste(f"set +e; {in_background(launch)}"))
        await running(environment["DATABASE_URL"], 2)

        answer = await paste(f"{exports}\n{over_http.splitlines()[0]}")
        assert " 202 " in answer, answer
        await paste(f"{exports}\n{directly.rpartition(chr(10))[0]}")
        await runner

        for block in (over_http, directly):
            shown = await paste(f"{exports}\n{block.splitlines()[-1]}")
            assert "cgroup_empty" in shown or "scans_empty" in shown
        told = await printed(process, f"cancel of run {run_in(directly)}: canceled")
        assert f"cancel of run {run_in(over_http)}: canceled" in told
        again = directly.rpartition(chr(10))[0].replace("str(uuid.uuid4())", repr(str(uuid4())))
        other = again.replace(f"publish({run_in(directly)})", f"publish({run_in(over_http)})")
        assert again != other
        await paste(f"{exports}\n{again}\n{other}")
        await printed(process, f"cancel of run {run_in(over_http)}: dead letter, command_reused")
        process.send_signal(signal.SIGINT)
        code, output, errors = await ended(process)

    assert code == 130, output + errors
    assert "has not ended" not in output
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
            worker, _, console = re.findall(r"log: (\S+)", output)
            assert "worker_ready" in Path(worker).read_text()
            assert "console_ready" in Path(console).read_text()
            assert await can_sign_in(output, add)
            process.send_signal(signal.SIGINT)
            code, said, errors = await ended(process)
            assert await launcher.wait() == 143, "of a job that was canceled"

    assert code == 130, output + errors
    assert f"canceling run {run_in(first)}" in said
    assert "has not ended" not in said
    assert_nothing_left(directory)


async def test_up_waits_for_many_jobs_and_removes_its_cgroups(
    environment: dict[str, str], directory: Path
) -> None:
    async with demo(environment, "up") as process:
        output = await printed(process, "exchanges and queues")
        assert f"host {environment['CANCEL_HOST_NAME']}" in output
        assert f"{environment['CANCEL_TOPOLOGY_PREFIX']}runs.*" in output
        add, launch, over_http, _ = blocks(output)
        exports = "\n".join(line for line in add.splitlines() if line.startswith("export"))
        *socket, _, _ = launch.splitlines()
        deaf, *others = range(1, MORE_THAN_THE_DEFAULT_RATE + 1)
        await paste(
            f"{exports}\ncancel-worker runs add --grace 4 {deaf}\n"
            f"for run in {' '.join(map(str, others))}; do cancel-worker runs add $run & done; wait"
        )
        ignoring = (
            f"cancel-exec --run-id {deaf} -- sh -c \"trap '' TERM; while :; do sleep 1; done\""
        )
        obedient = (f"cancel-exec --run-id {run} -- sleep 1000" for run in others)
        jobs = "\n".join(f"{command} &" for command in (ignoring, *obedient))
        runner = asyncio.create_task(paste("\n".join(["set +e", *socket, jobs, "wait"])))
        await running(environment["DATABASE_URL"], MORE_THAN_THE_DEFAULT_RATE)
        [log] = re.findall(r"log: (\S+/cancel-worker.log)", output)
        [ready] = [line for line in Path(log).read_text().splitlines() if "worker_ready" in line]
        cgroups = Path(json.loads(ready)["cgroups"])

        cancel = re.sub(r"/runs/\d+/", f"/runs/{deaf}/", over_http.splitlines()[0])
        assert " 202 " in await paste(f"{exports}\n{cancel}")
        await running(environment["DATABASE_URL"], len(others))
        process.send_signal(signal.SIGINT)
        code, said, errors = await ended(process)
        await runner

    assert code == 130, said + errors
    assert f"waiting for run {deaf}" in said
    assert said.count("canceling run") == len(others)
    assert "has not ended" not in said
    assert not cgroups.exists()
    assert_nothing_left(directory)


async def can_sign_in(output: str, exports: str) -> bool:
    """Whether the printed token opens the printed console."""
    [url] = re.findall(r"console at (\S+);", output)
    [token] = re.findall(r"export TOKEN=(\S+)", exports)
    operator = Operator(url)
    entered = await operator.sign_in(token)
    await operator.close()
    return entered.status == 303


async def running(database_url: str, runs: int) -> None:
    """Wait until exactly so many runs are running."""
    connection = await asyncpg.connect(database_url)
    count = "SELECT count(*) FROM runs WHERE status = 'running'"
    await eventually(lambda: connection.fetchval(count), lambda found: found == runs)
    await connection.close()


def run_in(block: str) -> str:
    """The run that the block's last line is about."""
    found: list[str] = re.findall(r"(?:show|--run-id) (\d+)", block)
    return found[-1]


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
