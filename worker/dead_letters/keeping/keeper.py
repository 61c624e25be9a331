"""Moves dead letters from their queue into Postgres: commit, then ack.

They cannot be inspected in the queue, because each look would count as a delivery.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import astuple
from functools import partial

import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from asyncpg import Record

from shared.aio.retry import until_available
from shared.aio.tasks import first_of
from shared.amqp.channels import DECLARE_TIMEOUT, open_channel, underlay
from shared.amqp.topology import Topology
from shared.postgres import sql
from shared.postgres.database import Connection, Database
from shared.states import DeadReason
from worker.dead_letters.keeping.letter import Letter, read_letter
from worker.intake.acks import Unacknowledged
from worker.memory.recent import Recent
from worker.messages.delivery import Delivery, consume
from worker.messages.headers import HistoryReader
from worker.outbox.event import rejected_again
from worker.outbox.relay import Relay
from worker.outbox.replies import Replies
from worker.postgres_watch import PostgresWatch

log = structlog.get_logger(__name__)

_BATCH = 200
"""Maximum number of letters in one transaction, and so in memory."""
_BATCH_BYTES = 256 * 1024
"""Bytes of bodies after which no more letters are added: reading 200 of 64 KiB would block the
worker for a second."""
_FOUND = frozenset(
    {DeadReason.DELIVERY_LIMIT, DeadReason.EXPIRED, DeadReason.MAXLEN, DeadReason.FOREIGN}
)
"""Reasons that RabbitMQ or another application gives."""
_AFTER_FAILURE = 5.0
"""Seconds."""


class Keeper:
    def __init__(
        self,
        database: Database,
        topology: Topology,
        histories: HistoryReader,
        postgres: PostgresWatch,
        relay: Relay,
        replies: Replies,
    ) -> None:
        self.kept: Recent[str, Letter] = Recent()
        """Letters that were kept lately, by their keys."""
        self._database = database
        self._topology = topology
        self._histories = histories
        self._postgres = postgres
        self._relay = relay
        self._replies = replies

    async def session(self, connection: AbstractConnection) -> None:
        """Store dead letters until `connection` closes."""
        # Consuming letters while Postgres is unavailable would only use up their delivery limit.
        await first_of(self._postgres.until_available(), connection.closed())
        if connection.is_closed:
            return
        arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        async with asyncio.timeout(DECLARE_TIMEOUT):
            channel = await open_channel(connection)
            await channel.set_qos(prefetch_count=_BATCH)
            await self._topology.declare(channel)
            await consume(await underlay(channel), self._topology.dead, arrived.put)
        log.info("keeping_dead_letters")
        await first_of(self._keep_all(arrived), connection.closed(), channel.closed())

    async def _keep_all(self, arrived: asyncio.Queue[Delivery]) -> None:
        """Store letters as they arrive; return if they can no longer be acknowledged.

        A letter that cannot be stored is held and tried again. To have it delivered again would
        count: RabbitMQ 4 deletes a message of this queue after 20 deliveries that failed.
        """
        loop = asyncio.get_running_loop()
        held: list[Delivery] = []
        due = 0.0  # the loop's time at which those are tried again
        unacknowledged = Unacknowledged()
        while True:
            batch = []
            if not held or loop.time() < due:  # also while letters arrive all the time
                batch = await _next_batch(arrived, until=due if held else None)
            for message in batch:
                unacknowledged.add(message.delivery_tag)
            if not batch:
                batch, held = held, []
            kept, failed = await self._keep_each(batch)
            if failed and not held:
                due = loop.time() + _AFTER_FAILURE
            held += failed
            if not kept:
                continue
            try:
                tags = [message.delivery_tag for message in kept]
                await unacknowledged.acknowledge(kept[0].channel, tags)
            except (AMQPError, ChannelInvalidStateError, OSError) as error:
                log.warning("ack_lost", error=str(error) or type(error).__name__)
                return

    async def _keep_each(self, batch: list[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
        """Store letters: those that are stored now, and those that cannot be."""
        failure = await self._why_not_kept(batch)
        if failure is None:
            return batch, []
        kept: list[Delivery] = []
        failed = batch
        if len(batch) > 1:  # so that one of them does not hold up the others
            failed = []
            for message in batch:
                why = await self._why_not_kept([message])
                (kept if why is None else failed).append(message)
                failure = why or failure
        log.error("dead_letters_not_kept", count=len(failed), exc_info=failure)
        return kept, failed

    async def _why_not_kept(self, batch: Sequence[Delivery]) -> Exception | None:
        """Store letters, all or none; what failed, if not for an outage."""
        try:
            letters = [self._read(message) for message in batch]
            await until_available(partial(self.keep, letters))
        except Exception as error:
            return error
        log.info("dead_letters_kept", count=len(batch))
        for letter in letters:
            _log_found(letter)
        return None

    def _read(self, message: Delivery) -> Letter:
        return read_letter(message, self._histories, self._topology.queues())

    async def keep(self, letters: Sequence[Letter]) -> None:
        """Store letters that are not stored yet. Raises ServiceUnavailable."""
        async with self._database.transaction() as connection:
            await connection.execute(sql.dead_letters.TAKE_TURN)
            # Each insert locks the run that the letter names, for its event. In the order in which
            # everybody locks runs: another one could deadlock.
            in_order = sorted(letters, key=lambda letter: letter.run_id or 0)
            await connection.executemany(
                sql.dead_letters.KEEP, [astuple(letter) for letter in in_order]
            )
            repeated = await _repeated(connection, letters)
            rows = await connection.fetch(
                sql.healing.KNOWN_LETTERS, [letter.letter_key for letter in letters]
            )
        kept = {row["letter_key"] for row in rows}
        for letter in letters:
            if letter.letter_key in kept:
                self.kept.add(letter.letter_key, letter, len(letter.body))
        self._relay.wake()
        for letter, row in repeated:
            self._replies.send(letter.reply_to, rejected_again(row, letter.correlation_id))


async def _next_batch(arrived: asyncio.Queue[Delivery], *, until: float | None) -> list[Delivery]:
    """Wait for letters, until that time of the loop at most."""
    try:
        async with asyncio.timeout_at(until):
            batch = [await arrived.get()]
    except TimeoutError:
        return []
    size = len(batch[0].body)
    while not arrived.empty() and len(batch) < _BATCH and size < _BATCH_BYTES:
        batch.append(arrived.get_nowait())
        size += len(batch[-1].body)
    return batch


async def _repeated(
    connection: Connection, letters: Sequence[Letter]
) -> list[tuple[Letter, Record]]:
    """Letters of publishers that repeat a command whose letter is waiting, and that letter."""
    # A kept letter is an event, and so answered by the relay.
    asked = {letter.letter_key: letter for letter in letters if letter.reply_to is not None}
    if not asked:
        return []
    rows = await connection.fetch(
        sql.dead_letters.REPEATED,
        list(asked),
        [letter.command_id for letter in asked.values()],
        [letter.reason for letter in asked.values()],
    )
    return [(asked[row["letter_key"]], row) for row in rows]


def _log_found(letter: Letter) -> None:
    """Log a letter that no worker has logged."""
    if letter.reason in _FOUND:
        log.warning(
            "dead_letter_found",
            reason=letter.reason,
            error=letter.error,
            run_id=letter.run_id,
            command_id=None if letter.command_id is None else str(letter.command_id),
            correlation_id=letter.correlation_id,
        )
