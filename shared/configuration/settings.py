"""The settings that programs have in common, with their defaults.

The table in docs/settings.md is made from these and from those of the gateway and the worker.

They are read without pydantic-settings, whose import takes a fifth of the time in which a list is
shown: all that is needed of it is which variable a field has.
"""

import os
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.configuration import amqp_url as amqp
from shared.configuration import postgres_url as postgres
from shared.configuration.tracing import TracingSettings
from shared.configuration.values import FilePath, Seconds, amqp_url, postgres_url, url_with_host
from shared.errors import InvalidSettings
from shared.text.validation import reworded


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


COMMAND_STARTUP_TIMEOUT = 5.0
"""Startup timeout of interactive commands, seconds."""


class DatabaseSettings(BaseModel):
    # Deferred: a command builds the validator of its own settings alone.
    model_config = ConfigDict(frozen=True, validate_default=True, defer_build=True)

    database_url: SecretStr = Field(
        validation_alias="DATABASE_URL",
        description="Postgres, `postgresql://user:password@host/db`. Of several hosts "
        "(`…@host1:5432,host2:5432/db`), programs use the one that accepts writes",
    )
    database_password_file: FilePath | None = Field(
        None,
        validation_alias="DATABASE_PASSWORD_FILE",
        description="File with the password of the user in `DATABASE_URL`. Read again for each "
        "connection",
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

    @field_validator("database_password_file")
    @classmethod
    def _one_database_password(cls, path: FilePath | None, info: ValidationInfo) -> FilePath | None:
        url: SecretStr | None = info.data.get("database_url")
        if path and url and postgres.parse(url.get_secret_value()).has_password:
            raise ValueError("DATABASE_URL has a password, too: remove one of them")
        return path


class ServiceSettings(TracingSettings, DatabaseSettings):
    amqp_url: SecretStr = Field(
        validation_alias="AMQP_URL",
        description="RabbitMQ, `amqp://user:password@host/vhost`. Of "
        "several nodes of a cluster (`…@host1:5672,host2:5672/vhost`), each connection uses one",
    )
    amqp_password_file: FilePath | None = Field(
        None,
        validation_alias="AMQP_PASSWORD_FILE",
        description="File with the password of the user in `AMQP_URL`. Read again for each "
        "connection",
    )
    amqp_ca_file: FilePath | None = Field(
        None,
        description="CA certificates (PEM) that RabbitMQ's certificate is checked against, with "
        "`amqps://`; without it, those of the system. Read again for each connection",
    )
    amqp_cert_file: FilePath | None = Field(
        None,
        description="Client certificate (PEM) for RabbitMQ, with its chain. Read again for each "
        "connection",
    )
    amqp_key_file: FilePath | None = Field(
        None,
        description="Private key (PEM, without a passphrase) of `CANCEL_AMQP_CERT_FILE`, if it is "
        "not in that file",
    )
    rabbitmq_management_url: SecretStr | None = Field(
        None,
        description="RabbitMQ's management API, `http://user:password@host:15672`. If set, "
        "programs warn of policies that hold for their queues. Without a user, the one of "
        "`AMQP_URL` is used",
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
    def broker(self) -> amqp.AmqpUrl:
        """AMQP_URL, parsed."""
        return amqp.parse(self.amqp_url.get_secret_value())

    @property
    def broker_user(self) -> str:
        """Our broker user; if the URL has none, RabbitMQ's default user."""
        return self.broker.user

    @field_validator("amqp_url")
    @classmethod
    def _amqp_scheme(cls, url: SecretStr) -> SecretStr:
        return amqp_url(url)

    @field_validator("rabbitmq_management_url")
    @classmethod
    def _management_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else url_with_host(url, "http://", "https://")

    @field_validator("amqp_password_file")
    @classmethod
    def _one_amqp_password(cls, path: FilePath | None, info: ValidationInfo) -> FilePath | None:
        url: SecretStr | None = info.data.get("amqp_url")
        if path and url and amqp.parse(url.get_secret_value()).has_password:
            raise ValueError("AMQP_URL has a password, too: remove one of them")
        return path

    @field_validator("amqp_ca_file", "amqp_cert_file", "amqp_key_file")
    @classmethod
    def _needs_tls(cls, path: FilePath | None, info: ValidationInfo) -> FilePath | None:
        url: SecretStr | None = info.data.get("amqp_url")
        if path and url and not amqp.parse(url.get_secret_value()).uses_tls:
            raise ValueError("has no effect without TLS: set an AMQP_URL with amqps://")
        return path

    @field_validator("amqp_key_file")
    @classmethod
    def _key_of_a_certificate(cls, path: FilePath | None, info: ValidationInfo) -> FilePath | None:
        if path and info.data.get("amqp_cert_file", path) is None:
            raise ValueError("needs CANCEL_AMQP_CERT_FILE, too")
        return path


class CommandSettings(DatabaseSettings):
    """For interactive commands."""

    startup_timeout: Seconds = COMMAND_STARTUP_TIMEOUT


class PublishingCommandSettings(ServiceSettings):
    """For interactive commands that also need RabbitMQ."""

    startup_timeout: Seconds = COMMAND_STARTUP_TIMEOUT


S = TypeVar("S", bound=DatabaseSettings)


def load(cls: type[S], **given: Any) -> S:
    """Read settings from the environment; keywords that are not None take precedence.

    Raises InvalidSettings with one line that names each wrong setting but never its value,
    which may be a URL with a password in it.
    """
    variables = {name: environment_name(cls, name) for name in cls.model_fields}
    values = {name: os.environ[name_] for name, name_ in variables.items() if name_ in os.environ}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return cls.model_validate(values, by_name=True)
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
