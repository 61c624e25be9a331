"""All settings, with their defaults. The README's table is tested against these classes."""

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.commands import MAX_GRACE_SECONDS
from shared.errors import InvalidSettings
from shared.launcher_environment import default_socket
from shared.setting_values import Network, Seconds, network, parts, postgres_url, url_with_host
from shared.telemetry.settings import TracingSettings


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ContainmentPolicy(StrEnum):
    AUTO = "auto"
    CGROUP = "cgroup"
    SESSION = "session"


TYPED_PATIENCE = 5.0
"""Seconds that somebody who has typed a command waits for a service that is away."""


class DatabaseSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CANCEL_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(
        validation_alias="DATABASE_URL",
        description="Postgres, `postgresql://user:password@host/db`; of several hosts, "
        "`…@host1:5432,host2:5432/db`, the one that takes writes is used",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1000, description="Most Postgres connections of one process"
    )
    database_timeout: Seconds = Field(
        5.0, description="Longest wait for a connection or a statement, seconds"
    )
    startup_timeout: Seconds = Field(
        60.0,
        description="How long a service that is away is retried at start, seconds; unless it is "
        f"set, {TYPED_PATIENCE:.0f} for commands other than `serve` and `migrate`",
    )
    log_format: LogFormat = Field(LogFormat.CONSOLE, description="`console` or `json`")
    log_level: LogLevel = Field(LogLevel.INFO, description="`debug`, `info`, `warning`, `error`")

    @field_validator("database_url")
    @classmethod
    def _postgres_scheme(cls, url: SecretStr) -> SecretStr:
        return postgres_url(url)


class ServiceSettings(TracingSettings, DatabaseSettings):
    amqp_url: SecretStr = Field(
        validation_alias="AMQP_URL", description="RabbitMQ, `amqp://user:password@host/vhost`"
    )
    topology_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,60}$",
        description="Put before every exchange and queue name, where installations share a vhost",
    )
    confirm_timeout: Seconds = Field(
        5.0, description="Longest wait for a publisher confirm, reconnect included, seconds"
    )
    heartbeat: int = Field(
        10,
        ge=1,
        le=600,
        description="AMQP heartbeat, seconds; a dead peer shows after about three of them",
    )
    probe_interval: Seconds = Field(
        5.0, description="How often it is looked whether the services answer, seconds"
    )

    @field_validator("amqp_url")
    @classmethod
    def _amqp_scheme(cls, url: SecretStr) -> SecretStr:
        return url_with_host(url, "amqp://", "amqps://")


class CommandSettings(DatabaseSettings):
    """For a command that somebody types and waits for."""

    startup_timeout: Seconds = TYPED_PATIENCE


class PublishingCommandSettings(ServiceSettings):
    """Likewise, for one that needs RabbitMQ too."""

    startup_timeout: Seconds = TYPED_PATIENCE


