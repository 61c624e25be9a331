"""A request to cancel a run: the command, and how it arrived."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aio_pika import Message

from shared.commands import CancelCommand
from shared.states import Via
from worker.messages import conversion
from worker.messages.delivery import Delivery
from worker.messages.headers import History
from worker.messages.kept_header import header_of
from worker.messages.reply_address import ReplyAddress


@dataclass(frozen=True, slots=True)
class Origin:
    """How a command arrived. `publisher` is the broker user, if the broker validated it.

    `faults` has the problems with its informational fields. `reply` is where its publisher waits
    for the outcome.
    """

    via: Via
    publisher: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    reply: ReplyAddress | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """The message of a command, from which its dead letter would be made."""

    message: Delivery
    history: History

    def header_and_body(self) -> tuple[bytes, bytes]:
        """Header and body, as stored with an open command."""
        copy: Message = conversion.plain_copy(self.message, self.history)
        return header_of(copy), copy.body


@dataclass(frozen=True, slots=True)
class Request:
    command: CancelCommand
    origin: Origin
    original: Original | None = None
    """None for a command that is taken up: the database has the message."""
