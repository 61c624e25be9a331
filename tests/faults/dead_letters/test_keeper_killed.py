"""The keeper is killed and cut off while it moves dead letters; each is kept once all the same."""

import asyncio
from collections import Counter
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import aio_pika
from yarl import URL

from shared.commands import CANCEL_TYPE
from tests.support.broker.queues import holds
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

OURS: Final = 4500
FOREIGN: Final = 500
KILLS: Final = 10


async def test_each_letter_is_kept_once_however_often_the_keeper_is_killed_and_cut_off(
    system: System, postgres: TcpProxy, broker: TcpProxy
) -> None:
    sent = await _fill(system, OURS, FOREIGN)
    proxies = {"DATABASE_URL": postgres.proxied, "AMQP_URL": broker.proxied}

    for kill in range(KILLS):
        worker = await system.worker(env=proxies, keep_dead_letters="true")
        await worker.event("dead_letters_kept", count=1 + kill % 2)
        if kill == KILLS // 2:
            await broker.cut()
            await worker.event("keeping_dead_letters", count=2)
        await worker.kill()
        assert await system.depth(system.topology.dead), "killed when nothing was left to do"
    worker = await system.worker(env=proxies, keep_dead_letters="true")
    await worker.event("dead_letters_kept")
    await postgres.cut()

    await _until_empty(system, worker, len(sent))
    kept = await system.database.fetch("SELECT letter_key, body, reason FROM dead_letters")
    assert Counter(bytes(row["body"]) for row in kept) == Counter(sent.values())
    ours = {row["letter_key"]: bytes(row["body"]) for row in kept if row["letter_key"] in sent}
    assert len(ours) == OURS
    assert ours.items() <= sent.items()
    assert Counter(row["reason"] for row in kept) == {"malformed": OURS, "foreign": FOREIGN}


async def test_a_commit_whose_answer_is_lost_gives_no_second_row(
    system: System, commits: CommitProxy
) -> None:
    worker = await system.worker(
        env={"DATABASE_URL": commits.proxied}, keep_dead_letters="true", database_timeout=1
    )
    commits.lose()
    sent = await _fill(system, ours=1, foreign=0)
    await _until_kept(system, 1)

    await worker.event("service_unavailable")
    await commits.cut()
    await _until_empty(system, worker, len(sent))

    assert await _bodies(system) == Counter(sent.values())


async def test_killed_between_commit_and_ack_a_letter_gets_no_second_row(
    system: System, commits: CommitProxy
) -> None:
    worker = await system.worker(env={"DATABASE_URL": commits.proxied}, keep_dead_letters="true")
    commits.lose()
    sent = await _fill(system, ours=20, foreign=20)
    # One transaction each for all that had arrived when it began.
    await _until_kept(system, 1)
    await worker.kill()
    before = sum((await _bodies(system)).values())

    worker = await system.worker(keep_dead_letters="true")
    await _until_empty(system, worker, len(sent))

    assert before
    assert await _bodies(system) == Counter(sent.values())


async def _fill(system: System, ours: int, foreign: int) -> dict[str, bytes]:
    """Dead letters as a worker sends them, mixed with others; the bodies by letter, or by id."""
    user = URL(system.amqp_url).user
    exchange = await system.channel.get_exchange(system.topology.dead_exchange, ensure=False)
    random = Random(7)
    sent: dict[str, bytes] = {}
    batch = []
    for n in random.sample(range(ours + foreign), ours + foreign):
        key, body = uuid4().hex, b"%d " % n + random.randbytes(random.randrange(300))
        sent[key] = body
        headers: dict[str, Any] = _notes(system, key) if n < ours else {"mine": n}
        message = aio_pika.Message(
            body,
            message_id=str(UUID(key)),
            type=CANCEL_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=user if n < ours else None,
            headers=headers,
        )
        batch.append(exchange.publish(message, system.topology.cancel, mandatory=True))
        if len(batch) == 500:
            await asyncio.gather(*batch)
            batch.clear()
    await asyncio.gather(*batch)
    return sent


def _notes(system: System, key: str) -> dict[str, Any]:
    return {
        "x-letter": key,
        "x-reason": "malformed",
        "x-error": "force: not a boolean",
        "x-attempt": 1,
        "x-via": "direct",
        "x-original-exchange": system.topology.commands,
        "x-original-routing-key": "run.cancel",
        "x-first-failure": "2026-01-02T03:04:05+00:00",
        "x-last-failure": "2026-01-02T03:04:05+00:00",
    }


async def _until_empty(system: System, keeper: Program, letters: int) -> None:
    """Wait until no letter is left, those that a keeper holds included: it is ended for that.

    What it held is back in the queue a moment after its connection was closed, so so many
    `letters` must be kept as well.
    """
    while True:
        await keeper.event("dead_letters_kept")
        await holds(system, system.topology.dead, 0)
        assert await keeper.stop() == 0
        left = await system.depth(system.topology.dead)
        if left == 0 and sum((await _bodies(system)).values()) >= letters:
            return
        # Stopped between a commit and its ack: these come once more.
        keeper = await system.worker(keep_dead_letters="true")


async def _until_kept(system: System, least: int) -> None:
    await eventually(lambda: _bodies(system), lambda bodies: bodies.total() >= least)


async def _bodies(system: System) -> Counter[bytes]:
    rows = await system.database.fetch("SELECT body FROM dead_letters")
    return Counter(bytes(row["body"]) for row in rows)