class GatewaySettings(ServiceSettings):
    gateway_host: str = Field("127.0.0.1", description="Address the gateway listens on")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port the gateway listens on")
    write_limit: int = Field(
        20, ge=1, description="Cancel requests that a token may send per window, if it says nothing"
    )
    read_limit: int = Field(
        120, ge=1, description="Status requests that a token may send per window, likewise"
    )
    anonymous_limit: int = Field(
        20, ge=1, description="Requests without a valid token per client address and window"
    )
    rate_window: int = Field(60, ge=1, le=86400, description="Length of that window, seconds")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Addresses or networks, separated by commas, whose `X-Forwarded-For` is "
        "believed; empty believes nobody",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Connections open at once; never more than half of the files that the gateway "
        "may open. A further one takes the place of one that asks for nothing, or is answered 503",
    )
    max_connections_per_address: int = Field(
        500,
        ge=1,
        description="Likewise, of one client address (an IPv6 /64); those of "
        "`CANCEL_TRUSTED_PROXIES` have no such limit",
    )
    body_limit: int = Field(16384, ge=1024, description="Largest request body, bytes")
    head_timeout: Seconds = Field(
        10.0, description="How long a request's line and headers may take to arrive, seconds"
    )
    body_timeout: Seconds = Field(
        10.0, description="How long a request's body may take to arrive, seconds"
    )
    response_timeout: Seconds = Field(
        30.0, description="How long a client may take to read its response, seconds"
    )
    idle_timeout: Seconds = Field(
        75.0, description="How long a connection is kept open between requests, seconds"
    )
    gateway_shutdown_timeout: Seconds = Field(
        10.0, description="How long requests in flight may take after SIGTERM, seconds"
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [network(part) for part in parts(value)]


class WorkerSettings(ServiceSettings):
    host_name: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Name of this runner host, its own; the worker takes up the open commands on "
        "runs that started under it",
    )
    host_heartbeat: Seconds = Field(
        5.0,
        le=300,
        description="How often the worker records that its host is up, seconds; after three missed "
        "ones it counts as silent",
    )
    worker_socket: Path = Field(
        default_factory=default_socket,
        description="Unix socket for `cancel-exec`",
    )
    worker_socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        "0666", description="Permissions of that socket (callers are checked by peer credentials)"
    )
    worker_connections: int = Field(
        4000,
        ge=1,
        description="Connections to that socket open at once; never more than a quarter of the "
        "files that the worker may open. A further one takes the place of one that asks for "
        "nothing, or is answered 503 and tries again",
    )
    worker_connections_per_user: int = Field(
        2000,
        ge=1,
        description="Likewise, of one user; never more than half of all that may be open",
    )
    worker_http_host: str = Field(
        "127.0.0.1",
        description="Address on which the worker serves `/healthz`, `/readyz` and `/metrics`",
    )
    worker_http_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port for these; `0` takes a free one, which the log line `worker_ready` names",
    )
    grace_seconds: float = Field(
        10.0,
        ge=0,
        le=MAX_GRACE_SECONDS,
        description="Grace period when neither the command nor the run names one, seconds",
    )
    kill_wait: Seconds = Field(
        10.0, le=120, description="How long the kernel may take to remove killed processes, seconds"
    )
    containment: ContainmentPolicy = Field(
        ContainmentPolicy.AUTO,
        description="`cgroup` (refuse to start without), `session` (never use cgroups) or `auto`",
    )
    gateway_user: str | None = Field(
        None,
        description="Broker user of the gateway: only its commands count as `rest`; without it, "
        "those that say so",
    )
    trusted_publishers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Broker users, separated by commas, whose replays are believed to be such, "
        "besides the worker's own",
    )
    keep_dead_letters: bool = Field(
        True,
        description="Move dead letters into Postgres, for `cancel-worker dead-letters`; `false` "
        "leaves them in their queue",
    )
    prefetch: int = Field(
        1000,
        ge=1,
        le=65535,
        description="Commands of each queue that are held at once, until they are decided on; "
        "stops hold none",
    )
    worker_shutdown_timeout: Seconds = Field(
        15.0,
        description="How long stops in progress may take after SIGTERM, seconds; what is not over "
        "then stays open, to the same deadline, and the next worker takes it up",
    )

    @field_validator("trusted_publishers", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return parts(value) if isinstance(value, str) else value


S = TypeVar("S", bound=DatabaseSettings)


def load(cls: type[S], **given: Any) -> S:
    """Read settings from the environment; a keyword that is not None goes before it.

    Raises InvalidSettings with one line that names each wrong setting but never its value,
    which may be a URL with a password in it.
    """
    overrides = {name: value for name, value in given.items() if value is not None}
    try:
        return cls(**overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"{environment_name(cls, str(problem['loc'][0]))}: {_in_words(problem['msg'])}"
            for problem in error.errors(include_input=False)
        )
        raise InvalidSettings(problems) from None


def environment_name(cls: type[DatabaseSettings], field: str) -> str:
    """The environment variable that sets `field`."""
    info = cls.model_fields.get(field)
    if info is None:  # pydantic reports an aliased field by its alias
        return field
    if isinstance(info.validation_alias, str):
        return info.validation_alias
    return f"CANCEL_{field.upper()}"


def _in_words(message: str) -> str:
    return "is not set" if message == "Field required" else message.removeprefix("Value error, ")
