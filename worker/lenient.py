"""Reading message properties that no specification allows.

pamqp raises on a short string that is not UTF-8 and on a timestamp beyond the year 9999. aiormq
then drops the connection, the broker delivers again, and so on, while the delivery counts of all
other commands go up. Such a message must get as far as the dead letters instead.
"""

from datetime import UTC, datetime

from pamqp import decode


def read_any_property() -> None:
    """Make pamqp's decoding of properties total, in this process. Call from an entry point."""
    strict_timestamp = decode.timestamp

    def timestamp(value: bytes) -> tuple[int, datetime]:
        try:
            return strict_timestamp(value)
        except (OverflowError, OSError, ValueError):
            return 8, datetime.fromtimestamp(0, UTC)

    decode.METHODS["shortstr"] = _short_string
    decode.METHODS["timestamp"] = timestamp
    decode.TABLE_MAPPING[b"T"] = timestamp


def _short_string(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")
