"""Kinds of values that settings have, and how they are checked. A message never quotes a value."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr

from shared.configuration import amqp_url as amqp
from shared.configuration import postgres_url as postgres
from shared.configuration.hosts import ENCODE

Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _named(path: object) -> object:
    """Path would take an empty text as the current directory."""
    if path == "":
        raise ValueError("is empty: set it to a file, or remove it")
    return path


FilePath = Annotated[Path, BeforeValidator(_named)]

OFF: Final = "off"


def parts(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def network(text: str) -> Network:
    """Raises ValueError."""
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError("must be addresses or networks like 10.0.0.0/8") from None


# As browsers send it: in lower case, and without the default port.
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def origins(text: str) -> list[str]:
    """The origins in a comma-separated list, or `*` alone. Raises ValueError."""
    given = parts(text)
    if given != ["*"] and not all(map(_is_origin, given)):
        raise ValueError(
            "must be origins like https://ci.example.com, in lower case, without a path and "
            "without the default port; or * alone"
        )
    return given


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    return found is not None and found[3] != _DEFAULT_PORTS[found[1]]


def postgres_url(url: SecretStr) -> SecretStr:
    """Raises ValueError."""
    postgres.parse(url.get_secret_value())
    return url


def amqp_url(url: SecretStr) -> SecretStr:
    """Raises ValueError."""
    from yarl import URL

    found = amqp.parse(url.get_secret_value())
    try:
        for node in found.nodes:
            URL(found.of(node))
    except ValueError:
        raise ValueError("has an invalid host") from None
    return url


def url_with_host(url: SecretStr, *schemes: str) -> SecretStr:
    """Return `url` if it has one of `schemes`, a host, and no password outside its place.

    Raises ValueError.
    """
    text = url.get_secret_value()
    if not text.startswith(schemes):
        raise ValueError(f"must start with {' or '.join(schemes)}")
    # A bare / ? # or @ in a password moves part of it to a place where it would not be masked.
    if re.search(r"://[^/?#]*[/?#].*@", text):
        raise ValueError(f"has an @ after the host; {ENCODE}")
    from yarl import URL

    try:
        parsed = URL(text)
    except ValueError:
        raise ValueError("has an invalid host or port") from None
    if not parsed.host:
        raise ValueError("must name a host")
    if "password" in parsed.query:
        raise ValueError("must have the password before the host, not in a parameter")
    return url
