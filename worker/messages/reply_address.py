"""Where a publisher waits for the outcome of its command: RabbitMQ's direct reply-to only.

A worker may publish to every queue, so an address that a publisher chooses freely would lend it
that right. No queue can have a name of this form: RabbitMQ reserves names that begin with `amq.`.
"""

import re
from dataclasses import dataclass
from typing import Final

from worker.messages.delivery import Delivery
from worker.messages.headers import Header
from worker.messages.json_body import storable

_DIRECT: Final = re.compile(r"amq\.rabbitmq\.reply-to\.[!-~]{1,200}")
# The longest short string in AMQP, in bytes.
_MAX_BYTES: Final = 255
IGNORED: Final = "Not RabbitMQ's direct reply-to, and was ignored"


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """A direct reply-to, and the id by which the publisher finds the answer."""

    reply_to: str
    correlation_id: str | None


def direct(reply_to: object) -> str | None:
    """`reply_to`, if it is the direct reply-to of a channel."""
    return reply_to if isinstance(reply_to, str) and _DIRECT.fullmatch(reply_to) else None


def ignores_reply_to(message: Delivery) -> bool:
    """Whether the publisher asked for a reply to another address, here or before a retry."""
    if message.reply_to:
        return direct(message.reply_to) is None
    return Header.REPLY_TO_IGNORED.value in message.headers


def short(text: str | None) -> str | None:
    """`text` as AMQP can carry it: a replacement character is longer than the byte before it."""
    return None if text is None else text.encode()[:_MAX_BYTES].decode(errors="ignore")


def address_of(message: Delivery) -> ReplyAddress | None:
    """Where the outcome of the command in `message` is to be sent."""
    if (reply_to := direct(message.reply_to)) is None:
        return None
    correlation_id = message.correlation_id
    return ReplyAddress(reply_to, short(correlation_id and storable(correlation_id)))
