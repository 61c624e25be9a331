"""The header fields that concern one connection only, and the framing of messages."""

from typing import Final

import h11

Fields = list[tuple[bytes, bytes]]

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade")
)
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


def passed_on(message: h11.Request | h11.Response | h11.InformationalResponse) -> Fields:
    """The fields that go on to the other side, spelled as they came; no framing among them."""
    named = {
        token.strip().lower()
        for name, value in message.headers
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = _HOP_BY_HOP | _FRAMING | (named - {b"host"})
    return [
        (raw, value)
        for (name, value), (raw, _) in zip(
            message.headers, message.headers.raw_items(), strict=True
        )
        if name not in dropped
    ]


def framing(message: h11.Request | h11.Response) -> Fields:
    """The length of the body as h11 has understood it."""
    length = values(message, b"content-length")
    if values(message, b"transfer-encoding"):
        return [(b"Transfer-Encoding", b"chunked")]
    return [(b"Content-Length", length[0])] if length else []


def upgrade(protocol: bytes) -> Fields:
    return [(b"Connection", b"Upgrade"), (b"Upgrade", protocol)]


def asks_for(request: h11.Request, protocol: str) -> bool:
    """Whether the client asks the engine to switch to this protocol, and to no other."""
    return [each.lower() for each in values(request, b"upgrade")] == [protocol.encode()] and any(
        b"upgrade" in each.lower() for each in values(request, b"connection")
    )


def values(
    message: h11.Request | h11.Response | h11.InformationalResponse, name: bytes
) -> list[bytes]:
    return [value for each, value in message.headers if each == name]
