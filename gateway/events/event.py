"""An event as a message of a stream (HTML Standard, "Server-sent events")."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from shared.events import EventType

# No line breaks; and the id comes back in a header.
_TEXT: Final = re.compile(r"[!-~]{1,255}")
_MAX_RUN_DIGITS: Final = 19  # of a bigint

TYPES: Final = tuple(kind.cloud_type for kind in EventType)
"""The CloudEvents types of the events."""


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    type: str
    run_id: int
    """0 if the event is about no run."""
    message: bytes
    """What a stream sends, shared by all streams."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events a stream has. Empty types are all types."""

    run_id: int | None = None
    types: frozenset[str] = frozenset()

    def has(self, event: Event) -> bool:
        return self.run_id in (None, event.run_id) and (not self.types or event.type in self.types)


def event_of(body: bytes) -> Event:
    """Read a CloudEvent in structured mode. Raises ValueError."""
    read = orjson.loads(body)
    if not isinstance(read, dict):
        raise ValueError("is not an object")
    event_id, kind = _text(read, "id"), _text(read, "type")
    subject = _text(read, "subject") if "subject" in read else "0"
    if not subject.isdigit() or len(subject) > _MAX_RUN_DIGITS:
        raise ValueError("has a subject that is no run id")
    # In JSON, line breaks stand only between tokens.
    data = body.translate(None, b"\r\n")
    message = f"id: {event_id}\nevent: {kind}\ndata: ".encode() + data + b"\n\n"
    return Event(event_id, kind, int(subject), message)


def _text(read: dict[str, Any], name: str) -> str:
    text = read.get(name)
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        raise ValueError(f"has no valid {name}")
    return text


def gap_message(complete_since: datetime) -> bytes:
    """Tell a stream that events may be missing. It has no id, so the last one stays."""
    data = {
        "message": "Events from before complete_since may be missing.",
        "complete_since": complete_since.isoformat(timespec="milliseconds"),
    }
    return b"event: gap\ndata: " + orjson.dumps(data) + b"\n\n"


def position_message(event_id: str) -> bytes:
    """Tell a stream where it is, without an event: only the id to reconnect with."""
    return f"id: {event_id}\n\n".encode()
