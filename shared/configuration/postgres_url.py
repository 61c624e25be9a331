"""Parses DATABASE_URL as libpq does.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

asyncpg 0.32 parses most of it correctly, but not the hosts: Python's URL parser rejects some lists,
and asyncpg splits `host=::1` at its colons and prefers the hosts before the path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from shared.configuration.hosts import ENCODE, Host, check_name, name_and_port, port_number
from shared.configuration.url_parameters import check_postgres

_PARTS: Final = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?",
    re.DOTALL,
)

WRITABLE: Final = "read-write"
PRIMARY: Final = "primary"
_SESSIONS: Final = (WRITABLE, PRIMARY, "any")


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """`dsn` is the rest, for asyncpg. Without hosts, asyncpg uses its defaults.

    `dsn` has the password, and `parameters` may have that of a key: `repr` hides both.
    """

    hosts: tuple[Host, ...]
    dsn: str = field(repr=False)
    user: str
    has_password: bool
    parameters: Mapping[str, str] = field(repr=False)

    @property
    def session(self) -> str:
        """The required kind of server: by default, one that accepts writes."""
        return self.parameters.get("target_session_attrs", WRITABLE)


def parse(url: str) -> PostgresUrl:
    """Raises ValueError, with a message that quotes nothing: any part may belong to a password."""
    found = _PARTS.fullmatch(url)
    if found is None:
        raise ValueError("must start with postgresql:// or postgres://")
    user_info, at, authority = found["authority"].rpartition("@")
    rest = f"{found['path']}{found['query']}{found['fragment']}"
    if "@" in user_info or set("[]") & set(user_info):
        raise ValueError(ENCODE)
    # A bare / ? or # in a password ends the host early, and the rest would not be masked.
    if "@" in rest:
        raise ValueError(f"has an @ after the host; {ENCODE}")
    if found["fragment"]:
        raise ValueError(f"has a #; {ENCODE}")
    given = _parameters(found["query"] or "")
    if "password" in given:
        raise ValueError("must have the password before the host, not in a parameter")
    check_postgres(given)
    session = given.get("target_session_attrs", WRITABLE)
    if session not in _SESSIONS:
        raise ValueError(
            f"target_session_attrs must be one of {', '.join(_SESSIONS)}: "
            "Postgres must accept writes"
        )
    hosts = _hosts(authority, given)
    ours = {"target_session_attrs", *(("host", "port") if hosts else ())}
    query = "&".join(
        piece for piece in (found["query"] or "").split("&") if piece.split("=")[0] not in ours
    )
    user, _, password = user_info.partition(":")
    return PostgresUrl(
        hosts,
        f"{found['scheme']}://{user_info}{at}{found['path']}{'?' if query else ''}{query}",
        unquote(user) or given.get("user", ""),
        bool(password),
        given,
    )


def _parameters(query: str) -> dict[str, str]:
    given = {}
    for piece in query.split("&") if query else ():
        name, equals, value = piece.partition("=")
        if not (name and equals):
            raise ValueError("has a parameter that is not of the form name=value")
        if value:
            given[name] = unquote(value)
    return given


def _hosts(authority: str, given: Mapping[str, str]) -> tuple[Host, ...]:
    """As in libpq, parameters take precedence over the authority."""
    names: list[str] = []
    ports: list[str] = []
    for place in authority.split(",") if authority else ():
        name, port = name_and_port(place)
        names.append(unquote(name))
        ports.append(port)
    if "host" in given:
        names = [name.removeprefix("[").removesuffix("]") for name in given["host"].split(",")]
        ports = ports if len(ports) == len(names) else []
    if not names:
        return ()
    if "port" in given:
        ports = given["port"].split(",")
    if len(ports) <= 1:
        ports = (ports or [""]) * len(names)
    if len(ports) != len(names):
        raise ValueError(f"has {len(ports)} ports for {len(names)} hosts")
    for name in names:
        check_name(name)
    return tuple(Host(name, port_number(port)) for name, port in zip(names, ports, strict=True))
