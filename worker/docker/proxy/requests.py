"""Receives the requests of a client: their heads, and those bodies that are read whole."""

import asyncio
from typing import Final

import h11

from worker.docker.proxy.headers import values
from worker.docker.proxy.limits import Limits
from worker.docker.proxy.wire import Gone, Wire
from worker.docker.rules.refused import Refused, bad_request

_HEAD_TOO_LARGE: Final = 431
_CONTINUE: Final = h11.InformationalResponse(status_code=100, headers=[])


async def next_request(client: Wire, limits: Limits) -> h11.Request | None:
    """The next request, or None if the client is gone, idle or slow. Raises Refused and Gone."""
    try:
        event = client.http.next_event()
        if event is h11.NEED_DATA and not client.http.trailing_data[0]:
            async with asyncio.timeout(limits.idle):
                await client.receive()
            event = client.http.next_event()
        async with asyncio.timeout(limits.head):
            while event is h11.NEED_DATA:
                await client.receive()
                event = client.http.next_event()
    except TimeoutError:
        return None
    except h11.RemoteProtocolError as error:
        if error.error_status_hint == _HEAD_TOO_LARGE:
            raise Refused(_HEAD_TOO_LARGE, "the request head is too large") from None
        raise bad_request("the request is not valid HTTP/1.1") from None
    if not isinstance(event, h11.Request):
        return None  # the client has ended the connection
    if event.http_version != b"1.1":
        # For older ones, a response that breaks off looks complete.
        raise Refused(505, "the request must be HTTP/1.1")
    if values(event, b"transfer-encoding") and values(event, b"content-length"):
        raise bad_request("the request has two lengths")
    return event


async def whole_body(client: Wire, limits: Limits) -> bytes:
    """Raises Refused and Gone."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body):
            while True:
                event = client.next_in_body()
                match event:
                    case h11.Data():
                        parts.append(bytes(event.data))
                        size += len(event.data)
                        if size > limits.body_size:
                            raise Refused(413, f"the body is larger than {limits.body_size} bytes")
                    case h11.EndOfMessage():
                        return b"".join(parts)
                    case h11.ConnectionClosed():
                        raise Gone(client)
                    case _:
                        if client.http.they_are_waiting_for_100_continue:
                            await client.send(
                                h11.InformationalResponse(status_code=100, headers=[])
                            )
                        await client.receive()
    except TimeoutError:
        raise Refused(408, "the body did not arrive in time") from None


def has_arrived(client: Wire) -> bool:
    """Whether all of the current request is here; drops what is here of its body."""
    if client.http.their_state is not h11.SEND_BODY:
        return client.http.their_state is not h11.ERROR
    while isinstance(client.next_in_body(), h11.Data):
        pass
    return client.http.their_state is not h11.SEND_BODY
