"""A request to cancel a run: the command, and how it came in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aio_pika import Message
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from shared.commands import CancelCommand
from shared.states import Via
from worker.messages import conversion
from worker.messages.delivery import Delivery
from worker.messages.headers import History


@dataclass(frozen=True, slots=True)
class Origin:
    """How a command came in. `publisher` is the broker user, where the broker checked it.

    `faults` is what was wrong with its information, by field.
    """

    via: Via
    publisher: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Original:
    """The message that a command came in, of which its dead letter would be made."""

    message: Delivery
    history: History

    def header_and_body(self) -> tuple[bytes, bytes]:
        """As they are kept with an open command."""
        copy: Message = conversion.plain_copy(self.message, self.history)
        return ContentHeader(0, len(copy.body), copy.properties).marshal(), copy.body


def properties_in(message_header: bytes) -> Basic.Properties:
    """The properties of a message whose header was kept."""
    header = ContentHeader()
    header.unmarshal(message_header)
    return header.properties


@dataclass(frozen=True, slots=True)
class Request:
    command: CancelCommand
    origin: Origin
    original: Original | None = None
    """None where the command is taken up from the record, which has it."""
