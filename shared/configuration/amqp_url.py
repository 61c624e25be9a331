"""Parses AMQP_URL, which may name several nodes of a cluster, as DATABASE_URL names hosts.

https://www.rabbitmq.com/docs/uri-spec knows one host only, and so do the parsers of aio-pika and
yarl: they get the URL of one node.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

from shared.configuration.hosts import ENCODE, Host, check_name, name_and_port, port_number
from shared.configuration.url_parameters import check_amqp

_PARTS: Final = re.compile(
    r"(?P<scheme>amqps?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?",
    re.DOTALL,
)
_DEFAULT_USER: Final = "guest"
"""RabbitMQ's own, which a client uses if it is given none."""


@dataclass(frozen=True, slots=True)
class AmqpUrl:
    """At least one node, and what is the same for all of them. `repr` hides the password."""

    nodes: tuple[Host, ...]
    user: str
    has_password: bool
    uses_tls: bool
    _before: str = field(repr=False)
    _after: str = field(repr=False)

    def of(self, node: Host) -> str:
        """The URL of one node."""
        return f"{self._before}{node}{self._after}"


def parse(url: str) -> AmqpUrl:
    """Raises ValueError, with a message that quotes nothing: any part may belong to a password."""
    found = _PARTS.fullmatch(url)
    if found is None:
        raise ValueError("must start with amqp:// or amqps://")
    user_info, at, authority = found["authority"].rpartition("@")
    rest = url[found.end("authority") :]
    if re.search(r"@[^@]*,", user_info):
        raise ValueError("must have the user and password once, before the first host")
    if "@" in user_info or set("[]") & set(user_info):
        raise ValueError(ENCODE)
    # A bare / ? # or @ in a password moves part of it to a place where it would not be masked.
    if "@" in rest:
        raise ValueError(f"has an @ after the host; {ENCODE}")
    if found["fragment"]:
        raise ValueError(f"has a #; {ENCODE}")
    given = parse_qs(found["query"] or "", keep_blank_values=True)
    if "password" in given:
        raise ValueError("must have the password before the host, not in a parameter")
    check_amqp({name: values[-1] for name, values in given.items()})
    if not authority:
        raise ValueError("must name a host")
    user, _, password = user_info.partition(":")
    return AmqpUrl(
        tuple(_node(place) for place in authority.split(",")),
        unquote(user) or _DEFAULT_USER,
        bool(password),
        found["scheme"] == "amqps",
        f"{found['scheme']}://{user_info}{at}",
        rest,
    )


def _node(place: str) -> Host:
    name, port = name_and_port(place)
    check_name(name)
    if re.search(r"\s", name):
        raise ValueError("has a host with a space in its name")
    return Host(name, port_number(port))
