"""Reading message properties that no specification allows.

pamqp raises on a short string or header name that is not UTF-8, on headers that are nested deeper
than Python's stack, and on a timestamp beyond the year 9999. aiormq then drops the connection, the
broker delivers again, and so on, while the delivery counts of all other commands go up. Such a
message must become a dead letter instead.

Headers are limited too: as Python objects, they may take forty times their encoded size, and pamqp
needs quadratic time to decode them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pamqp import decode

from worker.messages.conversion import MAX_HEADER_VALUES, MAX_HEADERS
from worker.messages.headers import Header

Decoder = Callable[[bytes], tuple[int, Any]]

_MOST_NESTED: Final = 100
"""Maximum nesting of tables and arrays. Deeper ones cannot be published or stored."""
# With room for our headers and those that the broker adds.
_MOST_BYTES: Final = MAX_HEADERS + 8 * 1024
_MOST_VALUES: Final = MAX_HEADER_VALUES + 200


def read_any_property() -> None:
    """Make pamqp's decoding of properties total, in this process. Call from an entry point."""
    strict_timestamp, strict_table = decode.timestamp, decode.field_table
    bounds = _Bounds()

    def timestamp(value: bytes) -> tuple[int, datetime]:
        try:
            return strict_timestamp(value)
        except (OverflowError, OSError, ValueError):
            return 8, datetime.fromtimestamp(0, UTC)

    def headers(value: bytes) -> tuple[int, Any]:
        size = int.from_bytes(value[:4], "big")
        if size > _MOST_BYTES:
            return 4 + size, {Header.HEADERS_DROPPED.value: f"{size} bytes"}
        bounds.values = 0
        try:
            return strict_table(value)
        except (ArithmeticError, RecursionError, ValueError) as error:
            return 4 + size, {Header.HEADERS_DROPPED.value: f"cannot be read: {error}"[:200]}

    decode.METHODS["shortstr"] = _short_string
    decode.METHODS["timestamp"] = timestamp
    decode.METHODS["table"] = headers
    decode.TABLE_MAPPING[b"T"] = timestamp
    decode.TABLE_MAPPING[b"F"] = bounds.nested(strict_table)
    decode.TABLE_MAPPING[b"A"] = bounds.nested(decode.field_array)
    for kind, decoder in [*decode.TABLE_MAPPING.items()]:
        decode.TABLE_MAPPING[kind] = bounds.counted(decoder)


class _Bounds:
    """Limits the number and the nesting of the header values being decoded."""

    def __init__(self) -> None:
        self.values = 0
        self._depth = 0

    def counted(self, decoder: Decoder) -> Decoder:
        def decode_counted(value: bytes) -> tuple[int, Any]:
            self.values += 1
            if self.values > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES} values")
            return decoder(value)

        return decode_counted

    def nested(self, decoder: Decoder) -> Decoder:
        def decode_nested(value: bytes) -> tuple[int, Any]:
            if self._depth >= _MOST_NESTED:
                raise ValueError("nested too deeply")
            self._depth += 1
            try:
                return decoder(value)
            finally:
                self._depth -= 1

        return decode_nested


def _short_string(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")
