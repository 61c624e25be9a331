"""Operations on events."""

import json
from typing import Final

from gateway.auth.access import Scope
from gateway.auth.refusals import missing_scope
from gateway.events.event import TYPES, event_of, gap_message
from gateway.events.query import (
    LAST_ID_HEADER,
    LAST_ID_PROBLEM,
    RUN_ID_PROBLEM,
    TYPE_PROBLEM,
)
from gateway.http.errors import invalid
from gateway.openapi.operations.common import (
    AT,
    INTERNAL,
    RATE_LIMITED,
    UNAUTHORIZED,
    UNAVAILABLE,
    shown,
)
from gateway.openapi.operations.model import RATE_LIMIT_HEADERS, Json, Operation, Response
from gateway.schemas import API
from shared.events import EventType
from shared.limits import BIGINT_MAX

_RUN_ID: Final[Json] = {
    "name": "run_id",
    "in": "query",
    "description": "Only the events of this run.",
    "schema": {"type": "integer", "format": "int64", "minimum": 1, "maximum": BIGINT_MAX},
}
_TYPE: Final[Json] = {
    "name": "type",
    "in": "query",
    "description": "Only events of this type. Repeat it for several types.",
    "schema": {"type": "array", "items": {"type": "string", "enum": list(TYPES)}},
}
_LAST_EVENT_ID: Final[Json] = {
    "name": LAST_ID_HEADER,
    "in": "header",
    "description": "The last id that the client has seen. The stream goes on from there.",
    "schema": {"type": "string"},
}
_MESSAGE: Final[Json] = {
    "type": "object",
    "description": "The fields of a message of the stream.",
    "properties": {
        "id": {"type": "string", "description": "The id to reconnect with. `gap` has none."},
        "event": {"type": "string", "description": "The type of the event, or `gap`."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "The CloudEvent or, of `gap`, an object with `message` and "
            "`complete_since`.",
        },
    },
    "required": ["event", "data"],
}
_FINISHED: Final = json.dumps(
    {
        "specversion": "1.0",
        "id": "1042",
        "source": "/run-cancel",
        "type": EventType.RUN_FINISHED.cloud_type,
        "subject": "4711",
        "time": AT.isoformat(),
        "sequence": "1042",
        "datacontenttype": "application/json",
        "data": {"run_id": 4711, "status": "canceled", "exit_code": 143, "proof": "cgroup_empty"},
    }
).encode()


def _message(sent: bytes) -> Json:
    """The fields of a message, as a client reads them."""
    lines = sent.decode().strip().split("\n")
    return dict(line.split(": ", 1) for line in lines)


STREAM_EVENTS: Final = Operation(
    "get",
    f"{API}/events",
    "streamEvents",
    "Stream the events of runs and cancels",
    "Server-Sent Events. `event` is the type and `data` the CloudEvent in one line. An event may "
    "come twice: drop repeats by their `id`. An event `gap` says that events from before its "
    "`complete_since` may be missing. Without `Last-Event-ID`, the stream begins now. It has a "
    "comment every 15 s, and ends after 15 minutes at most: connect again.",
    Scope.RUNS_READ,
    {
        200: Response(
            "The events, until the stream ends.",
            {"event": _message(event_of(_FINISHED).message), "gap": _message(gap_message(AT))},
            message_schema=_MESSAGE,
        ),
        400: Response(
            "The query or a header is invalid.",
            shown(
                run_id=invalid({"run_id": RUN_ID_PROBLEM}),
                type=invalid({"type": TYPE_PROBLEM}),
                last_event_id=invalid({LAST_ID_HEADER: LAST_ID_PROBLEM}),
            ),
        ),
        401: UNAUTHORIZED,
        403: Response(
            "The token lacks the scope.",
            shown(scope=missing_scope(Scope.RUNS_READ, ["runs:write"])),
            ("WWW-Authenticate", *RATE_LIMIT_HEADERS),
        ),
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (_RUN_ID, _TYPE, _LAST_EVENT_ID),
    tag="Events",
)
