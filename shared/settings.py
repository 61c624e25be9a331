"""All settings, with their defaults. The table in docs/settings.md is made from these classes."""

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from shared.commands import MAX_GRACE_SECONDS
from shared.errors import InvalidSettings
from shared.launcher_environment import default_socket
from shared.setting_values import (
    Network,
    Seconds,
    network,
    origins,
    parts,
    postgres_url,
    url_with_host,
)
from shared.telemetry.settings import TracingSettings
from shared.validation import reworded


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


COMMAND_STARTUP_TIMEOUT = 5.0
"""Startup timeout of interactive commands, seconds."""


class DatabaseSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CANCEL_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(
        validation_alias="DATABASE_URL",
        description="Postgres, `postgresql://user:password@host/db`. Of several hosts "
        "(`…@host1:5432,host2:5432/db`), programs use the one that accepts writes",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1000, description="Maximum size of the Postgres pool, per process"
    )
    database_timeout: Seconds = Field(
        5.0, description="Timeout for a Postgres connection or statement, seconds"
    )
    startup_timeout: Seconds = Field(
        60.0,
        description="Timeout for unavailable services at start, seconds. Commands other "
        f"than `serve` and `migrate` have the default {COMMAND_STARTUP_TIMEOUT:.0f}",
    )
    log_format: LogFormat = Field(LogFormat.CONSOLE, description="Log format: `console` or `json`")
    log_level: LogLevel = Field(
        LogLevel.INFO, description="Minimum log level: `debug`, `info`, `warning` or `error`"
    )

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
        description="Prefix of every exchange and queue name, for installations that share a "
        "virtual host",
    )
    confirm_timeout: Seconds = Field(
        5.0, description="Timeout for a publisher confirm, including a reconnect, seconds"
    )
    heartbeat: int = Field(
        10,
        ge=1,
        le=600,
        description="Interval between AMQP heartbeats, seconds. A dead connection is detected "
        "after about three",
    )
    probe_interval: Seconds = Field(5.0, description="Interval between dependency checks, seconds")

    @property
    def broker_user(self) -> str:
        """Our broker user; if the URL has none, RabbitMQ's default user."""
        return URL(self.amqp_url.get_secret_value()).user or "guest"

    @field_validator("amqp_url")
    @classmethod
    def _amqp_scheme(cls, url: SecretStr) -> SecretStr:
        return url_with_host(url, "amqp://", "amqps://")


class CommandSettings(DatabaseSettings):
    """For interactive commands."""

    startup_timeout: Seconds = COMMAND_STARTUP_TIMEOUT


class PublishingCommandSettings(ServiceSettings):
    """For interactive commands that also need RabbitMQ."""

    startup_timeout: Seconds = COMMAND_STARTUP_TIMEOUT


