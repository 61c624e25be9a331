"""A Buildbot master and a worker of it, from a virtual environment of their own."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import pytest

from tests.support.repository.documents import ROOT, code_block
from tools.support.environments import NoEnvironment, python_environment
from tools.support.program import DEADLINE
from tools.support.waiting import eventually

EXAMPLE: Final = ROOT / "deploy/buildbot"
BUILDER: Final = "build"
_ANSWER: Final = aiohttp.ClientTimeout(total=10)
DOCUMENTED_GATEWAY: Final = "https://run-cancel.example.com"
DOCUMENTED_BUILDERS: Final = f'builders=["{BUILDER}"],'
STOP_TIMEOUT: Final = 4
"""Seconds until Buildbot ends a job that the service does not."""
BUILDBOT_URL: Final = "http://127.0.0.1:8010/"

RESULTS: Final = ("success", "warnings", "failure", "skipped", "exception", "retry", "cancelled")
"""Buildbot's results, in the order of their numbers."""

# What the document's lines are put into.
_BEFORE: Final = """
from buildbot.plugins import schedulers, secrets, worker
c = BuildmasterConfig = {{
    "buildbotURL": "{url}",
    "buildbotNetUsageData": None,
    "db": {{"db_url": "sqlite:///state.sqlite"}},
    "protocols": {{"pb": {{"port": "tcp:0:interface=127.0.0.1"}}}},
    "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["{builder}"])],
    "secretsProviders": [secrets.SecretInAFile("secrets")],
    "services": [],
    "workers": [worker.Worker("worker", "password", max_builds=1)],
    "www": {{"port": "tcp:0:interface=127.0.0.1"}},
}}
"""
_AFTER: Final = """
from pathlib import Path
from buildbot.plugins import steps
checkout = steps.ShellCommand(
    name="checkout",
    command=["sh", "-c", "mv ci/checkout.sh ci/once && exec ci/once"],
    doStepIf=lambda _: Path("{scripts}/checkout.sh").exists(),
    haltOnFailure=True,
)
factory.addStep(checkout)
factory.steps.insert(0, factory.steps.pop())
c["builders"] = [
    util.BuilderConfig(name="{builder}", workernames=["worker"], factory=factory)
]
"""


def bin_of_buildbot() -> Path:
    """Where Buildbot's programs are. Skips the test if they cannot be installed."""
    try:
        return python_environment("buildbot", EXAMPLE / "requirements.txt").parent
    except NoEnvironment as error:
        pytest.skip(str(error))


