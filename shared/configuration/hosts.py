"""The list of hosts in a URL: `a:5432,b,[::1]:5433`. A message quotes nothing of it."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

_IN_BRACKETS: Final = re.compile(r"\[([^\]]+)\](?::(.*))?")

ENCODE: Final = "characters like / ? # @ [ ] must be percent-encoded, especially in a password"


@dataclass(frozen=True, slots=True)
class Host:
    """A name, an address, or the directory of a Unix socket. Without a port, the default one."""

    name: str
    port: int | None

    @property
    def is_socket(self) -> bool:
        return self.name.startswith("/")

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


def name_and_port(place: str) -> tuple[str, str]:
    """Split one entry of the list. Raises ValueError."""
    if place.startswith("["):
        found = _IN_BRACKETS.fullmatch(place)
        if found is None:
            raise ValueError("has an IPv6 address that is not of the form [::1] or [::1]:5432")
        return found[1], found[2] or ""
    if place.count(":") > 1:
        raise ValueError("must have an IPv6 address in brackets, like [::1]:5432")
    name, _, port = place.partition(":")
    return name, port


def check_name(name: str) -> None:
    """Raises ValueError."""
    if not name:
        raise ValueError("has a host without a name")
    if ":" in name and not name.startswith("/"):
        try:
            IPv6Address(name)
        except ValueError:
            raise ValueError("has a host that is neither a name nor an address") from None


def port_number(text: str) -> int | None:
    """The port, or None for an empty text. Raises ValueError."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(text)
