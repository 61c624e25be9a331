"""The settings of the worker, with their defaults."""

import socket
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator

from shared.configuration.settings import ServiceSettings
from shared.configuration.values import OFF, Seconds, parts
from shared.launcher_environment import default_socket
from shared.limits import MAX_GRACE_SECONDS
from shared.text.durations import duration

MIN_RETENTION: Final = timedelta(days=7)
"""Postgres refuses to prune what is younger (migration 0020)."""


class ContainmentPolicy(StrEnum):
    AUTO = "auto"
    CGROUP = "cgroup"
    SESSION = "session"


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
    trusted_publishers: tuple[str, ...] = Field(
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

    retention: timedelta | None = Field(
        None,
        description="How long to keep the records of what is over, like `90d`; at least `7d`. If "
        "set, one worker of all prunes older ones each day. `off` is the same as not set",
    )
    host_retention: timedelta | None = Field(
        timedelta(days=7),
        description="How long to keep a host that is not up and owns nothing, like `7d`, or `off`. "
        "One worker of all forgets such hosts each day",
    )

    @field_validator("retention", "host_retention", mode="before")
    @classmethod
    def _duration(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return None if value == OFF else duration(value)

    @field_validator("retention")
    @classmethod
    def _long_enough(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < MIN_RETENTION:
            raise ValueError(f"must be at least {MIN_RETENTION.days}d")
        return value

    @field_validator("trusted_publishers", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return parts(value) if isinstance(value, str) else value
