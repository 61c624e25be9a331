"""A message as bytes for the wire: method, header and body in one piece.

pamqp checks the type of each property at length, which doubles the time for a header. The list of
properties and their order still come from pamqp.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from pamqp import constants, encode, frame
from pamqp.commands import Basic

# AMQP 0-9-1, 4.2.3 and 4.2.6.1: frame type, channel, size; class, weight, body size, flags.
_FRAME: Final = Struct(">BHL")
_HEADER: Final = Struct(">HHQH")
_END: Final = constants.FRAME_END_CHAR
_MAX_SHORT_STRING: Final = 255  # bytes
_LENGTHS: Final = tuple(bytes((length,)) for length in range(_MAX_SHORT_STRING + 1))


def published(
    exchange: str,
    routing_key: str,
    body: bytes,
    properties: Basic.Properties,
    channel: int,
    max_body: int,
) -> bytes:
    """A mandatory publish; `max_body` bytes of the body go into one frame."""
    frames = [
        _method(exchange, routing_key, channel),
        *_header(properties, len(body), channel),
    ]
    for start in range(0, len(body), max_body):
        part = body[start : start + max_body]
        frames += (_FRAME.pack(constants.FRAME_BODY, channel, len(part)), part, _END)
    return b"".join(frames)


@lru_cache(maxsize=64)
def _method(exchange: str, routing_key: str, channel: int) -> bytes:
    publish = Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
    return frame.marshal(publish, channel)


def _header(properties: Basic.Properties, body_size: int, channel: int) -> tuple[bytes, ...]:
    flags = 0
    values = []
    for name, flag, encoded in _PROPERTIES:
        value = getattr(properties, name)
        if value is not None and value != "":
            flags |= flag
            values.append(encoded(value))
    listed = b"".join(values)
    return (
        _FRAME.pack(constants.FRAME_HEADER, channel, _HEADER.size + len(listed)),
        _HEADER.pack(Basic.frame_id, 0, body_size, flags),
        listed,
        _END,
    )


def _short_string(value: str) -> bytes:
    text = value.encode()
    if len(text) > _MAX_SHORT_STRING:
        raise TypeError(f"has more than {_MAX_SHORT_STRING} bytes: {value:.20}…")
    return _LENGTHS[len(text)] + text


def _encoder(name: str) -> Callable[[Any], bytes]:
    amqp_type = Basic.Properties.amqp_type(name)
    return _short_string if amqp_type == "shortstr" else encode.METHODS[amqp_type]


_PROPERTIES: Final = tuple(
    (name, Basic.Properties.flags[name], _encoder(name)) for name in Basic.Properties.__slots__
)
