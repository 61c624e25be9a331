"""Settles registrations: each run is on record, or its message is confirmed in the dead letters.

created, exists, started     settled: a repeat changes nothing
conflict, Undeliverable      publish to the dead letters with the reason
any unexpected error         try again after 1 s, 5 s and 30 s, then publish to the dead letters
ServiceUnavailable           never raised here: the calls are retried until they succeed
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog
from aio_pika import Message

from shared.aio.retry import until_available
from shared.amqp.publisher import Publisher
from shared.amqp.topology import RETRY_DELAYS, Topology
from shared.errors import PublishRefused, ServiceUnavailable, Unroutable
from shared.postgres.database import Database
from shared.registrations import Registered, register
from shared.states import DeadReason
from worker.memory.memory import Memory
from worker.messages import conversion
from worker.messages.conversion import Failure, Undeliverable
from worker.messages.delivery import Delivery
from worker.messages.headers import History, HistoryReader, moved_back
from worker.metrics import WorkerMetrics
from worker.outbox.relay import Relay
from worker.registering.message import QueuedRun, read_registration

log = structlog.get_logger(__name__)

_PUBLISHING = 16
"""Maximum number of concurrent publishes to the dead letters."""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    message: Delivery
    history: History
    run: QueuedRun


@dataclass(frozen=True, slots=True, eq=False)
class _Rejected:
    """A registration that goes to the dead letters."""

    message: Delivery
    history: History
    failure: Failure
    run_id: int | None = None


Unsettled = _Read | _Rejected
"""A registration that cannot be settled in a batch."""


class RegistrationSettler:
    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topology: Topology,
        histories: HistoryReader,
        relay: Relay,
        metrics: WorkerMetrics,
        memory: Memory,
    ) -> None:
        self._memory = memory
        self._database = database
        self._publisher = publisher
        self._topology = topology
        self._histories = histories
        self._relay = relay
        self._metrics = metrics
        self._publishing = asyncio.Semaphore(_PUBLISHING)

    async def settle(self, messages: Sequence[Delivery]) -> list[Unsettled | None]:
        """Settle a batch. The result is None for each settled registration; the others must be
        settled one by one."""
        reads = [self._read(message) for message in messages]
        results = await self._register_batch([read for read in reads if isinstance(read, _Read)])
        self._count(results.values())
        unsettled: list[Unsettled | None] = []
        for read in reads:
            if isinstance(read, _Rejected) or (result := results.get(read)) is None:
                unsettled.append(read)
            else:
                unsettled.append(self._registered(read, result))
        return unsettled

    async def settle_alone(self, unsettled: Unsettled) -> None:
        """Settle one registration; return when it can be acknowledged."""
        if isinstance(unsettled, _Read):
            rejected = await self._register_alone(unsettled)
        else:
            rejected = unsettled
        if rejected is not None:
            await self._dead_letter(rejected)

    def _read(self, message: Delivery) -> Unsettled:
        history = self._histories.read(message)
        if history.letter is not None:
            history = moved_back(history)
        try:
            run = read_registration(message.type, message.body, history.body_size)
        except Undeliverable as error:
            return _Rejected(message, history, Failure(error.reason, str(error)))
        except Exception as error:  # no message may crash a worker: it would crash the next one too
            log.exception("message_not_read", message_id=message.message_id)
            return _Rejected(message, history, Failure(DeadReason.MALFORMED, _described(error)))
        return _Read(message, history, run)

    async def _register_batch(self, reads: Sequence[_Read]) -> dict[_Read, Registered]:
        """The results; those that are missing must be registered one by one."""
        results: dict[_Read, Registered] = {}
        try:
            await self._register(reads, results)
        except Exception as error:
            log.warning("batch_not_registered", runs=len(reads), error=_described(error))
        return results

    async def _register(self, reads: Sequence[_Read], results: dict[_Read, Registered]) -> None:
        """Add the results of `reads` to `results`, in order for each run."""
        while reads:
            runs: dict[int, QueuedRun] = {}
            for read in reads:
                runs.setdefault(read.run.run_id, read.run)
            asked = list(runs.values())
            answers = await until_available(partial(register, self._database, asked))
            found = dict(zip(runs, answers, strict=True))
            different = []
            for read in reads:
                first, result = runs[read.run.run_id], found[read.run.run_id]
                if read.run is first:
                    results[read] = result
                elif read.run == first:
                    is_new = result is Registered.CREATED
                    results[read] = Registered.EXISTS if is_new else result
                else:
                    different.append(read)
            reads = different

    async def _register_alone(self, read: _Read) -> _Rejected | None:
        tries = len(RETRY_DELAYS) + 1
        for attempt in range(1, tries + 1):
            results: dict[_Read, Registered] = {}
            try:
                await self._register([read], results)
            except Exception as error:
                log.exception("registration_failed", run_id=read.run.run_id, attempt=attempt)
                failure = Failure(DeadReason.INTERNAL_ERROR, _described(error))
            else:
                self._count(results.values())
                return self._registered(read, results[read])
            if attempt < tries:
                await asyncio.sleep(RETRY_DELAYS[attempt - 1])
        history = replace(read.history, attempt=tries)
        return _Rejected(read.message, history, failure, read.run.run_id)

    def _registered(self, read: _Read, result: Registered) -> _Rejected | None:
        if result is Registered.CONFLICT:
            return self._conflict(read)
        self._memory.registrations.add(read.run.run_id, read.message, len(read.message.body))
        return None

    def _conflict(self, read: _Read) -> _Rejected:
        error = f"run {read.run.run_id} is on record with other options"
        failure = Failure(DeadReason.RUN_CONFLICT, error)
        return _Rejected(read.message, read.history, failure, read.run.run_id)

    def _count(self, results: Collection[Registered]) -> None:
        numbers = Counter(each for each in results if each is not Registered.CONFLICT)
        if not numbers:
            return
        for result, number in numbers.items():
            self._metrics.registered(result, number)
        log.info(
            "runs_registered",
            created=numbers[Registered.CREATED],
            exists=numbers[Registered.EXISTS],
            started=numbers[Registered.STARTED],
        )
        if Registered.CREATED in numbers:
            self._relay.wake()

    async def _dead_letter(self, rejected: _Rejected) -> None:
        message, failure = rejected.message, rejected.failure
        log.warning(
            "registration_dead_lettered",
            reason=failure.reason,
            error=failure.error,
            run_id=rejected.run_id,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
        )
        user = self._histories.own_user
        copy = conversion.for_dead_letters(message, rejected.history, failure, user)
        await until_available(partial(self._publish, copy))
        self._metrics.registration_dead_lettered(failure.reason)

    async def _publish(self, message: Message) -> None:
        try:
            async with self._publishing:
                await self._publisher.publish(
                    self._topology.dead_exchange, self._topology.queued, message
                )
        except Unroutable as error:
            # The queue was deleted, by hand or by a policy with `expires`.
            await self._publisher.declare(self._topology.declare_queued)
            raise ServiceUnavailable(str(error)) from error
        except PublishRefused as error:
            # The queue is ours and declared, so a refusal is an outage.
            raise ServiceUnavailable(str(error)) from error


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