class Buildbot:
    """One master with one builder and one worker, in `directory`."""

    def __init__(self, directory: Path, http: aiohttp.ClientSession, path: str) -> None:
        """`path` is the worker's, by which it finds `cancel-exec`."""
        self.directory = directory
        self._http = http
        self._bin = bin_of_buildbot()
        self._path = path
        self._scripts = directory / "worker" / BUILDER / "build/ci"
        self._processes: list[asyncio.subprocess.Process] = []
        self._api: str
        self._worker_port: str

    @asynccontextmanager
    async def running(self, gateway: str, token: str, socket: Path) -> AsyncIterator["Buildbot"]:
        try:
            await self._start_master(gateway, token)
            self._socket = socket
            await self.start_worker()
            yield self
        finally:
            for process in self._processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    async def _start_master(self, gateway: str, token: str) -> None:
        master = self.directory / "master"
        await self._run("buildbot", "create-master", "--quiet", "--relocatable", str(master))
        (master / "secrets").mkdir(mode=0o700)
        secret = master / "secrets/run-cancel-token"
        secret.write_text(token)
        secret.chmod(0o600)
        (master / "run_cancel.py").write_text((EXAMPLE / "run_cancel.py").read_text())
        documented = (
            code_block("python master.cfg")
            .replace(DOCUMENTED_GATEWAY, gateway)
            .replace(DOCUMENTED_BUILDERS, f"{DOCUMENTED_BUILDERS} stop_timeout={STOP_TIMEOUT},")
        )
        before = _BEFORE.format(builder=BUILDER, url=BUILDBOT_URL)
        parts = (before, documented, _AFTER.format(builder=BUILDER, scripts=self._scripts))
        (master / "master.cfg").write_text("".join(parts))
        await self._spawn("buildbot", "start", "--nodaemon", str(master))
        worker_port, port = await eventually(
            lambda: re.findall(r"(?:PBServerFactory|BuildbotSite) starting on (\d+)", self.log()),
            lambda ports: len(ports) == 2,
            what="the list of the master's ports",
        )
        if f"BuildbotSite starting on {worker_port}" in self.log():
            worker_port, port = port, worker_port
        self._worker_port, self._api = worker_port, f"http://127.0.0.1:{port}/api/v2"
        self.page = f"http://127.0.0.1:{port}/"

    async def start_worker(self) -> None:
        """Start the worker and wait until it is connected."""
        directory = self.directory / "worker"
        if not directory.exists():
            address = f"127.0.0.1:{self._worker_port}"
            create = ("create-worker", "--relocatable", "--quiet", "--maxdelay=1")
            await self._run(
                "buildbot-worker", *create, str(directory), address, "worker", "password"
            )
        await self._spawn(
            *("buildbot-worker", "start", "--nodaemon", str(directory)),
            PATH=f"{self._path}:{os.environ['PATH']}",
            CANCEL_WORKER_SOCKET=str(self._socket),
        )
        await eventually(self._is_connected, what="the worker's connection")

    async def kill_worker(self) -> None:
        """Kill the process that is connected to the master, not what it started."""
        worker = self._processes[-1]
        worker.kill()
        await worker.wait()

    def script(self, text: str, *, step: str = "build") -> None:
        """What the next build runs as its job, or as the step `checkout` before it."""
        file = self._scripts / f"{step}.sh"
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name("new")
        # Not by Buildbot's log: while that grows, its REST API answers a poll now and then never.
        self._printed = self.directory / f"printed-{uuid4().hex}"
        new.write_text(f"#!/bin/sh\nexec >'{self._printed}'\n{text}\n")
        new.chmod(0o755)
        new.rename(file)

    async def force(self, **source: str) -> int:
        """Ask for a build; its build request."""
        _, requests = await self._call("/forceschedulers/force", "force", builderid="1", **source)
        (request,) = requests.values()
        return int(request)

    async def build(self, request: int, attempt: int = 1) -> int:
        """The build of a request, as soon as there is one."""
        builds = await eventually(
            lambda: self._get(f"/buildrequests/{request}/builds", "builds"),
            lambda builds: len(builds) >= attempt,
        )
        return int(builds[attempt - 1]["buildid"])

    async def result(self, build: int) -> str:
        """How a build ended, once it has."""
        return await self._result(f"/builds/{build}", "builds")

    async def request_result(self, request: int) -> str:
        return await self._result(f"/buildrequests/{request}", "buildrequests")

    async def stop(self, build: int, reason: str) -> None:
        """Press the stop button of a build."""
        await self._call(f"/builds/{build}", "stop", reason=reason)

    async def cancel_request(self, request: int) -> None:
        await self._call(f"/buildrequests/{request}", "cancel", reason="not needed")

    async def run_id(self, build: int) -> int:
        """What the build says of its run."""
        (properties,) = await self._get(f"/builds/{build}/properties", "properties")
        return int(properties["run_id"][0])

    async def output(self, build: int) -> str:
        """The log of the cancelable step of a build that is over."""
        for step in await self._get(f"/builds/{build}/steps", "steps"):
            if step["name"] != "cancelable":
                continue
            for log in await self._get(f"/steps/{step['stepid']}/logs", "logs"):
                if log["name"] != "stdio":
                    continue
                (chunk,) = await self._get(f"/logs/{log['logid']}/contents", "logchunks")
                # Each line begins with a letter for its stream.
                return "".join(line[1:] + "\n" for line in chunk["content"].splitlines())
        return ""

    def printed(self) -> list[str]:
        """The lines that the last script has printed."""
        return self._printed.read_text().splitlines() if self._printed.exists() else []

    async def prints(self, line: str) -> None:
        """Wait until the last script has printed a line."""
        await eventually(self.printed, lambda lines: line in lines)

    def log(self) -> str:
        """What the master has logged."""
        log = self.directory / "master/twistd.log"
        return log.read_text() if log.exists() else ""

    async def _result(self, path: str, kind: str) -> str:
        (found,) = await eventually(
            lambda: self._get(path, kind), lambda found: found[0]["complete"], what=path
        )
        return RESULTS[found["results"]]

    async def _is_connected(self) -> bool:
        (worker,) = await self._get("/workers", "workers")
        return bool(worker["connected_to"])

    async def _get(self, path: str, kind: str) -> Any:
        # Now and then, Buildbot's server breaks off an answer, or labels it as gzip and it is not.
        for _ in range(3):
            with suppress(aiohttp.ClientPayloadError, TimeoutError):
                async with self._http.get(f"{self._api}{path}", timeout=_ANSWER) as response:
                    return (await response.json(content_type=None))[kind]  # they say text
        raise AssertionError(f"Buildbot does not answer {path}")

    async def _call(self, path: str, method: str, **params: str) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._http.post(f"{self._api}{path}", json=body) as response:
            answer = await response.json(content_type=None)
            assert response.status == 200, answer
            return answer["result"]

    async def _run(self, program: str, *arguments: str) -> None:
        process = await self._spawn(program, *arguments)
        async with asyncio.timeout(DEADLINE):
            assert await process.wait() == 0

    async def _spawn(self, program: str, *arguments: str, **env: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(str(self._bin / program), *arguments),
            env={**_environment(), **env},
            stdin=asyncio.subprocess.DEVNULL,
            # Both have log files of their own, and repeat them here.
            stdout=asyncio.subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process


def _environment() -> Mapping[str, str]:
    """As a platform's machine has it: nothing of our services."""
    ours = ("DATABASE_URL", "AMQP_URL", "PYTHONPATH")
    return {key: value for key, value in os.environ.items() if key not in ours}
