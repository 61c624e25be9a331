"""An event as a message of a stream (HTML Standard, "Server-sent events")."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

# No line breaks; and the id comes back in a header.
_TEXT: Final = re.compile(r"[!-~]{1,255}")
_MAX_RUN_DIGITS: Final = 19  # of a bigint


class EventType(StrEnum):
    """The CloudEvents types of the events."""

    RUN_REGISTERED = "ci.run.registered.v1"
    RUN_STARTED = "ci.run.started.v1"
    RUN_CANCELING = "ci.run.canceling.v1"
    RUN_FINISHED = "ci.run.finished.v1"
    RUN_REJECTED = "ci.run.rejected.v1"
    CANCEL_SETTLED = "ci.cancel.settled.v1"
    CANCEL_REJECTED = "ci.cancel.rejected.v1"


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
    event_id, kind, subject = (_text(read, name) for name in ("id", "type", "subject"))
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
