"""What a policy does to a queue, by the arguments with which we declare it.

https://www.rabbitmq.com/docs/parameters#policies. For quorum queues, tried with 3.10.8
(`test_what_holds`): of times and the delivery limit, the lower one of policy and argument holds;
the policy's `overflow` holds; our arguments for dead-lettering hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.amqp.keys import CANCEL_KEY, REST_KEY
from shared.amqp.topology import DELIVERY_LIMIT, RETRY_DELAYS, Topology

ALTERNATE_EXCHANGE: Final = "alternate-exchange"
_TTL: Final = "message-ttl"
_EXPIRES: Final = "expires"
_LENGTHS: Final = ("max-length", "max-length-bytes")
_OVERFLOW: Final = "overflow"
_REFUSE: Final = "reject-publish"
_LIMIT: Final = "delivery-limit"


class Effect(StrEnum):
    LOSES = "loses"
    """What was confirmed can be lost, or becomes a dead letter."""
    LIMITS = "limits"
    """Nothing is lost: messages are refused, or given up sooner."""


class Kind(StrEnum):
    INTAKE = "intake"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    """Without the prefix, so that one alert fits every installation."""
    kind: Kind
    ttl: int | None = None
    """Its own, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Held:
    """What holds for a queue or an exchange, by one or two policies."""

    policy: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    queue: str
    """Or an exchange."""
    policy: str
    key: str
    effect: Effect
    what: str

    @property
    def message(self) -> str:
        return f"{self.policy} holds for {self.queue}, {self.key}: {self.what}"


def our_queues(prefix: str) -> dict[str, Queue]:
    """Each durable queue, by its name in RabbitMQ."""
    plain, ours = Topology(), Topology(prefix)
    retries = {
        ours.retry(delay, key): Queue(plain.retry(delay, key), Kind.RETRY, delay * 1000)
        for key in (CANCEL_KEY, REST_KEY)
        for delay in RETRY_DELAYS
    }
    return {
        ours.cancel: Queue(plain.cancel, Kind.INTAKE),
        ours.rest: Queue(plain.rest, Kind.INTAKE),
        ours.queued: Queue(plain.queued, Kind.INTAKE),
        ours.dead: Queue(plain.dead, Kind.DEAD),
        **retries,
    }


def on_queue(queue: Queue, held: Held) -> list[Finding]:
    """What `held` does to `queue`, other than what harms nothing."""
    return [
        Finding(queue.name, held.policy, key, effect, what)
        for key, effect, what in _effects(queue, held.definition)
    ]


def on_commands(held: Held) -> list[Finding]:
    """What `held` does to the exchange for commands."""
    if ALTERNATE_EXCHANGE not in held.definition:
        return []
    what = "RabbitMQ confirms a command although no queue has it"
    return [Finding(Topology().commands, held.policy, ALTERNATE_EXCHANGE, Effect.LOSES, what)]


def _effects(queue: Queue, given: Mapping[str, Any]) -> Iterator[tuple[str, Effect, str]]:
    is_dead = queue.kind is Kind.DEAD
    ttl = given.get(_TTL)
    if ttl is not None and (queue.ttl is None or ttl < queue.ttl):
        yield {
            Kind.INTAKE: (_TTL, Effect.LOSES, f"what waits for {ttl} ms becomes a dead letter"),
            Kind.RETRY: (_TTL, Effect.LIMITS, f"retries come after {ttl} ms, not {queue.ttl} ms"),
            Kind.DEAD: (_TTL, Effect.LOSES, f"a dead letter that waits for {ttl} ms is lost"),
        }[queue.kind]
    if (expires := given.get(_EXPIRES)) is not None:
        what = f"without a consumer for {expires} ms, it is deleted with its messages"
        yield _EXPIRES, Effect.LOSES, what
    overflow = given.get(_OVERFLOW)
    # We declare the other queues with reject-publish.
    drops = overflow != _REFUSE and (is_dead or overflow is not None)
    if drops and not is_dead:
        what = "when it is full, the oldest is dropped; dead letters can be lost on their way"
        yield _OVERFLOW, Effect.LOSES, what
    for key in _LENGTHS:
        if (most := given.get(key)) is not None:
            what = f"beyond {most}, the oldest is dropped" if drops else f"{most} is the most"
            yield key, Effect.LOSES if drops else Effect.LIMITS, what
    limit = given.get(_LIMIT)
    if limit is not None and limit < 0:
        return  # none at all, in RabbitMQ 4: our own limit holds; earlier ones refuse such a policy
    if limit is not None and is_dead:
        yield _LIMIT, Effect.LOSES, f"a dead letter is lost after {limit} deliveries"
    elif limit is not None and limit < DELIVERY_LIMIT and queue.kind is Kind.INTAKE:
        what = f"what was delivered {limit} times in vain becomes a dead letter"
        yield _LIMIT, Effect.LIMITS, what
