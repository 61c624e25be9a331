"""The primary is killed, and its synchronous standby takes over: nothing is undone.

The seconds that each test prints are those of docs/high-availability.md.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tests.support.broker.many_cancels import Storm
from tests.support.broker.queues import holds
from tests.support.http.api import Api
from tests.support.postgres.standby import replicated
from tools.services import PrivatePair, Replication, Services
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

RUNNING: Final = range(1, 4)
QUEUED: Final = range(100, 260)
BEFORE: Final = 40
"""Cancels that are accepted before the primary is killed."""
AWAY: Final = 1.0
"""Seconds from the kill to the promotion: what a cluster manager needs to notice is not ours."""
LATE: Final = 1.0
"""Seconds from the promotion until the address follows."""
SOON: Final = 15.0
"""Seconds that anything may take once a server that takes writes is reached."""


@pytest.fixture(scope="module")
def pair() -> Iterator[PrivatePair]:
    """Its servers change places with each test."""
    with replicated(Replication.SYNCHRONOUS) as pair:
        yield pair


class Address(TcpProxy):
    """Of a server."""

    _last: bytes | None = None

    def lose_answers_after(self, words: bytes) -> None:
        """Hold back all that the server says once it has been sent these words."""
        self._last = words

    async def passes(self, request: bytes) -> bool:
        if self._last is not None and self._last in request:
            self.stall_answers()
        return True


@dataclass(frozen=True, slots=True)
class Scene:
    system: System
    pair: PrivatePair
    addresses: tuple[Address, Address]
    """Of the primary at the beginning, and of its standby."""
    one_address: TcpProxy
    """Leads to the primary, and to the other one when it is told."""

    def url(self, *, several: bool) -> str:
        """DATABASE_URL of the programs."""
        path = self.system.database_url.rpartition("/")[2].partition("?")[0]
        if not several:
            return f"{self.one_address.proxied.rpartition('/')[0]}/{path}"
        first, second = self.addresses
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        return f"{first.proxied.rpartition('@')[0]}@{hosts}/{path}"

    async def kill_primary(self) -> None:
        await asyncio.to_thread(self.pair.primary.kill)

    async def fail_over(self) -> None:
        """Promote the standby, then have the old primary back, and the address follow late."""
        await asyncio.to_thread(self.pair.promote)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lead_over())
            await asyncio.to_thread(self.pair.rejoin)

    async def _lead_over(self) -> None:
        await asyncio.sleep(LATE)
        self.one_address.prefer(self.pair.primary.url)

    async def worker(self, *, several: bool = True, timeout: float = 5.0) -> Program:
        env = {"DATABASE_URL": self.url(several=several)}
        return await self.system.worker(env=env, host_heartbeat=1, database_timeout=timeout)

    async def api(self, *, several: bool = True, timeout: float = 5.0) -> Api:
        program = await self.system.program(
            *("gateway", "serve", "--port", "0"),
            DATABASE_URL=self.url(several=several),
            CANCEL_DATABASE_TIMEOUT=str(timeout),
        )
        url = str((await program.event("gateway_ready"))["url"])
        return Api(url, self.system.http, await self.system.token())


@pytest.fixture
async def scene(pair: PrivatePair, services: Services, tmp_path: Path) -> AsyncIterator[Scene]:
    await pair.followed()
    name = f"t{uuid4().hex[:12]}"
    admin = await asyncpg.connect(pair.primary.url)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    url = f"{pair.url(database=name)}?target_session_attrs=read-write"
    async with connected(DatabaseSettings.model_validate({"DATABASE_URL": url})) as database:
        await migrate(database)
    async with (
        Address(pair.primary.url) as first,
        Address(pair.standby.url) as second,
        TcpProxy(pair.primary.url, pair.standby.url) as one,
        System(url, services.amqp_url, tmp_path).running() as system,
    ):
        yield Scene(system, pair, (first, second), one)


@pytest.mark.parametrize("several", [True, False], ids=["several-hosts", "one-address"])
async def test_no_cancel_is_lost_in_a_storm(scene: Scene, several: bool) -> None:
    system = scene.system
    worker = await scene.worker(several=several)
    api = await scene.api(several=several)
    for run in QUEUED:
        await system.add_run(run)
    marks = [(await system.launch_bad_child(run, "ignores_term"))[1] for run in RUNNING]
    storm = Storm(api, system.amqp_url, system.topology)

    direct = chain(RUNNING, QUEUED[1::2])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(storm.send(QUEUED[::2], direct, grace_seconds=1))
        await storm.has_accepted(BEFORE)
        await scene.kill_primary()
        killed = monotonic()
        await asyncio.sleep(AWAY)
        await scene.fail_over()
    for run in (*RUNNING, *QUEUED):
        await system.status_becomes(run, "canceled", deadline=SOON)
    last = monotonic() - killed

    for command_id in storm.commands.values():
        await system.outcome_of(command_id)
    for run, sent in storm.sent.items():
        outcomes = [row["outcome"] for row in await system.cancellations(run)]
        assert 1 <= len(outcomes) <= sent
        assert outcomes.count("canceled") == 1
        assert set(outcomes) <= {"canceled", "no_op"}
    for mark in marks:
        await until_gone(mark, deadline=0)
    assert worker.process.returncode is None
    assert await system.depth(system.topology.dead) == 0
    again = storm.longest_pause(killed)[1] - killed
    print(f"accepted again after {again:.1f} s, last outcome after {last:.1f} s")


async def test_a_commit_whose_answer_was_lost_is_found_on_the_new_primary(scene: Scene) -> None:
    system, runs = scene.system, range(1, 31)
    worker = await scene.worker()
    for run in (0, *runs):
        await system.add_run(run + 1)
    await system.outcome_of(await system.publish(31))  # its statements are prepared by then
    scene.addresses[0].lose_answers_after(b"because of this")
    commands = [await system.publish(run, reason="because of this") for run in runs]
    count = "SELECT count(*) FROM runs WHERE status = 'canceled'"
    assert await eventually(lambda: system.database.fetchval(count), lambda count: count > 1)

    await scene.kill_primary()
    await scene.addresses[0].cut()
    scene.addresses[0].resume()
    await scene.fail_over()

    await worker.event("command_settled", count=1 + len(runs), deadline=SOON)
    for command_id in commands:
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    for run in runs:
        assert len(await system.cancellations(run)) == 1
    await holds(system, system.topology.cancel, 0)


async def test_what_the_standby_lacks_is_not_acknowledged(scene: Scene) -> None:
    """Commits wait for it. After a restart of the primary, they are there, and will be undone."""
    system = scene.system
    worker = await scene.worker(timeout=0.5)
    api = await scene.api(timeout=0.5)
    register = partial(api.ask, "PUT", "/api/v1/runs/3", json={})
    for run in (1, 2, 4):
        await system.add_run(run)
    await scene.pair.detach()

    launched = await system.launch(1, "sh", "-c", "echo started; sleep 60")
    command_id = await system.publish(2)
    assert (await register()).status == 503
    # It needs no commit.
    await eventually(lambda: api.cancel(4), lambda answer: answer.status == 202, deadline=SOON)
    await worker.event("service_unavailable", count=3)
    assert [(await system.run(run))["status"] for run in (1, 2)] == ["queued", "queued"]
    await scene.kill_primary()
    await asyncio.to_thread(scene.pair.primary.start)
    await system.status_becomes(1, "running")
    await system.status_becomes(2, "canceled")
    assert await system.run_or_none(3) is not None

    seen = sum(each["event"] == "service_unavailable" for each in worker.events)
    assert (await register()).status == 503
    await worker.event("service_unavailable", count=seen + 1)
    assert (await register()).status == 503
    await scene.kill_primary()
    await asyncio.to_thread(scene.pair.promote)
    assert [(await system.run(run))["status"] for run in (1, 2)] == ["queued", "queued"]
    assert await system.run_or_none(3) is None
    assert not {each["event"] for each in worker.events} & {"run_claimed", "command_settled"}

    await asyncio.to_thread(scene.pair.rejoin)
    assert await launched.line(SOON) == "started"
    assert (await system.run(1))["status"] == "running"
    assert (await system.outcome_of(command_id, deadline=SOON))["outcome"] == "canceled"
    await system.status_becomes(4, "canceled", deadline=SOON)
    assert (await eventually(register, lambda answer: answer.status != 503)).status == 201
