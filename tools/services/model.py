"""What the ladder hands out, and how it fails."""

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

from tools.errors import ToolError


class Rung(StrEnum):
    """A rung that the environment variable SERVICES can force."""

    CONTAINERS = "containers"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Services:
    """Where the two services are. The URLs carry passwords, so they stay out of the repr."""

    database_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    origin: str


class ServicesUnavailable(ToolError):
    """No services could be had; the message is one line that says what to do."""


class ServerFailed(ServicesUnavailable):
    """A private server did not start or stop; the message ends with its last log lines."""


def hide_password(url: str) -> str:
    """Return the URL with its password replaced by ``***``, fit for a log line."""
    parts = urlsplit(url)
    user_info, at, place = parts.netloc.rpartition("@")
    user, colon, _ = user_info.partition(":")
    shown = f"{user}{colon}***{at}{place}" if colon else parts.netloc
    return urlunsplit(parts._replace(netloc=shown))
