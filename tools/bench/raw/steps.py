"""The raw steps of a cancel, each alone, after the rest that a cancel has before it."""

import asyncio
import os
import select
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import perf_counter, sleep
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from tools.bench.commits import watched
from tools.bench.pace import REST
from tools.bench.system import BenchSystem
from tools.support.rows import RUNNING, insert_run
from worker.processes.cgroup import Cgroup, path_of

FIRST_RUN = 1_000_000

_BEGIN = """
    UPDATE runs SET status = 'canceling', canceling_at = now(), stop_deadline = now()
     WHERE run_id = $1 AND status = 'running'
"""
_END = """
    UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'scans_empty'
     WHERE run_id = $1 AND status = 'canceling'
"""


class Steps:
    """Each method takes one sample, in ms."""

    def __init__(
        self, system: BenchSystem, exchange: AbstractExchange, queue: str, root: Path
    ) -> None:
        self._system = system
        self._exchange = exchange
        self.queue = queue
        self._root = root
        self._run_ids = count(FIRST_RUN)
        self._delivered: asyncio.Future[float]

    async def confirm(self) -> float:
        await asyncio.sleep(REST)
        began = perf_counter()
        await self._publish()
        return (perf_counter() - began) * 1000

    async def deliver(self) -> float:
        """From the publish, whose confirm is not waited for here, to the consumer."""
        self._delivered = asyncio.get_running_loop().create_future()
        await asyncio.sleep(REST)
        began = perf_counter()
        publishing = asyncio.create_task(self._publish())
        taken = (await self._delivered - began) * 1000
        await publishing
        return taken

    async def take(self, message: AbstractIncomingMessage) -> None:
        now = perf_counter()
        await message.ack()
        if not self._delivered.done():
            self._delivered.set_result(now)

    def kill(self) -> float:
        """Kill a process by its cgroup and wait until that is empty."""
        cgroup = Cgroup(self._root / uuid4().hex)
        cgroup.create()
        process = subprocess.Popen(
            ["/bin/sleep", "1000"],
            preexec_fn=lambda: cgroup.add(os.getpid()),
        )
        # Also since the kernel holds back what it says of a cgroup that has just changed.
        sleep(REST)
        with select.epoll() as poll:
            fd = cgroup.watch(poll)
            began = perf_counter()
            cgroup.kill()
            while cgroup.is_populated():
                poll.poll(1)
            taken = (perf_counter() - began) * 1000
        process.wait()
        if fd is not None:
            os.close(fd)
        cgroup.remove()
        return taken

    async def commits(self) -> float:
        """Two guarded updates, each committed, until the listener knows of the second."""
        run_id = next(self._run_ids)
        await insert_run(self._system.database, run_id, RUNNING)
        async with (
            watched(self._system.database_url) as seen,
            self._system.database.acquire() as connection,
        ):
            for query in (_BEGIN, _END):  # prepared and cached, as anybody's are after a while
                await connection.execute(query, 0)
            await asyncio.sleep(REST)
            began = perf_counter()
            await connection.execute(_BEGIN, run_id)
            await connection.execute(_END, run_id)
            taken = (await seen.of(run_id) - began) * 1000
        await self._system.database.execute("DELETE FROM runs WHERE run_id = $1", run_id)
        return taken

    async def _publish(self) -> None:
        message = aio_pika.Message(b"x" * 200, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self._exchange.publish(message, self.queue, mandatory=True)


@asynccontextmanager
async def steps(system: BenchSystem) -> AsyncIterator[tuple[Steps, Steps]]:
    """Steps with a queue that is not read, and with one that is consumed."""
    own = path_of("self")
    assert own is not None
    root = own / f"bench-{uuid4().hex}"
    connection = await aio_pika.connect(system.amqp_url)
    async with connection:
        publishing = await connection.channel(on_return_raises=True)
        consuming = await connection.channel()
        made = []
        for _ in range(2):
            queue = await publishing.declare_queue(
                f"bench-{uuid4().hex}", durable=True, arguments={"x-queue-type": "quorum"}
            )
            made.append(Steps(system, publishing.default_exchange, queue.name, root))
        quiet, consumed = made
        reading = await consuming.get_queue(consumed.queue, ensure=False)
        tag = await reading.consume(consumed.take)
        try:
            yield quiet, consumed
        finally:
            await reading.cancel(tag)
            Cgroup(root).remove()
            for each in made:
                await publishing.queue_delete(each.queue)
