"""The limits on clients of the socket."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    connections: int = 1000
    connections_of_one_user: int = 500
    head_size: int = 1024 * 1024
    """Much, as the credentials of all registries may be in a header."""
    body_size: int = 1024 * 1024
    """Of the requests that are read whole: the worker does nothing else while it checks them.
    What is passed on as it comes has no limit."""
    head: float = 10.0
    """From the first byte of a request head to its last."""
    body: float = 30.0
    """To receive a body that is read whole."""
    idle: float = 300.0
    linger: float = 2.0
    """For which the rest of a request is still received after an early answer."""
