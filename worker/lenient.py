"""Reading message properties that no specification allows.

pamqp raises on a short string or header name that is not UTF-8, on headers that are nested deeper
than Python's stack, and on a timestamp beyond the year 9999. aiormq then drops the connection, the
broker delivers again, and so on, while the delivery counts of all other commands go up. Such a
message must get as far as the dead letters instead.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pamqp import decode

from worker.notes import Header

Decoder = Callable[[bytes], tuple[int, Any]]

_MOST_NESTED: Final = 100
"""Tables in tables, and arrays likewise. What is deeper cannot be sent on or stored."""


def read_any_property() -> None:
    """Make pamqp's decoding of properties total, in this process. Call from an entry point."""
    strict_timestamp, strict_table = decode.timestamp, decode.field_table

    def timestamp(value: bytes) -> tuple[int, datetime]:
        try:
            return strict_timestamp(value)
        except (OverflowError, OSError, ValueError):
            return 8, datetime.fromtimestamp(0, UTC)

    def headers(value: bytes) -> tuple[int, Any]:
        try:
            return strict_table(value)
        except (ArithmeticError, RecursionError, ValueError) as error:
            length = 4 + int.from_bytes(value[:4], "big")
            return length, {Header.HEADERS_DROPPED.value: f"cannot be read: {error}"[:200]}

    decode.METHODS["shortstr"] = _short_string
    decode.METHODS["timestamp"] = timestamp
    decode.METHODS["table"] = headers
    decode.TABLE_MAPPING[b"T"] = timestamp
    decode.TABLE_MAPPING[b"F"] = _bounded(strict_table)
    decode.TABLE_MAPPING[b"A"] = _bounded(decode.field_array)


def _bounded(decoder: Decoder) -> Decoder:
    depth = 0

    def decode_nested(value: bytes) -> tuple[int, Any]:
        nonlocal depth
        if depth >= _MOST_NESTED:
            raise ValueError("nested too deeply")
        depth += 1
        try:
            return decoder(value)
        finally:
            depth -= 1

    return decode_nested


def _short_string(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")
