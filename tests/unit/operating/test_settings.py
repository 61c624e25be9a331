"""Settings: read from the environment, refused by name, never shown; documented as they are."""

import inspect
import runpy
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings
from shared.configuration.settings import (
    CommandSettings,
    DatabaseSettings,
    PublishingCommandSettings,
    load,
)
from shared.errors import InvalidSettings
from tools import settings_table
from worker.settings import WorkerSettings

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"
START, END = "<!-- settings -->", "<!-- /settings -->"
SECRET = "open-sesame"
DATABASE_URL = f"postgresql://ci:{SECRET}@db.example/ci"
AMQP_URL = f"amqp://ci:{SECRET}@mq.example/"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE_URL)
    monkeypatch.setenv("AMQP_URL", AMQP_URL)


def published_table() -> str:
    _, _, rest = DOCUMENT.read_text().partition(START)
    found, end, _ = rest.partition(END)
    assert end, f"{DOCUMENT.name} has no table between {START} and {END}"
    return found.strip()


def test_the_document_has_the_table_that_the_settings_make() -> None:
    assert published_table() == settings_table.table(), (
        "paste the output of `python -m tools.settings_table` into docs/settings.md"
    )


def test_every_setting_is_explained_in_one_table_row() -> None:
    for cls in (GatewaySettings, WorkerSettings):
        for name, field in cls.model_fields.items():
            assert field.description, name
            row = settings_table.row(cls, name)
            assert row.count("|") == 4, row
            assert "\n" not in row


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", f"mysql://ci:{SECRET}@db/ci"),
        ("DATABASE_URL", f"postgresql://ci:{SECRET}@db:port/ci"),
        ("DATABASE_URL", f"postgresql://ci:{SECRET}@db:99999/ci"),
        # A bare / # or ? in a password ends the host early.
        ("DATABASE_URL", f"postgresql://ci:1/{SECRET}@db/ci"),
        ("DATABASE_URL", f"postgresql://ci:1#{SECRET}@db/ci"),
        ("DATABASE_URL", f"postgresql://ci:1?{SECRET}@db/ci"),
        ("DATABASE_URL", f"postgresql://ci@db/ci?password={SECRET}"),
        ("DATABASE_URL", ""),
        ("AMQP_URL", f"http://ci:{SECRET}@mq/"),
        ("AMQP_URL", f"amqp://ci:{SECRET}/@mq/"),
        ("AMQP_URL", "amqp://"),
        ("AMQP_URL", f"amqp://ci:{SECRET}@mq/?cafil=/etc/ca.pem"),
        ("DATABASE_URL", f"postgresql://ci:{SECRET}@db/ci?sslmod=verify-full"),
        ("DATABASE_PASSWORD_FILE", ""),
        ("DATABASE_PASSWORD_FILE", "/etc/password"),  # and one in the URL
        ("AMQP_PASSWORD_FILE", "/etc/password"),
        ("CANCEL_AMQP_CA_FILE", "/etc/ca.pem"),  # without TLS
        ("CANCEL_DATABASE_POOL_SIZE", SECRET),
        ("CANCEL_DATABASE_POOL_SIZE", "0"),
        ("CANCEL_DATABASE_TIMEOUT", "0"),
        ("CANCEL_CONFIRM_TIMEOUT", "inf"),
        ("CANCEL_STARTUP_TIMEOUT", "nan"),
        ("CANCEL_LOG_FORMAT", SECRET),
        ("CANCEL_LOG_LEVEL", SECRET),
        ("CANCEL_TOPOLOGY_PREFIX", "open sesame"),
        ("CANCEL_HOST_NAME", "a/b"),
        ("CANCEL_WORKER_SOCKET_MODE", "rw-"),
        ("CANCEL_GRACE_SECONDS", "601"),
        ("CANCEL_CONTAINMENT", SECRET),
        ("CANCEL_PREFETCH", "65536"),
        ("CANCEL_RETENTION", "6d"),
        ("CANCEL_RETENTION", SECRET),
        ("CANCEL_HOST_RETENTION", "7"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"ftp://ci:{SECRET}@otel"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://ci:{SECRET}@otel:port"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", SECRET),
        ("OTEL_SDK_DISABLED", SECRET),
    ],
)
def test_a_wrong_value_is_refused_by_its_variable_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidSettings) as refused:
        load(WorkerSettings)

    message = str(refused.value)
    assert message.startswith(f"{variable}: ")
    assert SECRET not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CANCEL_TRUSTED_PROXIES", SECRET),
        ("CANCEL_TRUSTED_PROXIES", "10.0.0.0/8;10.1.0.0/16"),
        ("CANCEL_TRUSTED_PROXIES", "10.0.0.1/8"),  # a network, or one address of it?
        ("CANCEL_CORS_ORIGINS", SECRET),
        ("CANCEL_CORS_ORIGINS", "https://ci.example.com/"),
        ("CANCEL_CORS_ORIGINS", "https://CI.example.com"),
        ("CANCEL_CORS_ORIGINS", "https://ci.example.com:443"),  # browsers leave it out
        ("CANCEL_CORS_ORIGINS", "ci.example.com"),
        ("CANCEL_CORS_ORIGINS", "null"),
        ("CANCEL_CORS_ORIGINS", "https://*.example.com"),
        ("CANCEL_CORS_ORIGINS", "*, https://ci.example.com"),
        ("CANCEL_CORS_ORIGINS", "https://a.example.com\r\nX: y"),
        ("CANCEL_WRITE_LIMIT", "0"),
        ("CANCEL_RATE_WINDOW", "1.5"),
        ("CANCEL_MAX_CONNECTIONS", SECRET),
        ("CANCEL_HEAD_TIMEOUT", "0"),
    ],
)
def test_a_wrong_value_of_the_gateway_is_refused_likewise(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidSettings, match=f"^{variable}: [^\n]+$") as refused:
        load(GatewaySettings)

    assert SECRET not in str(refused.value)


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANCEL_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,fd00::/8,")

    found = load(GatewaySettings).trusted_proxies

    assert [str(network) for network in found] == ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        (
            "https://ci.example.com, http://localhost:3000,http://[::1]:8080",
            ("https://ci.example.com", "http://localhost:3000", "http://[::1]:8080"),
        ),
    ],
)
def test_cors_origins_are_a_list_or_a_star(
    monkeypatch: pytest.MonkeyPatch, value: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CANCEL_CORS_ORIGINS", value)

    assert load(GatewaySettings).cors_origins == origins


@pytest.mark.parametrize(("value", "days"), [("7d", 7), ("12w", 84), ("off", None)])
def test_retentions_are_durations_or_off(
    monkeypatch: pytest.MonkeyPatch, value: str, days: int | None
) -> None:
    monkeypatch.setenv("CANCEL_RETENTION", value)
    monkeypatch.setenv("CANCEL_HOST_RETENTION", value)

    settings = load(WorkerSettings)

    expected = None if days is None else timedelta(days=days)
    assert (settings.retention, settings.host_retention) == (expected, expected)


def test_nothing_is_pruned_and_hosts_are_forgotten_after_a_week_unless_it_is_set() -> None:
    settings = load(WorkerSettings)
    assert (settings.retention, settings.host_retention) == (None, timedelta(days=7))


PAIRS = {
    ("DATABASE_URL", "DATABASE_PASSWORD_FILE"): "DATABASE_URL has a password, too: remove one",
    ("AMQP_URL", "AMQP_PASSWORD_FILE"): "AMQP_URL has a password, too: remove one",
    ("AMQP_URL", "CANCEL_AMQP_CA_FILE"): "has no effect without TLS: set an AMQP_URL with amqps",
    ("AMQP_URL", "CANCEL_AMQP_CERT_FILE"): "has no effect without TLS: set an AMQP_URL with amqps",
}


@pytest.mark.parametrize(("variables", "words"), PAIRS.items())
def test_a_file_that_contradicts_a_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: tuple[str, str], words: str
) -> None:
    monkeypatch.setenv(variables[1], "/etc/file")

    with pytest.raises(InvalidSettings, match=f"^{variables[1]}: {words}"):
        load(WorkerSettings)