class GatewaySettings(ServiceSettings):
    gateway_host: str = Field("127.0.0.1", description="Address that the gateway listens on")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port that the gateway listens on")
    write_limit: int = Field(
        20,
        ge=1,
        description="Requests that cancel runs per window, for tokens without their own limit",
    )
    read_limit: int = Field(
        120,
        ge=1,
        description="Requests that read runs, cancels or events per window, for tokens without "
        "their own limit",
    )
    register_limit: int = Field(
        600,
        ge=1,
        description="Requests that register runs per window, for tokens without their own limit",
    )
    anonymous_limit: int = Field(
        20, ge=1, description="Requests without a valid token, per client address and window"
    )
    rate_window: int = Field(
        60, ge=1, le=86400, description="Length of the rate limit window, seconds"
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Proxies whose `X-Forwarded-For` is trusted: addresses or networks, separated "
        "by commas",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins whose web pages may use the API from a browser (CORS), like "
        "`https://ci.example.com`, separated by commas; `*` allows all",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Maximum number of open connections; at most half of the gateway's file "
        "descriptors. Beyond it, a new connection replaces an idle one or gets 503. At most half "
        "of them may be event streams",
    )
    max_connections_per_address: int = Field(
        500,
        ge=1,
        description="Maximum number of open connections per client address (IPv6: per /64). Does "
        "not apply to `CANCEL_TRUSTED_PROXIES`",
    )
    body_limit: int = Field(16384, ge=1024, description="Maximum size of a request body, bytes")
    register_body_limit: int = Field(
        1024 * 1024,
        ge=1024,
        description="Maximum size of the body of a request that registers many runs, bytes",
    )
    head_timeout: Seconds = Field(
        10.0, description="Timeout for receiving a request line and headers, seconds"
    )
    body_timeout: Seconds = Field(10.0, description="Timeout for receiving a request body, seconds")
    response_timeout: Seconds = Field(
        30.0, description="Timeout for a client to read its response, seconds"
    )
    idle_timeout: Seconds = Field(
        75.0, description="Timeout for an idle connection between requests, seconds"
    )
    event_stream_duration: Seconds = Field(
        900.0,
        description="Maximum duration of an event stream, seconds. Clients reconnect, and a "
        "revoked token is noticed then",
    )
    gateway_shutdown_timeout: Seconds = Field(
        10.0, description="Timeout for requests in flight after SIGTERM, seconds"
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [network(part) for part in parts(value)]

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return origins(value) if isinstance(value, str) else value


class WorkerSettings(ServiceSettings):
    host_name: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Unique name of this runner host. The worker takes up the open commands on "
        "runs that started under this name",
    )
    host_heartbeat: Seconds = Field(
        5.0,
        le=300,
        description="Interval between heartbeats of the host, seconds. After three missed "
        "heartbeats the host counts as silent",
    )
    worker_socket: Path = Field(
        default_factory=default_socket,
        description="Path of the Unix socket for `cancel-exec`",
    )
    worker_socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        "0666", description="File mode of that socket. Callers are checked by peer credentials"
    )
    worker_connections: int = Field(
        4000,
        ge=1,
        description="Maximum number of open connections to that socket; at most a quarter of the "
        "worker's file descriptors. Beyond it, a new connection replaces an idle one, or gets 503 "
        "and `cancel-exec` retries",
    )
    worker_connections_per_user: int = Field(
        2000,
        ge=1,
        description="Maximum number of open connections to that socket per user; at most half of "
        "the total",
    )
    worker_http_host: str = Field(
        "127.0.0.1",
        description="Address of the worker's `/healthz`, `/readyz` and `/metrics`",
    )
    worker_http_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of these paths. `0` chooses a free one, which is in the log event "
        "`worker_ready`",
    )
    grace_seconds: float = Field(
        10.0,
        ge=0,
        le=MAX_GRACE_SECONDS,
        description="Grace period if neither the command nor the run has one, seconds",
    )
    kill_wait: Seconds = Field(
        10.0, le=120, description="Timeout for processes to end after SIGKILL, seconds"
    )
    leftovers_grace_seconds: float = Field(
        2.0,
        ge=0,
        le=60,
        description="Grace period for processes that a command leaves behind when it ends by "
        "itself, seconds; at most the grace period of the run",
    )
    containment: ContainmentPolicy = Field(
        ContainmentPolicy.AUTO,
        description="`cgroup` (exit if there is none), `session` (never use cgroups) or `auto`",
    )
    docker: str | None = Field(
        None,
        pattern=r"^unix:///.+",
        description="The Docker engine, as in `unix:///var/run/docker.sock`. If set, the worker "
        "serves `docker.sock` beside its own socket, jobs get it as `DOCKER_HOST`, and what they "
        "start through it is stopped with their run",
    )
    docker_allow_host_access: bool = Field(
        False,
        description="Whether jobs may start containers that could escape: privileged ones, ones "
        "with `SYS_ADMIN`, with the host's pid or cgroup namespace, with a mount of `/`, `/proc`, "
        "`/sys` or a container socket, and use containers that are not their run's",
    )
    gateway_user: str | None = Field(
        None,
        description="Broker user of the gateway. If set, only its commands count as `rest`; "
        "otherwise, all commands that claim to come from the gateway",
    )
    trusted_publishers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Broker users whose replays are trusted, separated by commas. The worker's own "
        "user is always trusted",
    )
    keep_dead_letters: bool = Field(
        True,
        description="Move dead letters into Postgres, for `cancel-worker dead-letters`. `false` "
        "leaves them in their queue",
    )
    prefetch: int = Field(
        1000,
        ge=1,
        le=65535,
        description="Maximum number of undecided commands or registrations that the worker holds, "
        "per queue",
    )
    worker_shutdown_timeout: Seconds = Field(
        15.0,
        description="Timeout for stops in progress after SIGTERM, seconds. A stop that is not over "
        "by then keeps its deadline, and the next worker takes it up",
    )

    @field_validator("trusted_publishers", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return parts(value) if isinstance(value, str) else value


S = TypeVar("S", bound=DatabaseSettings)


def load(cls: type[S], **given: Any) -> S:
    """Read settings from the environment; keywords that are not None take precedence.

    Raises InvalidSettings with one line that names each wrong setting but never its value,
    which may be a URL with a password in it.
    """
    overrides = {name: value for name, value in given.items() if value is not None}
    try:
        return cls(**overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"{environment_name(cls, str(problem['loc'][0]))}: {_message(problem['msg'])}"
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


def _message(message: str) -> str:
    return "is not set" if message == "Field required" else reworded(message)
