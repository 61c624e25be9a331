"""Every number in the settings has bounds, and what is just beyond them is refused."""

import re
from datetime import timedelta
from itertools import chain
from types import UnionType
from typing import Final, Union, get_args, get_origin

import pytest

from gateway.settings import GatewaySettings
from shared.configuration.settings import (
    CommandSettings,
    DatabaseSettings,
    PublishingCommandSettings,
    environment_name,
    load,
)
from shared.errors import InvalidSettings
from worker.console.settings import ConsoleSettings
from worker.settings import WorkerSettings

CLASSES: Final = (
    GatewaySettings,
    WorkerSettings,
    ConsoleSettings,
    CommandSettings,
    PublishingCommandSettings,
)

# What is refused below the least, the least, the most, and what is refused above it; None if
# nothing is. Without an upper bound, the most is a large number; of seconds, infinity is refused.
PORT: Final = ("-1", "0", "65535", "65536")
COUNT: Final = ("0", "1", "1000000000", None)
BYTES: Final = ("1023", "1024", "1000000000", None)
SECONDS: Final = ("0", "0.001", "1000000000", "inf")

BOUNDS: Final[dict[str, tuple[str | None, str, str, str | None]]] = {
    "DATABASE_POOL_SIZE": ("0", "1", "1000", "1001"),
    "DATABASE_TIMEOUT": SECONDS,
    "STARTUP_TIMEOUT": SECONDS,
    "CONFIRM_TIMEOUT": SECONDS,
    "HEARTBEAT": ("0", "1", "600", "601"),
    "PROBE_INTERVAL": SECONDS,
    "GATEWAY_PORT": PORT,
    "GATEWAY_PROCESSES": ("0", "1", "64", "65"),
    "WRITE_LIMIT": COUNT,
    "READ_LIMIT": COUNT,
    "REGISTER_LIMIT": COUNT,
    "ANONYMOUS_LIMIT": COUNT,
    "RATE_WINDOW": ("0", "1", "86400", "86401"),
    "MAX_CONNECTIONS": COUNT,
    "MAX_CONNECTIONS_PER_ADDRESS": COUNT,
    "BODY_LIMIT": BYTES,
    "REGISTER_BODY_LIMIT": BYTES,
    "HEAD_TIMEOUT": SECONDS,
    "BODY_TIMEOUT": SECONDS,
    "RESPONSE_TIMEOUT": SECONDS,
    "IDLE_TIMEOUT": SECONDS,
    "EVENT_STREAM_DURATION": SECONDS,
    "GATEWAY_DRAIN_DURATION": ("-0.001", "0", "1000000000", "inf"),
    "GATEWAY_SHUTDOWN_TIMEOUT": SECONDS,
    "HOST_HEARTBEAT": ("0", "0.001", "300", "300.001"),
    "WORKER_CONNECTIONS": COUNT,
    "WORKER_CONNECTIONS_PER_USER": COUNT,
    "WORKER_HTTP_PORT": PORT,
    "GRACE_SECONDS": ("-0.001", "0", "600", "600.001"),
    "KILL_WAIT": ("0", "0.001", "120", "120.001"),
    "LEFTOVERS_GRACE_SECONDS": ("-0.001", "0", "60", "60.001"),
    "PREFETCH": ("0", "1", "65535", "65536"),
    "WORKER_SHUTDOWN_TIMEOUT": SECONDS,
    "RETENTION": ("167h", "7d", "3653d", "3654d"),
    "HOST_RETENTION": ("0s", "1s", "3653d", "3654d"),
    "CONSOLE_PORT": PORT,
    # Of texts: their lengths.
    "HOST_NAME": ("", "h", "h" * 100, "h" * 101),
    "TOPOLOGY_PREFIX": (None, "", "p" * 60, "p" * 61),
    "WORKER_SOCKET_MODE": ("66", "000", "0777", "00777"),
    "DOCKER": ("unix:///", "unix:///d", "unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"),
}


def _kinds(annotation: object) -> set[object]:
    """The classes that a value may be of."""
    if get_origin(annotation) in (Union, UnionType):
        return set(chain.from_iterable(map(_kinds, get_args(annotation))))
    return {annotation}


FIELDS: Final[list[tuple[type[DatabaseSettings], str]]] = [
    (cls, field)
    for cls in CLASSES
    for field, info in cls.model_fields.items()
    if _kinds(info.annotation) & {int, float, timedelta}
    or any(getattr(each, "pattern", None) for each in info.metadata)
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ci@db.example/ci")
    monkeypatch.setenv("AMQP_URL", "amqp://ci@mq.example/")


@pytest.mark.parametrize(
    ("cls", "field"), FIELDS, ids=[f"{cls.__name__}-{field}" for cls, field in FIELDS]
)
def test_a_value_at_a_bound_is_taken_and_one_beyond_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, cls: type[DatabaseSettings], field: str
) -> None:
    variable = environment_name(cls, field)
    below, least, most, above = BOUNDS[variable.removeprefix("CANCEL_")]

    for value in (least, most):
        monkeypatch.setenv(variable, value)
        load(cls)

    beyond = [value for value in (below, above) if value is not None]
    for value in beyond + ["nan"] * (float in _kinds(cls.model_fields[field].annotation)):
        monkeypatch.setenv(variable, value)
        with pytest.raises(InvalidSettings, match=f"^{re.escape(variable)}: [^\n]+$"):
            load(cls)


def test_the_table_has_no_setting_that_is_gone() -> None:
    used = {environment_name(cls, field) for cls, field in FIELDS}

    assert {f"CANCEL_{name}" for name in BOUNDS} == used
