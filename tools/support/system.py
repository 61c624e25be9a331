"""The whole system for one test: its own database and queue names, real programs, real broker."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from gateway.auth.access import Scope, new_token
from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from shared.launcher_environment import SOCKET_VARIABLE
from shared.postgres import sql
from shared.tokens import Role, token_hash
from tools.support.broker_names import delete_names
from tools.support.forked import ForkedProcess, can_be_forked
from tools.support.launched import Launched
from tools.support.processes import BAD_CHILD, alive, why_no_cgroups
from tools.support.program import DEADLINE, Program
from tools.support.records import Records
from tools.support.rows import registration
from tools.support.waiting import eventually
from worker.processes.cgroup import Cgroup, path_of


class System(Records):
    """Starts programs against one database and one set of queue names, and ends them all."""

    def __init__(
        self,
        database_url: str,
        amqp_url: str,
        directory: Path,
        prefix: str | None = None,
        *,
        forks: bool = True,
    ) -> None:
        """`forks`: start programs without their imports, by a fork, where that is the same."""
        self.database_url = database_url
        self.amqp_url = amqp_url
        self.directory = directory
        self._forks = forks
        self.prefix = f"t{uuid4().hex[:12]}." if prefix is None else prefix
        self.topology = Topology(self.prefix)
        self.host = f"host-{uuid4().hex[:8]}"
        self._programs: list[Program] = []
        self._launched: list[Launched] = []
        self._marks: list[str] = []
        self._hosts: set[str] = {self.host}
        self.http: aiohttp.ClientSession
        self.database: asyncpg.Pool[asyncpg.Record]
        self.channel: AbstractChannel

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "CANCEL_TOPOLOGY_PREFIX": self.prefix,
            SOCKET_VARIABLE: str(self.socket()),
            "CANCEL_HOST_NAME": self.host,
            # Most tests look into the queue itself.
            "CANCEL_KEEP_DEAD_LETTERS": "false",
        }

    def socket(self, host: str | None = None) -> Path:
        return self.directory / f"{host or self.host}.sock"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["System"]:
        self._let_others_through()
        connection = await aio_pika.connect(self.amqp_url)
        self.channel = await connection.channel(on_return_raises=True)
        # One at a time, or taking one dead letter would hold on to the others.
        await self.channel.set_qos(prefetch_count=1)
        self.database = await asyncpg.create_pool(self.database_url, min_size=1, max_size=10)
        self.http = aiohttp.ClientSession()
        try:
            await self.topology.declare_worker(self.channel)
            yield self
        finally:
            await self._end_all()
            await self.delete_names()
            await self.http.close()
            await self.database.close()
            await connection.close()

    async def worker(
        self,
        host: str | None = None,
        env: Mapping[str, str] | None = None,
        module: str = "worker",
        within: Sequence[str] = (),
        **settings: object,
    ) -> Program:
        """Start a worker and wait until it serves. Keywords are settings in lower case."""
        if settings.get("containment") == "cgroup" and (reason := why_no_cgroups()):
            pytest.skip(reason)
        name = host or self.host
        self._hosts.add(name)
        program = await self.program(
            module,
            "serve",
            within=within,
            **{
                "CANCEL_HOST_NAME": name,
                SOCKET_VARIABLE: str(self.socket(name)),
                **(env or {}),
                **{f"CANCEL_{key.upper()}": str(value) for key, value in settings.items()},
            },
        )
        await program.event("worker_ready")
        await program.event("consuming")
        return program

    async def gateway(self, **settings: object) -> str:
        """Start a gateway on a free port and return its base URL."""
        program = await self.program(
            "gateway",
            "serve",
            "--port",
            "0",
            **{f"CANCEL_{key.upper()}": str(value) for key, value in settings.items()},
        )
        return str((await program.event("gateway_ready"))["url"])

    async def program(self, *arguments: str, within: Sequence[str] = (), **env: str) -> Program:
        env = {**self.environment, **env}
        if not within and self._can_be_forked(arguments[0], env):
            forked = await ForkedProcess.start(*arguments, env={**env, **Program.LOGS})
            program = Program(forked)
        else:
            program = await Program.start(*arguments, env=env, within=within)
        self._programs.append(program)
        return program

    async def cli(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run `python -m ARGUMENTS…` to its end: exit code, stdout, stderr."""
        process: ForkedProcess | asyncio.subprocess.Process
        environment = {**self.environment, **(env or {})}
        if self._can_be_forked(arguments[0], environment):
            process = await ForkedProcess.start(*arguments, env=environment)
        else:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *arguments,
                env={**os.environ, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    def _can_be_forked(self, module: str, env: Mapping[str, str]) -> bool:
        return self._forks and can_be_forked(module, env)

    async def launch(self, run_id: int, *command: str, **options: Any) -> Launched:
        """Start `cancel-exec` with `command`."""
        launched = await Launched.start(run_id, *command, **{"socket": self.socket(), **options})
        self._launched.append(launched)
        return launched

    def adopt(self, launcher: asyncio.subprocess.Process) -> None:
        """End this launcher too, however the test ends."""
        self._launched.append(Launched(launcher))

    async def launch_bad_child(
        self, run_id: int, kind: str, **options: Any
    ) -> tuple[Launched, str]:
        """Add a run, start a bad child as it, wait until it is ready; the launcher, the mark."""
        mark = self.new_mark()
        await self.add_run(run_id)
        launched = await self.launch(
            run_id, sys.executable, "-S", str(BAD_CHILD), kind, mark, **options
        )
        await launched.ready()
        return launched, mark

    def new_mark(self) -> str:
        """A word for a bad child's command line; who still has it in the end is killed."""
        self._marks.append(mark := f"mark-{uuid4().hex}")
        return mark

    async def add_run(
        self,
        run_id: int,
        grace: float | None = None,
        stop_signal: str = "SIGTERM",
        leftovers: str = "stop",
    ) -> None:
        await self.database.execute(
            sql.registrations.REGISTER, *registration(run_id, grace, stop_signal, leftovers)
        )

    async def token(
        self,
        role: Role = Role.CONTRIBUTOR,
        scopes: tuple[str, ...] = tuple(Scope),
        subject: str = "alice",
        limit: int | None = 1_000_000,
    ) -> str:
        """Store a token; `limit` holds for each kind of request, None is the gateway's default."""
        token = new_token()
        await self.database.execute(
            sql.requests.ADD_TOKEN,
            token_hash(token),
            subject,
            role,
            list(scopes),
            limit,
            limit,
            limit,
            None,
        )
        return token

    async def publish(
        self, run_id: int, user_id: str | None = None, key: str = CANCEL_KEY, **fields: Any
    ) -> str:
        """Publish a well-formed command straight to the broker; its command id."""
        command = {"command_id": str(uuid4()), "run_id": run_id, **fields}
        await self.publish_raw(
            json.dumps(command).encode(),
            key,
            message_id=command["command_id"],
            type=CANCEL_TYPE,
            user_id=user_id,
        )
        return str(command["command_id"])

    async def publish_raw(self, body: bytes, key: str = CANCEL_KEY, **properties: Any) -> None:
        exchange = await self.channel.get_exchange(self.topology.commands, ensure=False)
        await exchange.publish(aio_pika.Message(body, **properties), key, mandatory=True)

    async def dead_letter(self, deadline: float = DEADLINE) -> AbstractIncomingMessage:
        """Wait for the next dead letter and take it."""
        queue = await self.channel.get_queue(self.topology.dead, ensure=False)
        taken: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        tag = await queue.consume(taken.put)
        try:
            async with asyncio.timeout(deadline):
                message = await taken.get()
        finally:
            await queue.cancel(tag)
        await message.ack()
        return message

    async def purge(self, queue: str) -> None:
        """Drop what is ready in `queue`, as soon as there is something."""
        found = await self.channel.get_queue(queue, ensure=False)
        await eventually(found.purge, lambda purged: purged.message_count)

    async def depth(self, queue: str) -> int:
        """Messages ready in `queue`."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    def _let_others_through(self) -> None:
        """Jobs of other users must get to the socket; pytest's directories are its own alone."""
        top = Path(tempfile.gettempdir())
        for directory in (self.directory, *self.directory.parents):
            if directory == top:
                return
            directory.chmod(0o755)

    async def _end_all(self) -> None:
        # Jobs first: a launcher counts as ended only once nobody holds its output open.
        for mark in self._marks:
            for pid in alive(mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for launched in self._launched:
            await launched.end()
        for program in self._programs:
            await program.stop(signal.SIGKILL)
        if own := path_of("self"):
            for host in self._hosts:
                Cgroup(own / "cancel-worker" / host).remove()

    async def delete_names(self) -> None:
        await delete_names(self.channel, self.topology)
