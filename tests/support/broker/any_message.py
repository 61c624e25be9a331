"""Whatever may be published as a command, as a hypothesis strategy: good, nearly, and noise."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from uuid import uuid4

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.commands import CANCEL_TYPE, MAX_BODY

Json = dict[str, Any]


class Fate(Enum):
    """What must become of a message, as far as that can be told from how it was made."""

    RECORDED = "recorded"
    DEAD = "dead"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class AnyMessage:
    body: bytes
    properties: Json = field(default_factory=dict)
    fate: Fate = Fate.EITHER

    @property
    def kept(self) -> bytes:
        """What is kept of the body where it becomes a dead letter."""
        return self.body[:MAX_BODY]


class Raw(str):
    """Hexadecimal digits that are sent as the bytes they stand for."""

    def __str__(self) -> str:
        return self  # and not a plain text, which the client library asks for

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return bytes.fromhex(self)


class Absent(str):
    """A property that is not sent: in the place of an empty id, aiormq makes one up."""

    def __bool__(self) -> bool:
        return True


def _nested(depth: int) -> Json:
    table: Json = {}
    for _ in range(depth):
        table = {"a": table, "b": [table]} if depth < 5 else {"a": table}
    return table


UUIDS: Final = st.builds(lambda: str(uuid4()))  # no draws: they only have to differ
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    st.sampled_from(
        [[], {}, [1], {"a": [None]}, "1", "\0", 0, -1, 2**63, 10**400, 1e999, "x" * 256, "\ud800"]
    ),
)
WELL: Final[st.SearchStrategy[Json]] = st.one_of(
    TEXTS.map(lambda text: {"reason": text.replace("\0", "")}),
    st.floats(0, 600).map(lambda seconds: {"grace_seconds": seconds}),
    st.sampled_from(
        [
            {},
            {"force": True},
            {"requested_by": "é" * 255, "requested_at": "2026-01-02T03:04:05.6+14:00"},
            {"new": [1], "pid": 1, "requested_by": ""},
            {"new": "x" * 2000, "grace_seconds": 0},
        ]
    ),
)
HEADERS: Final[st.SearchStrategy[Json]] = st.sampled_from(
    [
        {},
        {},
        {"mine": "1"},
        {"deep": {"a": {"b": {"c": [1, 2.5, True, None, {"d": "e"}]}}}},
        {"nul": "a\0b", "bytes": bytearray(b"\xff\0"), "": None, "é": Raw("ff")},
        {Raw("ff00"): 1},
        _nested(60),
        _nested(250),
        {f"x-{n}": n for n in range(300)},
        {"x-big": "a" * 100_000},
        {"x-attempt": "four", "x-letter": "mine", "x-reason": "mine", "x-via": "rest"},
        {"x-attempt": 4, "x-letter": [1], "x-publisher": "root", "x-replays": -1},
        {"x-death": [{"queue": "runs.cancel", "reason": "delivery_limit", "count": 10**6}]},
        {"x-death": "mine", "x-delivery-count": 99, "x-first-death-reason": 1},
        {"x-original-exchange": {"a": 1}, "x-headers-dropped": 5, "x-first-failure": "\0"},
    ]
)
PROPERTIES: Final[st.SearchStrategy[Json]] = st.sampled_from(
    [
        {},
        {"delivery_mode": 2, "content_type": "application/json", "correlation_id": "c-1"},
        {"delivery_mode": 1, "content_type": Raw("ff" * 255), "content_encoding": "gzip"},
        {"content_encoding": Raw("c3"), "correlation_id": Raw("ff" * 255)},
        {"correlation_id": "x" * 255, "app_id": "cancel-gateway", "priority": 255},
        {"correlation_id": "\0", "content_type": "\0", "app_id": Raw("fe"), "priority": 0},
        {"reply_to": Raw("80"), "expiration": "600000"},
        {"expiration": "4294967295", "content_encoding": "é" * 127},
    ]
)
WRONG_TYPES: Final = st.one_of(
    st.sampled_from([Absent(), "ci.run.cancel", "ci.run.cancel.v2", "CI.RUN.CANCEL.V1"]),
    st.sampled_from(["ci.run.cancel.v", "\0", "a" * 255, Raw("ff" * 255), Raw("63692e72756eff")]),
    TEXTS.map(lambda text: "t" + text),
)
NOISE: Final = st.one_of(
    st.binary(max_size=60),
    TEXTS.map(str.encode),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"", b"{", b"[" * 20_000, b'{"a":' * 20_000, b"x" * 200_000, b"\xff\xfe{}"]),
    st.sampled_from(
        [b"[" * MAX_BODY, b"[" * 500_000, b"9" * 60_000, b"[" + b"[]," * 20_000 + b"1]"]
    ),
    st.sampled_from([b'{"\\ud800":"\\udfff"}', b'"\xed\xa0\x80"', b'{"run_id":1,"run_id":1}']),
)

WRONG_IDS: Final = st.sampled_from(["x", " ", Raw("ff"), *[None] * 20])
KINDS: Final = ("good", "good", "good", "type", "id", "unknown", "field", "field", "bytes", "noise")


def some_messages(count: int, known: Sequence[int], user: str) -> list[AnyMessage]:
    """As many messages, the same ones each time but for their ids; a tenth come twice.

    `known` are runs that are queued or over. Commands for others come as retries of `user` that
    are at their last attempt, or else each would take the time of the whole ladder.
    """
    made: list[AnyMessage] = []

    @settings(
        max_examples=count - count // 10,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(_messages(known, user))
    def collect(message: AnyMessage) -> None:
        made.append(message)

    collect()
    return made + [made[n * 7 % len(made)] for n in range(count - len(made))]


@st.composite
def _messages(draw: st.DrawFn, known: Sequence[int], user: str) -> AnyMessage:
    command: Json = {
        "command_id": draw(UUIDS),
        "run_id": draw(st.sampled_from(known)),
        **draw(WELL),
    }
    ids = [command["command_id"]] * 3 + [command["command_id"].upper(), Absent()]
    properties: Json = {
        "message_type": CANCEL_TYPE,
        "message_id": draw(st.sampled_from(ids)),
        "headers": draw(HEADERS),
        **draw(PROPERTIES),
    }
    body, fate = json.dumps(command).encode(), Fate.DEAD
    kind = draw(st.sampled_from(KINDS))
    match kind:
        case "good":
            fate = Fate.RECORDED
        case "type":
            properties["message_type"] = draw(WRONG_TYPES)
        case "id":
            properties["message_id"] = draw(WRONG_IDS) or str(uuid4())
            fate = Fate.RECORDED  # the body counts
        case "unknown":
            body = json.dumps({**command, "run_id": max(known) + draw(st.integers(1))}).encode()
        case "field":
            name = draw(st.sampled_from([*command, "grace_seconds", "force", "requested_at"]))
            body = json.dumps({**command, name: draw(VALUES)}).encode()
            fate = Fate.EITHER
        case "bytes":
            start = draw(st.integers(0, len(body)))
            end = draw(st.integers(start, min(len(body), start + 9)))
            body = body[:start] + draw(st.binary(max_size=4)) + body[end:]
            fate = Fate.EITHER
        case _:
            body = draw(NOISE)
    if kind in ("unknown", "field", "bytes"):
        properties |= {"user_id": user, "headers": {"mine": "1", "x-attempt": 4}}
    return AnyMessage(body, properties, fate)
