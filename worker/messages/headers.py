"""The history of a message, in headers that we add when we publish it again.

Any publisher can write headers, so a history is trusted only in messages of our own broker user:
RabbitMQ rejects messages that claim another user than that of the connection ("Validated User-ID").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from aio_pika.abc import HeadersType

from shared.commands import GATEWAY_APP_ID
from shared.limits import BIGINT_MAX
from shared.states import Via
from worker.messages.delivery import Delivery

T = TypeVar("T")

_MOST: Final = 1_000_000


class Header(StrEnum):
    ATTEMPT = "x-attempt"
    VIA = "x-via"
    PUBLISHER = "x-publisher"
    FIRST_FAILURE = "x-first-failure"
    LAST_FAILURE = "x-last-failure"
    REASON = "x-reason"
    ERROR = "x-error"
    ORIGINAL_EXCHANGE = "x-original-exchange"
    ORIGINAL_ROUTING_KEY = "x-original-routing-key"
    HEADERS_DROPPED = "x-headers-dropped"
    LETTER = "x-letter"
    REPLAYS = "x-replays"
    REPLAY_OF = "x-replay-of"
    BODY_SIZE = "x-body-size"
    REPLY_TO_IGNORED = "x-reply-to-ignored"


DELIVERY_COUNTS: Final = ("x-delivery-count", "x-acquired-count")
"""Headers that a quorum queue adds to a redelivery."""
BROKER_HEADERS: Final = ("x-death", "x-first-death-", "x-last-death-", *DELIVERY_COUNTS)
"""How the names of headers that RabbitMQ adds begin."""


@dataclass(frozen=True, slots=True)
class History:
    """Where a message first came from, and its retries and replays since.

    `publisher` is the broker user if the broker validated it, else None. `letter` identifies the
    dead letter. `replays` counts the replays of it and of its predecessors. `body_size` is the
    original size of a body that was cut.
    """

    via: Via
    publisher: str | None
    exchange: str
    routing_key: str
    attempt: int = 1
    replays: int = 0
    replay_of: int | None = None
    first_failure: str | None = None
    last_failure: str | None = None
    reason: str | None = None
    error: str | None = None
    letter: str | None = None
    body_size: int | None = None

    def headers(self) -> HeadersType:
        """The history as headers, without empty ones."""
        values = {
            Header.ATTEMPT: self.attempt,
            Header.VIA: self.via.value,
            Header.PUBLISHER: self.publisher,
            Header.ORIGINAL_EXCHANGE: self.exchange,
            Header.ORIGINAL_ROUTING_KEY: self.routing_key,
            Header.REPLAYS: self.replays or None,
            Header.REPLAY_OF: self.replay_of,
            Header.FIRST_FAILURE: self.first_failure,
            Header.LAST_FAILURE: self.last_failure,
            Header.REASON: self.reason,
            Header.ERROR: self.error,
            Header.LETTER: self.letter,
            Header.BODY_SIZE: self.body_size,
        }
        return {name.value: value for name, value in values.items() if value is not None}


class HistoryReader:
    """Reads histories written by `own_user` or one of `trusted`.

    Commands over REST are those of `gateway_user`; without that setting, those that claim to be the
    gateway's.
    """

    def __init__(
        self, own_user: str, gateway_user: str | None = None, trusted: Iterable[str] = ()
    ) -> None:
        self.own_user = own_user
        self._trusted = {own_user, *trusted}
        self._gateway_user = gateway_user

    def read(self, message: Delivery) -> History:
        """What is known of `message`."""
        fresh = History(
            via=self._via(message),
            publisher=message.user_id,
            exchange=_short(message.exchange or ""),
            routing_key=_short(message.routing_key or ""),
            body_size=message.full_size,
        )
        if message.user_id not in self._trusted:
            return fresh
        recorded = _recorded(message.headers, fresh)
        # A cut body that was published again is complete as a message.
        size = _of(message.headers, Header.BODY_SIZE, int, 0)
        if max(len(message.body), message.full_size or 0) < size <= BIGINT_MAX:
            return replace(recorded, body_size=size)
        return recorded

    def _via(self, message: Delivery) -> Via:
        if message.app_id != GATEWAY_APP_ID:
            return Via.DIRECT
        if self._gateway_user not in (None, message.user_id):
            return Via.DIRECT
        return Via.REST


def moved_back(history: History) -> History:
    """The history of a dead letter that was requeued with the broker's tools."""
    return replace(
        history,
        via=Via.REPLAY,
        attempt=1,
        replays=history.replays + 1,
        letter=None,
        reason=None,
        error=None,
    )


def _recorded(headers: Mapping[str, object], fresh: History) -> History:
    # Our user, but perhaps not our program: values that cannot be ours are ignored.
    via = _of(headers, Header.VIA, str, "")
    # We always write the path of a message. If there is no publisher beside it, it was unknown: the
    # user of the message is only the one that sent the copy.
    is_copy = via in set(Via)
    return History(
        via=Via(via) if is_copy else fresh.via,
        publisher=_of(headers, Header.PUBLISHER, str, None if is_copy else fresh.publisher),
        exchange=_of(headers, Header.ORIGINAL_EXCHANGE, str, fresh.exchange),
        routing_key=_of(headers, Header.ORIGINAL_ROUTING_KEY, str, fresh.routing_key),
        attempt=_count(headers, Header.ATTEMPT, 1),
        replays=_count(headers, Header.REPLAYS, 0),
        replay_of=_of(headers, Header.REPLAY_OF, int, None),
        first_failure=_of(headers, Header.FIRST_FAILURE, str, None),
        last_failure=_of(headers, Header.LAST_FAILURE, str, None),
        reason=_of(headers, Header.REASON, str, None),
        error=_of(headers, Header.ERROR, str, None),
        letter=_of(headers, Header.LETTER, str, None),
        body_size=fresh.body_size,
    )


def _of(headers: Mapping[str, object], name: Header, kind: type[T], default: T) -> T:
    value = headers.get(name.value)
    if not isinstance(value, kind) or isinstance(value, bool):
        return default
    return value


def _count(headers: Mapping[str, object], name: Header, least: int) -> int:
    value = _of(headers, name, int, least)
    return value if least <= value <= _MOST else least


def _short(text: str) -> str:
    return text[:255]
