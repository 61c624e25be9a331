"""The header of a message in bytes, as it is kept in Postgres beside the body."""

from aio_pika import Message
from pamqp.commands import Basic
from pamqp.header import ContentHeader


def header_of(message: Message) -> bytes:
    return ContentHeader(0, len(message.body), message.properties).marshal()


def properties_in(header: bytes) -> Basic.Properties:
    """The properties of the message whose header was kept."""
    found = ContentHeader()
    found.unmarshal(header)
    return found.properties