def test_a_key_needs_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqps://ci@mq/")
    monkeypatch.setenv("CANCEL_AMQP_KEY_FILE", "/etc/key")

    with pytest.raises(InvalidSettings, match=r"^CANCEL_AMQP_KEY_FILE: needs CANCEL_AMQP_CERT_"):
        load(WorkerSettings)

    monkeypatch.setenv("CANCEL_AMQP_CERT_FILE", "/etc/certificate")
    assert load(WorkerSettings).amqp_key_file == Path("/etc/key")


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("CANCEL_GATEWAY_PORT", "http")

    with pytest.raises(InvalidSettings, match=r"DATABASE_URL: is not set; CANCEL_GATEWAY_PORT: "):
        load(GatewaySettings)


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANCEL_GATEWAY_PORT", "8081")

    assert load(GatewaySettings, gateway_port=8082).gateway_port == 8082
    assert load(GatewaySettings, gateway_port=None).gateway_port == 8081


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ci@db",
        "postgresql:///ci?host=/run/postgresql",
        "postgresql://ci:a%2Fb%23c%40d@db:5433/ci?sslmode=require",
        "postgresql://ci:a:b@db/ci",
        "postgresql://ci:x@h1:5432,[fd00::2]:5433/ci?target_session_attrs=read-write",
        "postgresql://ci:x@/ci?host=h1,h2&port=5432,5433",
    ],
)
def test_usual_database_urls_are_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    assert load(DatabaseSettings).database_url.get_secret_value() == url


