"""Refuses parameters of a service's URL that would be ignored, and says what to set instead.

The client libraries ignore a mistyped `cafile` or `sslmode`, and then connect without the check
that was asked for. Messages name parameters, but never quote a value.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_REMOVE: Final = "remove it"
_CA: Final = "set CANCEL_AMQP_CA_FILE"
_CHECKED: Final = f"certificates are always checked; for a private CA, {_CA}"

# Parameters of aiormq 7.2, and those of https://www.rabbitmq.com/docs/uri-query-parameters.
_MECHANISMS: Final = ("plain", "external")
_AMQP: Final = ("auth", "happy_eyeballs_delay", "interleave")
_AMQP_INSTEAD: Final = {
    **dict.fromkeys(("cafile", "capath", "cadata", "cacertfile"), _CA),
    "certfile": "set CANCEL_AMQP_CERT_FILE",
    "keyfile": "set CANCEL_AMQP_KEY_FILE",
    **dict.fromkeys(("no_verify_ssl", "verify"), _CHECKED),
    "heartbeat": "set CANCEL_HEARTBEAT",
    **dict.fromkeys(("name", "timeout", "connection_timeout", "channel_max"), _REMOVE),
}

# Parameters of asyncpg 0.32, those that only libpq has, and what others call them.
_POSTGRES: Final = (
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("krbsrvname", "gsslib"),
)
_POSTGRES_INSTEAD: Final = {
    "connect_timeout": "set CANCEL_DATABASE_TIMEOUT",
    "ssl": "set sslmode",
    "cafile": "set sslrootcert",
    "certfile": "set sslcert",
    "keyfile": "set sslkey",
    **dict.fromkeys(
        (
            *("channel_binding", "fallback_application_name", "gssdelegation", "gssencmode"),
            *("hostaddr", "keepalives", "keepalives_count", "keepalives_idle"),
            *("keepalives_interval", "load_balance_hosts", "max_protocol_version"),
            *("min_protocol_version", "replication", "require_auth", "requirepeer"),
            *("servicefile", "sslcertmode", "sslcompression", "sslcrldir", "sslkeylogfile"),
            *("sslsni", "tcp_user_timeout"),
        ),
        _REMOVE,
    ),
}
_ABOUT_TLS: Final = re.compile(r"ssl|tls|verify|ca_?(cert|file|path)")
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_NEAR: Final = 0.6
_VERY_NEAR: Final = 0.8
"""Settings of the server have names like `password_encryption`."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
"""What may be shown: anything else may be a part of a password."""


def check_amqp(query: Mapping[str, str]) -> None:
    """Raises ValueError if a parameter of AMQP_URL has no effect, or a wrong value."""
    for name in query:
        if name not in _AMQP:
            raise ValueError(_refusal(name, (*_AMQP, *_AMQP_INSTEAD), _AMQP_INSTEAD))
    if query.get("auth", "plain").lower() not in _MECHANISMS:
        raise ValueError(f"parameter auth must be one of {', '.join(_MECHANISMS)}")
    for name in ("happy_eyeballs_delay", "interleave"):
        if not _NUMBER.fullmatch(query.get(name, "0")):
            raise ValueError(f"parameter {name} must be a number")


def check_postgres(names: Iterable[str]) -> None:
    """Raises ValueError if a parameter of DATABASE_URL is not the driver's, but meant for it.

    Others are settings of the server, such as `search_path`. The server refuses unknown ones.
    """
    for name in names:
        if name in _POSTGRES:
            continue
        meant = name in _POSTGRES_INSTEAD or _nearest(name, _POSTGRES, _VERY_NEAR)
        if meant or _ABOUT_TLS.match(name) or not _NAME.fullmatch(name):
            raise ValueError(_refusal(name, _POSTGRES, _POSTGRES_INSTEAD))


def _refusal(name: str, known: Sequence[str], instead: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        return "has a parameter whose name is not a word"
    if name in instead:
        return f"parameter {name} is not supported: {instead[name]}"
    nearest = _nearest(name, known, _NEAR)
    if nearest is None or instead.get(nearest) == _REMOVE:
        return f"unknown parameter {name}: {_REMOVE}"
    if nearest in instead:
        return f"unknown parameter {name}: for {nearest}, {instead[nearest]}"
    return f"unknown parameter {name}: did you mean {nearest}?"


def _nearest(name: str, known: Sequence[str], cutoff: float) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name.lower(), known, n=1, cutoff=cutoff)), None)