def test_a_command_that_a_user_waits_for_gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = (CommandSettings, PublishingCommandSettings)

    assert [load(cls).startup_timeout for cls in commands] == [5, 5]
    assert [load(cls).startup_timeout for cls in (DatabaseSettings, WorkerSettings)] == [60, 60]
    monkeypatch.setenv("CANCEL_STARTUP_TIMEOUT", "40")
    assert [load(cls).startup_timeout for cls in commands] == [40, 40]


@pytest.mark.parametrize(
    ("variables", "collector"),
    [
        ({}, None),
        ({"EXPORTER_OTLP_ENDPOINT": "", "TRACES_EXPORTER": "", "SDK_DISABLED": ""}, None),
        ({"TRACES_EXPORTER": "otlp"}, "http://localhost:4318"),
        ({"EXPORTER_OTLP_ENDPOINT": "http://otel:4318"}, "http://otel:4318"),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "http://otel/own"}, "http://otel/own"),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "", "EXPORTER_OTLP_ENDPOINT": "http://o"}, "http://o"),
        ({"EXPORTER_OTLP_ENDPOINT": "http://otel", "TRACES_EXPORTER": "none"}, None),
        ({"EXPORTER_OTLP_ENDPOINT": "http://otel", "SDK_DISABLED": "true"}, None),
    ],
)
def test_tracing_is_on_where_opentelemetrys_own_variables_say_so(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], collector: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)

    assert load(WorkerSettings).collector == collector


def test_a_host_name_of_the_system_is_checked_like_one_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/b")
    settings = runpy.run_path(inspect.getfile(WorkerSettings))["WorkerSettings"]

    with pytest.raises(InvalidSettings, match=r"^CANCEL_HOST_NAME: "):
        load(settings)


@pytest.mark.parametrize("cls", [GatewaySettings, WorkerSettings])
def test_no_setting_changes_once_it_is_read(cls: type[DatabaseSettings]) -> None:
    settings = load(cls)

    for name in cls.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, name, getattr(settings, name))


def test_the_representation_hides_passwords() -> None:
    settings = load(WorkerSettings)

    assert SECRET not in f"{settings} {settings!r}"
